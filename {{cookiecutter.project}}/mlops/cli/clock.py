"""Shows at a terminal for how many seconds a command has been at work, once it takes longer than a moment.

The seconds stand where the next line will be, and whatever is printed there takes their place. Nothing is
shown where standard error is no terminal.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle

from mlops.errors import printable_text

MOMENT = 2.0
"""Seconds after which a command is said to be at work."""

BETWEEN, ERASE = 0.25, "\x1b[K"

_paused = threading.Event()
_shown = threading.Event()


@contextmanager
def running_clock() -> Iterator[None]:
    """Shows the seconds while the context is open."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=show_seconds, args=(ended,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        make_room()


def show_seconds(ended: threading.Event) -> None:
    start = time.monotonic()
    if ended.wait(MOMENT):
        return
    for sign in cycle("|/-\\"):
        if not _paused.is_set() and not is_password_asked():
            _shown.set()
            line = printable_text(f"{sign} {time.monotonic() - start:.0f} s")
            print(line, end="\r", file=sys.stderr, flush=True)
        if ended.wait(BETWEEN):
            return


def is_password_asked() -> bool:
    """Returns whether a process such as ssh asks for a password: then the terminal does not show keys."""
    try:
        import termios
    except ImportError:  # on Windows
        return False
    try:
        return not termios.tcgetattr(sys.stderr.fileno())[3] & termios.ECHO
    except (OSError, termios.error):  # there is no such terminal any more
        return False


@contextmanager
def paused_clock() -> Iterator[None]:
    """While the context is open, no seconds are shown, since somebody else needs the terminal's last line."""
    _paused.set()
    make_room()
    try:
        yield
    finally:
        _paused.clear()


def make_room() -> None:
    """Erases the seconds, if there are any, for a line that is printed now."""
    if _shown.is_set():
        _shown.clear()
        print("", end=ERASE, file=sys.stderr, flush=True)
