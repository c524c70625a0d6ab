"""Model to one answer. Imports no other room and none of their libraries."""

import os

# Before it is first imported: it would report to its maker, and leave a name of the machine in ~/.cache.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
