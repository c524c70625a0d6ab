"""Reads and writes the three splits of the prepared table, which are Parquet files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from mlops.predict.schema import Schema

PREPARED = Path("data/prepared")
SCHEMA = PREPARED / "schema.json"
PROVENANCE = PREPARED / "provenance.json"

SplitName = Literal["train", "validation", "test"]
NAMES: Sequence[SplitName] = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """The rows of a split. Each of `columns` is of shape (rows,), and so is `target`, which is 0 for the
    negative and 1 for the positive class."""

    columns: dict[str, NDArray[Any]]
    target: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: slice | NDArray[Any]) -> "Split":
        """Returns the rows that a slice, a mask or positions select."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Split(columns, self.target[rows])


def split_file(name: SplitName) -> Path:
    return PREPARED / f"{name}.parquet"


def write_split(name: SplitName, split: Split, schema: Schema) -> None:
    labels = np.asarray(schema.classes, object)[split.target]
    table = pa.table({**split.columns, schema.target: labels})
    parquet.write_table(table, split_file(name))


def read_split(name: SplitName, schema: Schema) -> Split:
    """Returns the columns of the schema and the target of a split."""
    table = parquet.read_table(split_file(name))
    columns = {column.name: table[column.name].to_numpy() for column in schema.columns}
    target = (table[schema.target].to_numpy() == schema.positive).astype(np.int8)
    return Split(columns, target)
