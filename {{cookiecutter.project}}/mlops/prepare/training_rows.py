"""Describes the columns of the training rows, which are seen in pieces and not kept."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from mlops.errors import printable_text, say
from mlops.params import PrepareParams
from mlops.predict.dates import FIRST_DAY, date_text, part_names
from mlops.predict.schema import Column, ColumnType, Value
from mlops.tables.cells import Cells, Mask, Numbers, Texts
from mlops.tables.row_hashes import Hashes

MOST_CATEGORIES = 50
"""The number of categories that the schema keeps for each column, the most frequent ones. Any other category
counts as unknown."""

MOST_COUNTED = 500_000
"""The number of categories of a column that are counted. Beyond it the rarer half is forgotten, so that a
column in which every row differs takes no more memory."""

SAMPLED = 10_000
"""The number of rows of which the medians are those of the table; in a smaller table it is every row."""


class CategoryColumn:
    """The categories of the training rows, and how many rows have each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.rows = 0

    def add(self, texts: Texts, rows: Mask) -> None:
        self.counts.update(texts.count_words(rows))
        self.rows += int(rows.sum())
        if len(self.counts) > MOST_COUNTED:
            missing = self.counts[""]
            self.counts = Counter(dict(self.counts.most_common(MOST_COUNTED // 2)))
            self.counts[""] = missing

    def known(self) -> list[str]:
        """Returns the most frequent categories, of equally frequent ones the first in the alphabet."""
        counts = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return [word for word, _ in counts if word][:MOST_CATEGORIES]

    def column(self, name: str) -> Column | None:
        """Returns the column of the schema, or None if it is the same in every row."""
        known, missing = self.known(), self.counts[""] > 0
        if len(known) + missing < 2 or not known:
            leave_out(name, f"always {known[0]}" if known else "missing")
            return None
        others = self.rows - self.counts[""] - sum(self.counts[word] for word in known)
        if others:
            found = (
                f"prepare: column {name!r} has more categories than the {MOST_CATEGORIES} most frequent, "
                f"which the model knows; training rows that have another one: {others:,} "
                f"({others / self.rows:.1%})"
            )
            say(found)
        return Column(name, "category", known[0], missing, categories=tuple(sorted(known)))


VALUES: Mapping[ColumnType, Callable[[float], Value]] = {
    "integer": int,
    "number": float,
    "boolean": bool,
    "date": date_text,
}
"""The value that the schema holds for a number, by the type of the column."""


class NumberColumn:
    """The bounds of the numbers of the training rows."""

    def __init__(self) -> None:
        self.minimum, self.maximum, self.missing = np.inf, -np.inf, False

    def add(self, numbers: Numbers, rows: Mask) -> None:
        values = numbers.values[rows]
        known = values[~np.isnan(values)]
        self.missing |= len(known) < len(values)
        if len(known):
            self.minimum = min(self.minimum, float(known.min()))
            self.maximum = max(self.maximum, float(known.max()))

    def column(self, name: str, kind: ColumnType, sample: NDArray[np.float64]) -> Column | None:
        """Returns the column of the schema, or None if it is the same in every row. Its example is the median
        of the sample, of shape (rows,)."""
        if not (self.minimum < self.maximum or (self.minimum == self.maximum and self.missing)):
            leave_out(name, "missing" if self.missing else f"always {VALUES[kind](self.minimum)}")
            return None
        known = sample[~np.isnan(sample)]
        example = float(np.quantile(known, 0.5, method="nearest")) if len(known) else self.minimum
        low, middle, high = map(VALUES[kind], (self.minimum, example, self.maximum))
        column = Column(name, kind, middle, self.missing)
        if kind == "boolean":
            return column
        return replace(column, minimum=low, maximum=high)


class Sample:
    """The rows with the smallest hashes, which do not depend on the order of the rows."""

    def __init__(self, columns: int) -> None:
        self._hashes = [np.array([], np.uint64)]
        self._rows = [np.empty((0, columns))]
        self._bound = np.uint64(2**64 - 1)

    def add(self, columns: Sequence[NDArray[np.float64]], hashes: Hashes, rows: Mask) -> None:
        """Adds the rows of a mask, whose columns and hashes are of shape (rows,)."""
        chosen = np.flatnonzero(rows & (hashes <= self._bound))
        added = np.empty((len(chosen), len(columns)))
        for position, values in enumerate(columns):
            added[:, position] = values[chosen]
        self._hashes.append(hashes[chosen])
        self._rows.append(added)
        if sum(map(len, self._hashes)) > 2 * SAMPLED:
            self._keep_smallest()

    def _keep_smallest(self) -> None:
        every = np.concatenate(self._hashes)
        smallest = np.argsort(every, kind="stable")[:SAMPLED]
        self._hashes = [every[smallest]]
        self._rows = [np.concatenate(self._rows)[smallest]]
        if len(smallest) == SAMPLED:
            self._bound = self._hashes[0][-1]

    def rows(self) -> NDArray[np.float64]:
        """Returns the rows of the sample, of shape (rows, columns)."""
        self._keep_smallest()
        return self._rows[0]


class TrainingRows:
    """What is known of the columns of the training rows."""

    def __init__(self, params: PrepareParams) -> None:
        columns = params.columns
        self._types: dict[str, ColumnType] = {
            **dict.fromkeys(columns.integer, "integer"),
            **dict.fromkeys(columns.number, "number"),
            **dict.fromkeys(columns.boolean, "boolean"),
            **dict.fromkeys(columns.date, "date"),
        }
        self._dialect = params.source.dialect
        self._numbers = {name: NumberColumn() for name in self._types}
        self._categories = {name: CategoryColumn() for name in columns.category}
        self._sample = Sample(len(self._numbers))

    def add(self, cells: Cells, hashes: Hashes, rows: Mask) -> None:
        """Adds the rows of a mask. `hashes` are those of all rows, of shape (rows,)."""
        for name, numbers in self._numbers.items():
            numbers.add(cells.numbers[name], rows)
        for name, categories in self._categories.items():
            categories.add(cells.texts[name], rows)
        self._sample.add([cells.numbers[name].values for name in self._numbers], hashes, rows)

    def columns(self) -> list[Column]:
        """Returns the columns of the schema, without those that are the same in every row, of which it prints
        a warning."""
        numbers = (
            column.column(name, self._types[name], sample)
            for (name, column), sample in zip(
                self._numbers.items(), self._sample.rows().T, strict=True
            )
        )
        categories = (column.column(name) for name, column in self._categories.items())
        return [self._with_parts(column) for column in (*numbers, *categories) if column]

    def _with_parts(self, column: Column) -> Column:
        if column.type != "date":
            return column
        parts = part_names(column.name, with_hour=self._dialect.has_time(column.name))
        return replace(column, parts=parts, days_since=FIRST_DAY)


def leave_out(name: str, content: str) -> None:
    said = f"warning: column {name!r} is {content} in the training rows; it is left out"
    print(printable_text(said), file=sys.stderr)
