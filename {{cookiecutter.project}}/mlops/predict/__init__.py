"""Determines the value of a prediction. This room imports no other room."""

import os

# ONNX Runtime reads this at its first import. Its telemetry would write the machine's name to ~/.cache.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
