"""Starts the engine that scores the pieces of a batch."""

import importlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol, cast

from mlops.batch.order import ScoreOrder
from mlops.batch.scorer import Scored, Scorer
from mlops.errors import UsageError
from mlops.tables.pieces import Piece

MODULES = {"threads": "mlops.batch.engines.threads", "dask": "mlops.batch.engines.dask_engine"}


class Engine(Protocol):
    def __call__(self, pieces: Iterable[Piece]) -> Iterator[Scored]:
        """Yields the scored pieces in the order of the pieces, with few of them in memory at a time."""


def start_engine(order: ScoreOrder, scorer: Scorer) -> AbstractContextManager[Engine]:
    """Returns the engine that the order names, as a context in which it runs. Raises UsageError if the
    project has no such engine."""
    if order.engine not in MODULES:
        raise UsageError(f"--engine should be {' or '.join(MODULES)}, not {order.engine!r}")
    if order.scheduler and order.engine != "dask":
        raise UsageError(f"--scheduler {order.scheduler} is for --engine dask: add it")
    try:
        module = importlib.import_module(MODULES[order.engine])
    except ModuleNotFoundError as error:
        if error.name != MODULES[order.engine]:
            raise
        raise UsageError(f"this project has no --engine {order.engine}: {error}") from None
    return cast(AbstractContextManager[Engine], module.start_engine(order, scorer))
