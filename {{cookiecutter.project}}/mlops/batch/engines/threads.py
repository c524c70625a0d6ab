"""Scores pieces in threads."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlops.batch.engines.engines import Engine
from mlops.batch.order import ScoreOrder
from mlops.batch.scorer import Scorer
from mlops.tables.threads import map_in_order, usable_cores

MOST_WORKERS = 4
"""The largest number of threads. More of them would wait for the database, each with a piece in memory."""


@contextmanager
def start_engine(_: ScoreOrder, scorer: Scorer) -> Iterator[Engine]:
    yield lambda pieces: map_in_order(scorer, pieces, min(MOST_WORKERS, usable_cores()))
