"""Where predictions go, by the scheme of the URL."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import pyarrow as pa

from mlops.batch.batches import Batch, Finished, Outcome
from mlops.errors import UsageError
from mlops.tables import urls
from mlops.tables.errors import SourceError
from mlops.tables.urls import Url

if TYPE_CHECKING:
    from mlops.batch.destinations.relational import Relational

MODULES = {
    "sqlite": "mlops.batch.destinations.sqlite",
    "postgresql": "mlops.batch.destinations.postgresql",
    "redis": "mlops.batch.destinations.redis_store",
    "rediss": "mlops.batch.destinations.redis_store",
}
FILES = "mlops.batch.destinations.parquet"
RELATIONAL = ("sqlite", "postgresql")


class Destination(Protocol):
    def finished(self, batch_id: str) -> Finished | None:
        """What it holds of a batch; None where that is nothing."""

    def store(
        self,
        batch: Batch,
        rows: pa.RecordBatchReader,
        outcome: Callable[[], Outcome],
        *,
        force: bool,
    ) -> None:
        """All of it, or nothing: `rows` are read to their end, then `outcome` is asked, which may
        raise. Raises AlreadyScored, before a row is read, where another run has finished the batch and
        `force` does not ask to replace it."""

    def close(self) -> None: ...


def open_destination(url: Url) -> Destination:
    name = MODULES.get(url.scheme, FILES)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise unknown_destination(url) from None
    return cast(Destination, module.open_destination(url))


def open_relational(text: str) -> "Relational":
    """A database, already there, that keeps more than predictions: what was counted of them, and labels."""
    url = urls.parse_url(text)
    if url.scheme not in RELATIONAL:
        raise UsageError(
            f"{url} keeps no labels and no counts of what was scored; sqlite:// and postgresql:// do"
        )
    if url.scheme == "sqlite" and not existing_sqlite_file(url).exists():
        raise SourceError(f"{url}: there is no such database; `mlops score` makes it")
    return cast("Relational", open_destination(url))


def existing_sqlite_file(url: Url) -> Path:
    from mlops.batch.destinations import sqlite

    return sqlite.database_file(url)


def unknown_destination(url: Url) -> UsageError:
    known = ", ".join(f"{scheme}://" for scheme in MODULES)
    return UsageError(f"--to {url} is nothing that this project can write to: {known}, or a folder")
