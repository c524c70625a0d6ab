"""Runs a module or another command in a process group that ends with the process that started it.

    python tethered.py GRACE -m MODULE ARGUMENT...
    python tethered.py GRACE COMMAND ARGUMENT...

The process that starts this one holds the other end of its standard input, and the system closes it however
that process ends. Then this process gets SIGTERM and GRACE seconds to end, none if GRACE is 0, and the whole
group is killed. Start it as the leader of a new group. What it runs has no standard input.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
import time


def main() -> int:
    grace, *command = sys.argv[1:]
    tether, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    threading.Thread(target=end_with_parent, args=(tether, float(grace)), daemon=True).start()
    if command[0] != "-m":
        return subprocess.run(command, check=False).returncode
    sys.argv = command[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    return 0


def end_with_parent(tether: int, grace: float) -> None:
    os.read(tether, 1)  # nothing is ever written: it returns when the parent is gone
    if grace:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    else:  # Windows
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(os.getpid())], check=False)


if __name__ == "__main__":
    sys.exit(main())
