"""Reads Parquet files in pieces of some thousand rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from pyarrow import types

from mlops.tables.errors import SourceError
from mlops.tables.files import File
from mlops.tables.keys import can_be_key
from mlops.tables.pieces import Piece, Records, Wanted

PIECE = 10_000
"""The number of rows that are read at a time."""


@dataclass(frozen=True)
class ParquetSource:
    file: File
    schema: pa.Schema
    rows: int

    notice = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.schema.names)

    def refuse_unfit(self, wanted: Wanted) -> None:
        """Raises SourceError for a wanted column that the file has twice, and for those of another type, so
        that not every row is rejected for it."""
        wanted.refuse_twice(self.names, self.file.path)
        kinds = dict.fromkeys(wanted.numbers, (is_number, "numbers"))
        kinds |= dict.fromkeys(wanted.booleans, (is_boolean, "booleans"))
        kinds |= {
            name: (is_moment, "dates, with a time")
            if wanted.dialect.has_time(name)
            else (is_date, "dates, without a time zone")
            for name in wanted.dates
        }
        kinds |= dict.fromkeys(wanted.times, (can_be_time, "dates, times or numbers"))
        kinds |= dict.fromkeys(wanted.texts, (is_category, "text or whole numbers"))
        if wanted.key:
            kinds.setdefault(wanted.key, (can_be_key, "text, numbers or dates, to be the key"))
        faults = [
            f"column {name!r} is {self.schema.field(name).type} and should hold {kind}"
            for name, (fits, kind) in kinds.items()
            if not fits(self.schema.field(name).type)
        ]
        if faults:
            raise SourceError(f"{self.file.path}: {'; '.join(faults)}")

    def pieces(self, wanted: Wanted) -> Iterator[Piece]:
        first, start = 1, 0
        for rows in batches(self.file, wanted.names):
            end = self.file.size * (first - 1 + len(rows)) // self.rows
            yield Piece(self.file, Rows(self.file.path, rows, first), end - start)
            first, start = first + len(rows), end


@dataclass(frozen=True)
class Rows:
    """Rows of a Parquet file; `first` is the number of the first one in the file, counted from 1."""

    file: str
    rows: pa.RecordBatch
    first: int

    def records(self, wanted: Wanted) -> Records:
        columns = {name: self.rows[name] for name in wanted.names}
        for name in wanted.texts:
            if not is_text(columns[name].type):
                columns[name] = texts_of_whole_numbers(columns[name], self.file, name)
        return Records(columns, [], len(self.rows))

    def line(self, position: int) -> int:
        return self.first + position


def open_parquet(file: File) -> ParquetSource:
    """Returns the source of a Parquet file. Raises SourceError if the file is broken."""
    with parquet_file(file) as parquet:
        return ParquetSource(file, parquet.schema_arrow, parquet.metadata.num_rows)


def batches(file: File, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yields the columns of these names in pieces. Raises SourceError if the file is broken, and for text
    that is not UTF-8, which some programs store."""
    first = 1
    with parquet_file(file) as parquet:
        for rows in parquet.iter_batches(PIECE, columns=[*names]):
            for name in names:
                try:
                    rows[name].validate(full=True)
                except pa.ArrowInvalid as error:
                    raise SourceError(
                        f"{file.path}: column {name!r}, in the rows from {first:,} on: {error}; store its "
                        "text as UTF-8"
                    ) from None
            yield rows
            first += len(rows)


def texts_of_whole_numbers(cells: pa.Array, file: str, column: str) -> pa.Array:
    """Returns whole numbers as text. They may be stored as floats, as pandas does if one is missing. Raises
    SourceError for a number that is not whole."""
    try:
        if types.is_floating(cells.type):
            cells = pc.if_else(pc.is_nan(cells), None, cells).cast(pa.int64())
        return cells.cast(pa.string())
    except pa.ArrowInvalid:
        raise SourceError(
            f"{file}: column {column!r} is a category and holds numbers that are not whole: store it as "
            "text, or make it a `number` in params.yaml (prepare.columns)"
        ) from None


@contextmanager
def parquet_file(file: File) -> Iterator[pyarrow.parquet.ParquetFile]:
    with file.open() as raw:
        try:
            yield pyarrow.parquet.ParquetFile(
                raw, pre_buffer=False, coerce_int96_timestamp_unit="us"
            )
        except (OSError, pa.ArrowException) as error:
            raise SourceError(f"{file.path} is broken or cut off: {error}") from None


def is_number(kind: pa.DataType) -> bool:
    return any(
        fits(kind)
        for fits in (types.is_integer, types.is_floating, types.is_decimal, types.is_null)
    )


def is_boolean(kind: pa.DataType) -> bool:
    return types.is_boolean(kind) or is_text(kind)


def is_date(kind: pa.DataType) -> bool:
    is_local = types.is_timestamp(kind) and kind.tz is None
    return types.is_date(kind) or is_local or is_text(kind)


def is_moment(kind: pa.DataType) -> bool:
    return is_date(kind) or types.is_timestamp(kind)


def can_be_time(kind: pa.DataType) -> bool:
    return is_number(kind) or is_moment(kind)


def is_category(kind: pa.DataType) -> bool:
    return types.is_integer(kind) or types.is_floating(kind) or is_text(kind)


def is_text(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        return is_text(kind.value_type)
    kinds = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    return any(fits(kind) for fits in kinds)


def has_text(kind: pa.DataType) -> bool:
    """Returns whether text can stand for cells of this type, which are no lists, records or bytes."""
    if types.is_dictionary(kind):
        return has_text(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):  # such as a UUID
        return has_text(kind.storage_type)
    without = (
        *(types.is_nested, types.is_binary, types.is_large_binary, types.is_binary_view),
        types.is_fixed_size_binary,
    )
    return not any(fits(kind) for fits in without)
