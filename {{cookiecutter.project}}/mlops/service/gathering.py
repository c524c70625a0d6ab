"""The rows of several requests, asked about at once."""

import asyncio
from collections.abc import Callable
from itertools import chain
from typing import Generic, TypeVar

from mlops.contract.contract import Values

T = TypeVar("T")


class Gathering(Generic[T]):
    """`ask` has an answer for each row. A model takes hardly longer for ten rows than for one. So the
    requests that arrive in one turn of the event loop are answered together at its end; but where few
    come, the first of them at once."""

    def __init__(self, ask: Callable[[Values], list[T]]) -> None:
        self._ask = ask
        self._waiting: list[tuple[Values, asyncio.Future[list[T] | None]]] = []
        self._open = False
        self._crowded = False

    async def predict(self, rows: Values) -> list[T]:
        loop = asyncio.get_running_loop()
        if not self._open:
            self._open = True
            loop.call_soon(self._close)
            if not self._crowded:
                return self._ask(rows)
        answer: asyncio.Future[list[T] | None] = loop.create_future()
        self._waiting.append((rows, answer))
        return await answer or self._ask(rows)

    def _close(self) -> None:
        waiting, self._waiting, self._open = self._waiting, [], False
        self._crowded = len(waiting) > 1
        together = self._together([*chain.from_iterable(rows for rows, _ in waiting)])
        start = 0
        for rows, answer in waiting:
            end = start + len(rows)
            if not answer.done():  # its request may have run out of time
                answer.set_result(together and together[start:end])
            start = end

    def _together(self, rows: Values) -> list[T] | None:
        """None where that fails: each request will find out by itself whether it is at fault."""
        try:
            return self._ask(rows) if rows else None
        except Exception:
            return None
