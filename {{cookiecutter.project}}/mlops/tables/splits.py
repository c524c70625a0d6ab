"""Reads and writes the three splits of the prepared table, which are Parquet files."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from mlops.predict.dates import MILLISECONDS
from mlops.predict.schema import Schema
from mlops.predict.task import class_positions

PREPARED = Path("data/prepared")
SCHEMA = PREPARED / "schema.json"
PROVENANCE = PREPARED / "provenance.json"

ROW_GROUP = 100_000
"""The largest number of rows that are written at a time."""

CELLS = 10_000_000
"""The number of cells that are written at a time, if this many rows have more."""

PIECE = 20_000
"""The number of rows of a piece of a split."""

SplitName = Literal["train", "validation", "test"]
NAMES: Sequence[SplitName] = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """The rows of a split. Each of `columns` is of shape (rows,), and so is `target`, which holds the
    position of the row's class among those of the schema, or the number that is to be predicted."""

    columns: dict[str, NDArray[Any]]
    target: NDArray[Any]

    def __len__(self) -> int:
        return len(self.target)

    @classmethod
    def joined(cls, splits: Sequence["Split"]) -> "Split":
        """Returns the rows of all parts, in their order."""
        columns = {
            name: np.concatenate([each.columns[name] for each in splits])
            for name in splits[0].columns
        }
        return cls(columns, np.concatenate([each.target for each in splits]))

    def take(self, rows: slice | NDArray[Any]) -> "Split":
        """Returns the rows that a slice, a mask or positions select."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Split(columns, self.target[rows])


def split_file(name: SplitName) -> Path:
    return PREPARED / f"{name}.parquet"


class SplitWriter:
    """Writes the rows of a split to a Parquet file, in groups of rows, so that few are in memory, and in a
    thread, because that releases Python's global lock. The bytes of the file depend on the rows alone, and
    not on the pieces in which they come."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._writer: parquet.ParquetWriter | None = None

    def add(self, rows: pa.RecordBatch) -> None:
        """Adds rows, whose texts may be dictionaries. Raises the error with which earlier ones could not be
        written."""
        self._waiting.append(rows)
        group = min(ROW_GROUP, max(1, CELLS // rows.num_columns))
        while sum(map(len, self._waiting)) >= group:
            table = pa.Table.from_batches(self._waiting)
            self._write(table.slice(0, group))
            self._waiting = table.slice(group).to_batches()

    def close(self) -> None:
        """Writes the last rows; a split without rows has no file."""
        with self._thread:
            if self._waiting:
                self._write(pa.Table.from_batches(self._waiting))
            self._wait()
        if self._writer:
            self._writer.close()

    def _write(self, table: pa.Table) -> None:
        self._wait()
        self._writing = self._thread.submit(self._write_group, table)

    def _wait(self) -> None:
        if self._writing:
            self._writing.result()

    def _write_group(self, table: pa.Table) -> None:
        table = pa.table({name: plain_column(table[name]) for name in table.column_names})
        self._writer = self._writer or parquet.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def read_split(name: SplitName, schema: Schema) -> Split:
    """Returns the columns of the schema and the target of a split."""
    return split_of_table(parquet.read_table(split_file(name), **columns_of(schema)), schema)


def split_pieces(file: Path, schema: Schema, rows: int = PIECE) -> Iterator[Split]:
    """Yields the columns of the schema and the target of a file of a split, in pieces of as many rows."""
    columns = columns_of(schema)
    opened = parquet.ParquetFile(file, read_dictionary=columns["read_dictionary"], pre_buffer=False)
    for batch in opened.iter_batches(rows, columns=columns["columns"]):
        yield split_of_table(pa.Table.from_batches([batch]), schema)


def read_column(name: SplitName, column: str) -> NDArray[Any]:
    """Returns one column of a split, of shape (rows,)."""
    table = parquet.read_table(split_file(name), columns=[column], read_dictionary=[column])
    return numpy_column(table[column])


def columns_of(schema: Schema) -> dict[str, list[str]]:
    texts = [*schema.names("category"), *([schema.target] if schema.classes else [])]
    return {
        "columns": [*(column.name for column in schema.columns), schema.target],
        "read_dictionary": texts,
    }


def split_of_table(table: pa.Table, schema: Schema) -> Split:
    columns = {column.name: numpy_column(table[column.name]) for column in schema.columns}
    return Split(columns, target_of(numpy_column(table[schema.target]), schema))


def target_of(values: NDArray[Any], schema: Schema) -> NDArray[Any]:
    """Returns the `target` of a split from the values of its column, both of shape (rows,)."""
    return class_positions(values, schema.classes) if schema.classes else values


def numpy_column(column: pa.ChunkedArray) -> NDArray[Any]:
    """Returns numbers, 1 and 0 for booleans, the days since 1970-01-01 for dates, or text of which each
    distinct one is in memory once: shape (rows,)."""
    if pa.types.is_dictionary(column.type):
        encoded = column.unify_dictionaries().combine_chunks()
        words = np.array(encoded.dictionary.to_pylist(), object)
        positions: NDArray[np.int32] = encoded.indices.to_numpy()
        return words[positions]
    if pa.types.is_date(column.type):
        column = column.cast(pa.int32())
    if pa.types.is_timestamp(column.type):
        return numpy_column(column.cast(pa.int64())) / MILLISECONDS
    if not pa.types.is_string(column.type):
        column = column.cast(pa.float64())
    return np.asarray(column)
