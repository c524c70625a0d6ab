"""Runs a module as `python -m` would, in a process that ends with the one that started it.

    python tethered.py MODULE ARGUMENT...

When its standard input closes, it is asked to end, as by SIGTERM; a while later it is killed.
"""

import os
import runpy
import signal
import sys
import threading
import time

PATIENCE = 15  # seconds


def main() -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def end_with_parent() -> None:
    os.read(0, 1)  # nothing is ever written: it returns when the parent is gone
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
