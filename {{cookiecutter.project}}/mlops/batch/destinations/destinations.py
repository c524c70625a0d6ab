"""Opens the destination of predictions that a URL names."""

import importlib
from collections.abc import Callable
from datetime import datetime
from importlib.util import find_spec
from types import ModuleType
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
    def finished(self, batch: Batch) -> Finished | None:
        """Returns what the destination holds of a batch, or None if it does not hold the batch. The batch is
        superseded if another version has scored the same file for the same environment later."""

    def store(
        self,
        batch: Batch,
        rows: pa.RecordBatchReader,
        outcome: Callable[[], Outcome],
        *,
        force: bool,
    ) -> None:
        """Stores the whole batch or nothing of it. Reads all `rows`, and then calls `outcome`, which may
        raise. Raises AlreadyScored if another run has stored the batch, unless `force` is set, which replaces
        it; and DuplicateKey if two rows have the same key."""

    def remove_before(self, environment: str, moment: datetime) -> list[int]:
        """Removes the rows of the batches of an environment that were started before a moment, one batch
        after the other, and returns their numbers of rows. The records of the batches stay. Raises
        UsageError if the destination removes rows itself, and SourceError if it holds no batch at all."""

    def close(self) -> None: ...


def open_destination(url: Url) -> Destination:
    """Returns the destination that a URL names. Raises UsageError for a URL of another kind, and Away if the
    destination is unavailable."""
    return cast(Destination, module_of(url).open_destination(url))


def open_relational(text: str) -> "Relational":
    """Returns an existing database, which holds profiles and labels beside the predictions. Raises UsageError
    for other destinations, and SourceError if there is no such SQLite database or it has no predictions."""
    url = urls.parse_url(text)
    if url.scheme not in RELATIONAL:
        raise UsageError(
            f"{url} stores no labels and no profiles of the scored rows; use sqlite:// or postgresql://"
        )
    return cast("Relational", open_existing(url))


def open_existing(url: Url) -> Destination:
    """Returns the destination that a URL names, and creates nothing. Raises SourceError if it is a SQLite
    database that is missing or a database without the tables of predictions, and else what
    `open_destination` raises."""
    if url.scheme not in RELATIONAL:
        return open_destination(url)
    if url.scheme == "sqlite" and not urls.database_file(url).exists():
        raise SourceError(f"{url}: there is no such database; `mlops score` creates it")
    return cast(Destination, module_of(url).open_destination(url, create=False))


def module_of(url: Url) -> ModuleType:
    """Returns the module of the destination that a URL names. Raises UsageError if the project has none."""
    name = MODULES.get(url.scheme, FILES)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise unknown_destination(url) from None


def unknown_destination(url: Url) -> UsageError:
    """Returns the refusal of a URL, which names what is left where the owner has deleted a destination."""
    known = [f"{scheme}://" for scheme, module in MODULES.items() if find_spec(module)]
    if find_spec(FILES):
        known.append("a folder")
    return UsageError(f"--to {url} is not a destination of this project: use {', '.join(known)}")
