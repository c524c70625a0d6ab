"""The log: a line for each request, each warning of a library and each unexpected error.

A line is JSON, with `event`, `time` and `level`, like those of `mlops serve`; on a terminal it is text.
No body, no key and no message of an unexpected error is ever written, since it may quote a row.
"""

import logging
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from mlops.errors import counted
from mlops.log_stream import LogStream

READER_SECONDS = 1.0
"""Seconds that the reader of the log has when the service starts and ends."""

Level = Literal["info", "warning", "error"]


class Line(msgspec.Struct, kw_only=True):
    time: datetime
    level: Level


class RequestLine(Line, kw_only=True, tag_field="event", tag="request"):
    request_id: str
    client: str
    method: str
    route: str
    status: int
    ms: float
    rows: int
    version: str

    def text(self) -> str:
        return f"{self.client} {self.method} {self.route} {self.status} in {self.ms} ms"


class MessageLine(Line, kw_only=True, omit_defaults=True, tag_field="event", tag="message"):
    message: str
    request_id: str | None = None
    trace: list[str] = []

    def text(self) -> str:
        text = ", at ".join((self.message, *self.trace))
        return "".join(letter if letter.isprintable() else " " for letter in text)


class Log:
    """Writes lines to a stream. They wait for `flush`, which encodes many at once."""

    def __init__(self, stream: LogStream, version: str) -> None:
        self._stream = stream
        self._version = version
        self._lines: list[RequestLine | MessageLine] = []
        self._encode = lines_as_text if stream.is_terminal else msgspec.json.Encoder().encode_lines

    def request(
        self,
        *,
        request_id: str,
        client: str,
        method: str,
        route: str,
        status: int,
        seconds: float,
        rows: int,
    ) -> None:
        self._lines.append(
            RequestLine(
                time=datetime.now(UTC),
                level="error" if status >= 500 else "info",
                request_id=request_id,
                client=client,
                method=method,
                route=route,
                status=status,
                ms=round(seconds * 1000, 3),
                rows=rows,
                version=self._version,
            )
        )

    def message(
        self,
        level: Level,
        message: str,
        error: BaseException | None = None,
        request_id: str | None = None,
    ) -> None:
        frames = traceback.extract_tb(error.__traceback__) if error else []
        trace = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        self._lines.append(
            MessageLine(
                time=datetime.now(UTC),
                level=level,
                message=f"{message}: {type(error).__name__}" if error else message,
                request_id=request_id,
                trace=trace,
            )
        )

    def flush(self) -> None:
        """Passes the lines that wait to the stream, after a line that says how many it has dropped."""
        if dropped := self._stream.take_dropped():
            count = counted(dropped, "line was", "lines were")
            self.message("warning", f"{count} dropped: nobody took them in time")
        lines, self._lines = self._lines, []
        if lines:
            self._stream.write(self._encode(lines), len(lines))

    def flush_and_wait(self) -> None:
        """Writes the lines that wait; returns after a short time even if nobody reads them."""
        self.flush()
        self._stream.wait(READER_SECONDS)


def lines_as_text(lines: Sequence[RequestLine | MessageLine]) -> bytes:
    """Returns the lines as people read them on a terminal."""
    return "".join(f"{line.time.astimezone():%H:%M:%S} {line.text()}\n" for line in lines).encode(
        errors="replace"
    )


class LibraryHandler(logging.Handler):
    """Writes the warnings of libraries to the log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        error = record.exc_info[1] if record.exc_info else None
        self._log.message(level, record.getMessage().strip(), error)
