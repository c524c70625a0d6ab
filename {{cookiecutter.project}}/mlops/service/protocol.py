"""HTTP as uvicorn speaks it, but an answer leaves in one piece."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CONTINUE = b"HTTP/1.1 100 "


class WholeAnswers:
    """A transport that holds what is written until the answer is whole: uvicorn writes head and body one
    after the other, and two packets take client and server longer than one."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._held.append(data)
        if data.startswith(CONTINUE):
            self.flush()

    def flush(self) -> None:
        held, self._held = self._held, []
        self._transport.write(b"".join(held))

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, WholeAnswers(transport)))

    def on_response_complete(self) -> None:
        cast(WholeAnswers, self.transport).flush()
        super().on_response_complete()
