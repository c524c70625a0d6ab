"""Defines a piece of a file: as many whole records as are scored at a time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlops.predict.dialect import Dialect
from mlops.predict.schema import Schema
from mlops.tables.errors import SourceError
from mlops.tables.files import File


@dataclass(frozen=True)
class Wanted:
    """The columns to read: the model's columns of numbers, `booleans` and `dates`, its category columns as
    `texts`, the key if rows are known by one, and `times`, by which rows are put in order. `dialect` says how
    they are written."""

    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    key: str | None
    dialect: Dialect
    booleans: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    times: tuple[str, ...] = ()

    @classmethod
    def from_schema(cls, schema: Schema, key: str | None) -> "Wanted":
        numbers, texts = schema.names("integer", "number"), schema.names("category")
        booleans, dates = schema.names("boolean"), schema.names("date")
        return cls(tuple(numbers), tuple(texts), key, schema.source, tuple(booleans), tuple(dates))

    @property
    def names(self) -> tuple[str, ...]:
        """Returns the name of each column once, the model's columns before the key."""
        names = [*self.numbers, *self.booleans, *self.dates, *self.times, *self.texts]
        return tuple(dict.fromkeys([*names, *([self.key] if self.key else [])]))

    def refuse_twice(self, names: Sequence[str], file: str) -> None:
        """Raises SourceError if a wanted column is more than once among the names of a file."""
        counts = Counter(names)
        if twice := [name for name in self.names if counts[name] > 1]:
            raise SourceError(
                f"{file} names {', '.join(map(repr, twice))} twice in its header: name each column once"
            )


@dataclass(frozen=True)
class Broken:
    """A record that is not a row, and why. `position` is its position in the piece, counted from 0."""

    position: int
    reason: str


@dataclass(frozen=True)
class Records:
    """The records of a piece. `columns` are the wanted columns of the records that are rows, each of shape
    (rows,), with numbers, booleans and dates as such or as text. `count` is the number of all records,
    `broken` ones included."""

    columns: Mapping[str, pa.Array]
    broken: Sequence[Broken]
    count: int

    @property
    def positions(self) -> NDArray[np.int64]:
        """Returns the positions of the rows among the records, of shape (rows,)."""
        every: NDArray[Any] = np.arange(self.count)
        return np.delete(every, [broken.position for broken in self.broken])


class Content(Protocol):
    def records(self, wanted: Wanted) -> Records: ...

    def line(self, position: int) -> int:
        """Returns the line of the file, counted from 1, at which the record at a position begins."""


@dataclass(frozen=True)
class Piece:
    """A part of a file. `size` is the number of bytes of the file that it stands for."""

    file: File
    content: Content
    size: int
