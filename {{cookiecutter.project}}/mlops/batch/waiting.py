"""Says that this process waits for another one, so that nobody has to guess why nothing happens."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from mlops.errors import printable_text

FIRST = 5
"""The seconds after which a wait is announced."""

AGAIN = 60
"""The seconds after which it is announced again."""


@contextmanager
def announce_wait(what: object) -> Iterator[None]:
    """Says on standard error that this process waits for `what`, if the block takes longer than some
    seconds."""
    done = Event()
    announcer = Thread(target=announce, args=(what, done), daemon=True)
    announcer.start()
    try:
        yield
    finally:
        done.set()
        announcer.join()


def announce(what: object, done: Event) -> None:
    started, pause = time.monotonic(), FIRST
    while not done.wait(pause):
        waited = time.monotonic() - started
        print(
            printable_text(f"waiting for {what} since {waited:.0f} s"), file=sys.stderr, flush=True
        )
        pause = AGAIN
