"""Scores pieces in threads, because Arrow and the model release Python's global lock."""

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from mlops.batch.engines.engines import Engine
from mlops.batch.order import ScoreOrder
from mlops.batch.scorer import Scored, Scorer
from mlops.tables.pieces import Piece

MOST_WORKERS = 4
"""The largest number of threads. More of them would wait for the database, each with a piece in memory."""


def usable_cores() -> int:
    """Returns how many cores this process may use; only Linux tells a process of fewer than there are."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def start_engine(_: ScoreOrder, scorer: Scorer) -> Iterator[Engine]:
    workers = min(MOST_WORKERS, usable_cores())
    pool = ThreadPoolExecutor(workers)

    def score(pieces: Iterable[Piece]) -> Iterator[Scored]:
        waiting: deque[Future[Scored]] = deque()
        for piece in pieces:
            waiting.append(pool.submit(scorer, piece))
            if len(waiting) > workers + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield score
    finally:
        pool.shutdown(cancel_futures=True)
