"""Reads the profiles of the batches that a release has scored in a window of days, and divides the window.

A batch stores a profile, the number of its rows in each bin, and a sample of hashes of its rows, so that
monitoring needs no rows of the inputs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlops.batch.destinations.relational import Relational, datetime_of
from mlops.contract.profile import Counts
from mlops.predict.release import Release
from mlops.tables.row_hashes import NO_ROWS, RowSample

BATCHES = """
SELECT batch, batch_id, started_at, rows FROM batches
WHERE environment = ? AND model_version = ? AND started_at >= ? AND status = 'finished' ORDER BY batch"""

PROFILES = """
SELECT batch, "column", bin, profiles.rows AS rows FROM profiles JOIN batches USING (batch)
WHERE environment = ? AND model_version = ? AND started_at >= ?"""

KEYS = """
SELECT count(DISTINCT row_key) AS keys FROM scores JOIN batches USING (batch)
WHERE environment = ? AND model_version = ? AND started_at >= ? AND started_at < ?"""

HASHES = """
SELECT batch, hash, row_hashes.rows AS rows FROM row_hashes JOIN batches USING (batch)
WHERE environment = ? AND model_version = ? AND started_at >= ?"""


Scope = tuple[str, str, datetime]
"""An environment, a version, and the time since which its batches count."""


@dataclass(frozen=True)
class Part:
    """The whole window, one of its days or one of its batches. `members` are the positions of its batches,
    and `independent` is the share of its rows, 0 to 1, that counts if repeated rows count once."""

    name: str
    members: Sequence[int]
    independent: float


@dataclass(frozen=True)
class Window:
    """The batches of a window. `names`, `days`, `rows` and `samples` have an item for each batch; `counts`
    are the numbers of rows in each bin by column, each of shape (batches, bins). `day_keys` are the numbers
    of different keys by day, and `keys` is that of the whole window."""

    names: Sequence[str]
    days: Sequence[date]
    rows: Counts
    samples: Sequence[RowSample]
    counts: Mapping[str, NDArray[np.int64]]
    day_keys: Mapping[date, int]
    keys: int

    def totals(self) -> dict[str, Counts]:
        """Returns the number of rows in each bin, of shape (bins,), by column."""
        return {column: rows.sum(axis=0) for column, rows in self.counts.items()}

    def parts(self) -> list[Part]:
        """Returns the whole window, then each day and then each batch, without those that hold the same
        batches as an earlier one."""
        found: dict[tuple[int, ...], Part] = {}
        for name, members, keys in self._divisions():
            if members not in found:
                found[members] = Part(name, members, self._independent_share(members, keys))
        return [*found.values()]

    def _divisions(self) -> Iterator[tuple[str, tuple[int, ...], int]]:
        """Yields the name, the members and the number of different keys of each part."""
        yield "in all batches", tuple(range(len(self.names))), self.keys
        for day, keys in sorted(self.day_keys.items()):
            members = (batch for batch, its_day in enumerate(self.days) if its_day == day)
            yield f"on {day}", tuple(members), keys
        for batch, name in enumerate(self.names):
            yield f"in batch {name}", (batch,), int(self.rows[batch])

    def _independent_share(self, members: Sequence[int], keys: int) -> float:
        """Returns the share of the rows of some batches, 0 to 1, that counts. Rows with the same key count
        once, because they are about the same thing, and so do copies of a batch or within a batch."""
        rows = int(self.rows[[*members]].sum())
        samples = [self.samples[batch] for batch in members]
        once_in_batches = sum(
            int(self.rows[batch]) / sample.copies()
            for batch, sample in zip(members, samples, strict=True)
        )
        once = rows / RowSample.merged([NO_ROWS, *samples]).copies()
        return min(keys, once, once_in_batches) / max(rows, 1)


def read_window(
    database: Relational, released: Release, since: datetime, bins: Mapping[str, int]
) -> Window:
    """Returns the batches that the release has scored since then. `bins` is the number of bins by column;
    columns without a profile are left out."""
    scope = (released.environment, released.name, since)
    batches = database.query(BATCHES, *scope).to_pylist()
    numbers = np.array([row["batch"] for row in batches], np.int64)
    profiles = of_batches(database.query(PROFILES, *scope), numbers)
    columns = profiles["column"].to_numpy()
    positions = np.searchsorted(numbers, profiles["batch"].to_numpy())
    counts = {}
    for column in {*columns} & bins.keys():
        rows = np.zeros((len(batches), bins[column]), np.int64)
        chosen = columns == column
        places = positions[chosen], profiles["bin"].to_numpy()[chosen]
        rows[places] = profiles["rows"].to_numpy()[chosen]
        counts[column] = rows
    days = [datetime_of(row["started_at"]).date() for row in batches]
    return Window(
        names=[row["batch_id"] for row in batches],
        days=days,
        rows=np.array([row["rows"] for row in batches], np.int64),
        samples=samples_of(database, scope, numbers),
        counts=counts,
        day_keys={day: keys_on_day(database, scope, day) for day in {*days}},
        keys=count_keys(database, scope, datetime.now(UTC)),
    )


def keys_on_day(database: Relational, scope: Scope, day: date) -> int:
    """Returns the number of different keys that the release has scored on a day of UTC."""
    environment, version, since = scope
    start = datetime.combine(day, time(), UTC)
    return count_keys(
        database, (environment, version, max(start, since)), start + timedelta(days=1)
    )


def count_keys(database: Relational, scope: Scope, until: datetime) -> int:
    return int(database.query(KEYS, *scope, until)["keys"][0].as_py())


def of_batches(rows: pa.Table, numbers: NDArray[np.int64]) -> pa.Table:
    """Returns the rows of these batches. Others can have been stored since the batches were read."""
    return rows.filter(pc.is_in(rows["batch"].cast(pa.int64()), pa.array(numbers)))


def samples_of(database: Relational, scope: Scope, numbers: NDArray[np.int64]) -> list[RowSample]:
    """Returns the sample of hashes of each batch; `numbers` are those of the batches, in ascending order."""
    hashes = of_batches(database.query(HASHES, *scope), numbers)
    hashes = hashes.sort_by([("batch", "ascending"), ("hash", "ascending")])
    starts = np.searchsorted(hashes["batch"].to_numpy(), numbers[1:])
    parts = [np.split(hashes[name].to_numpy(), starts) for name in ("hash", "rows")]
    return [RowSample(*sample) for sample in zip(*parts, strict=True)]
