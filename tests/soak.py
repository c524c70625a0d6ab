"""Whether the tests run as a soak, all of the faults and histories, and the log of one."""

import json
import os
from pathlib import Path

LOG = os.environ.get("SOAK_LOG")
"""The file that a soak is logged to, a line of JSON for each fault and history; none in CI."""


def note(kind: str, **facts: object) -> None:
    if LOG:
        with Path(LOG).open("a") as log:
            log.write(json.dumps({"kind": kind, **facts}) + "\n")
