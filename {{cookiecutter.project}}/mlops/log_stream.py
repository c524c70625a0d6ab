"""Writes log lines to a descriptor without ever waiting for whoever reads it."""

import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

MOST_BYTES = 8_000_000
"""Bytes that may wait for the reader: two seconds of the service's requests under full load."""


class LogStream:
    """Writes lines from a thread, and drops them while too many wait or the descriptor takes none.

    A pipe that nobody reads, a stopped terminal or a slow disk would otherwise stop the process, which could
    then not even be ended with SIGTERM. `on_drop` is called with each number of dropped lines.
    """

    def __init__(
        self, descriptor: int, on_drop: Callable[[int], None] = lambda lines: None
    ) -> None:
        self.is_terminal = os.isatty(descriptor)
        self._descriptor = descriptor
        self._on_drop = on_drop
        self._chunks = SimpleQueue[tuple[bytes, int]]()
        self._lock = threading.Lock()
        self._waiting = 0
        self._dropped = 0
        self._is_broken = False
        threading.Thread(target=self._write_chunks, daemon=True).start()

    def write(self, content: bytes, lines: int) -> None:
        """Writes whole lines later; drops them if MOST_BYTES already wait."""
        with self._lock:
            is_full = self._waiting + len(content) > MOST_BYTES
            if not is_full:
                self._waiting += len(content)
        if is_full:
            self._drop(lines)
        else:
            self._chunks.put((content, lines))

    def take_dropped(self) -> int:
        """Returns how many lines were dropped since the last call, or 0 while lines are still dropped."""
        with self._lock:
            if self._is_broken or self._waiting > MOST_BYTES // 2:
                return 0
            dropped, self._dropped = self._dropped, 0
        return dropped

    def wait(self, seconds: float) -> None:
        """Waits until all lines are written, but no longer than `seconds`."""
        end = time.monotonic() + seconds
        while self._waiting and time.monotonic() < end:
            time.sleep(0.01)

    def _drop(self, lines: int) -> None:
        with self._lock:
            self._dropped += lines
        self._on_drop(lines)

    def _write_chunks(self) -> None:
        is_torn = False
        while True:
            content, lines = self._chunks.get()
            rest = memoryview(b"\n" + content if is_torn else content)
            try:
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
                self._is_broken = is_torn = False
            except OSError:  # the disk is full, or the reader is gone
                is_torn = is_torn or 0 < len(rest) < len(content)
                self._is_broken = True
                self._drop(lines)
            with self._lock:
                self._waiting -= len(content)
