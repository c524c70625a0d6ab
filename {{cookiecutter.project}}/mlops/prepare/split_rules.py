"""Tells in which split each row is, by one of four rules: by row, class, group or time (`prepare.split`).

By row and by group, the position of a row alone decides. By class and by time, the whole table does, which is
read once for that before it is split.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.errors import DataError, say
from mlops.params import PrepareParams, SplitParams
from mlops.predict.dates import date_text
from mlops.prepare import position, raw
from mlops.prepare.position import Positions
from mlops.tables.cells import Cells, Dates, Numbers, Times
from mlops.tables.row_hashes import Hashes, RowSample

SplitRule = Callable[[Cells, Hashes], NDArray[Any]]
"""Returns the split of each row, "train", "validation" or "test", of shape (rows,), from its cells and the
hash of what stays together with it."""

RARE = 1000
"""The largest number of different rows of a class that is split exactly. The shares of a larger one are those
that are declared, but for chance, if each of its rows is placed by its position alone; then no row moves."""


@dataclass(frozen=True)
class Cuts:
    """A row is a test row if its number is under `test`, a validation row if it is under `validation`, and a
    training row if it is not. Both are numbers, or of shape (rows,)."""

    test: Any
    validation: Any

    def split_names(self, numbers: NDArray[np.float64]) -> NDArray[Any]:
        conditions = [numbers < self.test, numbers < self.validation]
        return np.select(conditions, ["test", "validation"], "train")


def split_rule(params: PrepareParams) -> SplitRule:
    """Returns the rule of prepare.split. Raises DataError if the raw table can't be split by it."""
    split = params.split
    if split.by == "time" and split.column:
        return rule_by_time(params, split.column)
    if split.by == "class":
        return rule_by_class(params)
    cuts = declared_cuts(split)
    return lambda cells, hashes: cuts.split_names(position.positions(hashes, params, "split"))


def declared_cuts(split: SplitParams) -> Cuts:
    return Cuts(split.test, split.test + split.validation)


def rule_by_class(params: PrepareParams) -> SplitRule:
    """Returns the rule that splits each class by itself. Raises DataError for a class with too few rows."""
    found: dict[str, Positions] = defaultdict(lambda: np.array([]))
    for cells in raw.read_rows(params):
        target = cells.texts[params.target]
        positions = position.positions(position.input_hashes(cells, params), params, "split")
        for number, name in enumerate(target.words):
            more = positions[target.numbers == number]
            found[name] = np.unique(np.concatenate([found[name], more]))[: RARE + 1]
    cuts = {
        name: class_cuts(name, positions, params)
        for name, positions in found.items()
        if len(positions)
    }

    def split_names(cells: Cells, hashes: Hashes) -> NDArray[Any]:
        target = cells.texts[params.target]
        by_word = [cuts.get(name, declared_cuts(params.split)) for name in target.words]
        both = np.array([(each.test, each.validation) for each in by_word])[target.numbers]
        positions = position.positions(hashes, params, "split")
        return Cuts(both[:, 0], both[:, 1]).split_names(positions)

    return split_names


def class_cuts(name: str, positions: Positions, params: PrepareParams) -> Cuts:
    """Returns the cuts of a class from the different positions of its rows in ascending order, of which the
    first RARE + 1 are enough. Each split gets a row at least."""
    rows = len(positions)
    if rows > RARE:
        return declared_cuts(params.split)
    if rows < 3:
        raise DataError(
            f"{raw.RAW}: column {params.target!r} has {rows} different row{'s' * (rows > 1)} of the class "
            f"{name!r}, and 3 are needed, one for each split: add rows of this class, or leave them out"
        )
    test = min(max(round(params.split.test * rows), 1), rows - 2)
    validation = min(max(round(params.split.validation * rows), 1), rows - test - 1)
    return Cuts(positions[test], positions[test + validation])


def rule_by_time(params: PrepareParams, column: str) -> SplitRule:
    """Returns the rule that makes test rows of the newest rows and training rows of the oldest, and prints
    where it cuts. Raises DataError if the column has too few different times, or dates and numbers."""
    by = f"{raw.RAW}: column {column!r}, by which rows are split (prepare.split),"
    parts: list[NDArray[np.float64]] = []
    kinds: dict[bool, Numbers] = {}
    for cells in raw.read_rows(params):
        numbers = cells.numbers[column]
        parts.append(numbers.values)
        kinds[isinstance(numbers, Times) and numbers.are_dates] = numbers
    if len(kinds) > 1:
        raise DataError(f"{by} holds dates in one place and numbers in another: write all alike")
    times, rows = np.unique(np.concatenate(parts), return_counts=True)
    if len(times) < 3:
        raise DataError(
            f"{by} has {len(times)} different time{'s' * (len(times) > 1)}, and 3 are needed, one for each "
            "split: name another column, or split by row"
        )
    newer = rows[::-1].cumsum()[::-1]
    test_rows = params.split.test * newer[0]
    test = 2 + nearest(newer[2:], test_rows)
    validation = 1 + nearest(newer[1:test], test_rows + params.split.validation * newer[0])
    (kind,) = kinds.values()
    for name, first in (("validation", validation), ("test", test)):
        begin = (
            f"prepare: {name} rows are those with {column} from {time_text(times[first], kind)} on"
        )
        say(f"{begin}; rows at this time, which stay together: {rows[first]:,}")
    cuts = Cuts(-times[test - 1], -times[validation - 1])
    return lambda cells, hashes: cuts.split_names(-cells.numbers[column].values)


def nearest(numbers: NDArray[np.int64], wanted: float) -> int:
    return int(np.abs(numbers - wanted).argmin())


def time_text(time: float, kind: Numbers) -> str:
    """Returns a time as text, if it is a value of a column of this kind."""
    if isinstance(kind, Dates):
        return date_text(time)
    if isinstance(kind, Times) and kind.are_dates:
        return datetime.fromtimestamp(time, UTC).replace(tzinfo=None).isoformat(" ")
    return f"{time:.15g}"


def refuse_useless_groups(groups: RowSample, params: PrepareParams) -> None:
    """Raises DataError if there are fewer groups than splits, or if no group has two rows. `groups` is a
    sample of their hashes."""
    by = f"{raw.RAW}: column {params.split.column!r}, by which rows are split (prepare.split),"
    if (count := len(groups.hashes)) < 3:
        raise DataError(
            f"{by} has {count} different value{'s' * (count > 1)}, and 3 are needed, one for each split: "
            "name another column, or split by row"
        )
    if (groups.rows == 1).all():
        raise DataError(
            f"{by} is different in every row, so that no rows belong together: name the column of what has "
            "several rows, such as a person, or split by row"
        )
