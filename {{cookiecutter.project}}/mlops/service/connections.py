"""Bounds how long the service waits for a client, how large a head may be, and how many connections are open.

uvicorn closes a connection only after an answer, when no further request comes. It waits without end for a
first request, for the rest of a head and for a client that does not read, and reads heads of any size.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from http import HTTPStatus
from math import inf
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlops.service.logs import Log
from mlops.service.settings import Settings

HEAD_SECONDS = 10.0
"""Seconds from the connection, or the first byte of a later request, to the end of the head."""
READING_SECONDS = 60.0
"""Seconds that a client has to read an answer."""
MOST_HEAD_BYTES = 64_000
MOST_CONNECTIONS = 50_000
SPARE_FILES = 64
"""Files that may be open beside the connections."""

NO_HEAD = f"no whole head of a request came within {HEAD_SECONDS:g} seconds"
LARGE_HEAD = f"the head is larger than {MOST_HEAD_BYTES} bytes"
NOT_READ = "the client did not read its answer in time"


class Connection(HttpToolsProtocol):
    """A connection that knows since when it waits for its client."""

    def __init__(self, connections: "Connections", **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self.since = self.loop.time()
        self._watched = connections
        self._in_head = self._is_large = False
        self._chunk = 0
        self._head_bytes = 0

    @property
    def awaits_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    @property
    def awaits_client(self) -> bool:
        """Whether a head, a body or the reading of an answer is all that this connection waits for."""
        return self.awaits_head or self.cycle.more_body or self.flow.write_paused

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watched.make_room(self)

    def data_received(self, data: bytes) -> None:
        in_head, self._chunk = self._in_head, len(data)
        super().data_received(data)
        if in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self.refuse(431, LARGE_HEAD)

    def on_message_begin(self) -> None:
        self.since, self._in_head, self._head_bytes = self.loop.time(), True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        came = self._head_bytes + self._chunk  # what stands before or after the head is among it
        self._is_large = came > MOST_HEAD_BYTES < head_size(self.url, self.headers)
        if self._is_large:
            raise OverflowError(LARGE_HEAD)
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        if self._is_large:
            self.refuse(431, LARGE_HEAD)
        else:
            super().send_400_response(msg)

    def on_response_complete(self) -> None:
        self.since = self.loop.time()
        super().on_response_complete()

    def refuse(self, status: int, reason: str) -> None:
        """Answers in a line of text, since there is no request yet, and closes the connection."""
        self._watched.closed[reason] += 1
        line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        head = f"content-type: text/plain\r\ncontent-length: {len(reason)}\r\nconnection: close\r\n\r\n"
        self.transport.write(f"{line}{head}{reason}".encode())
        self.transport.close()

    def end(self) -> None:
        """Closes the connection, since its client is late."""
        if self.transport.is_closing() or not self.awaits_head:
            self._watched.closed[NOT_READ] += 1
            self.transport.abort()
        elif self._in_head:
            self.refuse(408, NO_HEAD)
        else:
            self._watched.closed[NO_HEAD] += 1
            self.transport.close()


def head_size(url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> int:
    """Returns the bytes of a head; each field has a colon, a space and an end of line."""
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


class Connections:
    """Closes connections whose client is late or, if there are too many, those that wait for theirs."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self.closed = Counter[str]()
        self._log = log
        self._most = most_connections()
        self._too_many = (
            f"more than {self._most} were open, as many as the limit of open files allows"
        )
        self._longest = settings.max_seconds + READING_SECONDS

    def make_room(self, new: Connection) -> None:
        """Closes some of the longest waiting connections if there are too many, or `new` if none waits."""
        if len(new.connections) <= self._most:
            return
        waiting = [
            each
            for each in new.connections
            if isinstance(each, Connection) and each is not new and each.awaits_client
        ]
        number = 1 + self._most // 16  # so that the search among all of them is rare
        for each in nsmallest(
            number, waiting, key=lambda each: (each.cycle is not None, each.since)
        ):
            self.closed[self._too_many] += 1
            each.transport.abort()
        if not waiting:
            new.refuse(503, self._too_many)

    def close_overdue(self, connections: Iterable[object], now: float) -> None:
        for each in list(connections):
            if isinstance(each, Connection) and now - each.since > self._patience(each):
                each.end()

    def _patience(self, connection: Connection) -> float:
        is_idle = connection.timeout_keep_alive_task and not connection.transport.is_closing()
        if is_idle:  # uvicorn will close it
            return inf
        is_late_head = connection.awaits_head and not connection.flow.write_paused
        return HEAD_SECONDS if is_late_head else self._longest

    def report(self) -> None:
        """Logs how many connections were closed since the last call, and why."""
        for reason, number in self.closed.items():
            self._log.message("warning", f"{number} connections were closed: {reason}")
        self.closed.clear()


def most_connections() -> int:
    """Returns how many connections may be open, so that some of the files that may be open remain."""
    try:
        import resource
    except ImportError:  # Windows, where connections are no files
        return MOST_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = files == resource.RLIM_INFINITY
    return MOST_CONNECTIONS if unlimited else max(1, min(MOST_CONNECTIONS, files - SPARE_FILES))
