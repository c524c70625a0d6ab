"""A piece of a file: as many whole records as are scored at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlops.predict.schema import Schema
from mlops.tables.files import File


@dataclass(frozen=True)
class Wanted:
    """The columns to read. `missing` are the texts that mean "unknown"."""

    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    key: str | None
    missing: tuple[str, ...]

    @classmethod
    def from_schema(cls, schema: Schema, key: str | None) -> "Wanted":
        numbers, texts = schema.names("integer", "number"), schema.names("category")
        return cls(tuple(numbers), tuple(texts), key, schema.missing)

    @property
    def names(self) -> tuple[str, ...]:
        """Returns each name once, the model's columns before the key."""
        return tuple(dict.fromkeys([*self.numbers, *self.texts, *([self.key] if self.key else [])]))


@dataclass(frozen=True)
class Broken:
    """A record that is not a row, by its position in the piece."""

    position: int
    reason: str


@dataclass(frozen=True)
class Records:
    """The wanted columns of the records that are rows, numbers as numbers or as text."""

    columns: Mapping[str, pa.Array]
    broken: Sequence[Broken]
    number: int
    """The number of all records, including the broken ones."""

    @property
    def positions(self) -> NDArray[np.int64]:
        """Returns the positions of the rows among the records: shape (rows,)."""
        whole: NDArray[Any] = np.arange(self.number)
        return np.delete(whole, [broken.position for broken in self.broken])


class Content(Protocol):
    def records(self, wanted: Wanted) -> Records: ...

    def line(self, position: int) -> int:
        """Returns the line of the file, counted from 1, at which the record at a position begins."""


@dataclass(frozen=True)
class Piece:
    """A part of a file. `read` is the number of bytes of the file that it stands for."""

    file: File
    content: Content
    read: int
