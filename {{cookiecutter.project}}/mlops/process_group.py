"""Ends a process together with all that it has started."""

import os
import signal
import subprocess
from contextlib import suppress


def end_group(leader: int, *, at_once: bool) -> None:
    """Ends the group of a process that leads one: kills it `at_once`, or asks it to end.

    Windows has no groups and asks no process: there, the process and those that it has started are killed.
    """
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):  # macOS forbids it once all have ended
            os.killpg(leader, signal.SIGKILL if at_once else signal.SIGTERM)
    else:
        kill = ("taskkill", "/F", "/T", "/PID", str(leader))
        subprocess.run(kill, capture_output=True, check=False)
