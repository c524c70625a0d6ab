"""Reads rows of a stranger's files as text, by which the table is declared.

Of large files, pieces from the beginning to the end are read, so that any size takes seconds. The reader of
the pipeline reads the rest before anything is written.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import types

from mlops.adopt import spelling
from mlops.errors import DataError
from mlops.predict.dialect import Dialect
from mlops.tables import cells, csv_source, parquet_source
from mlops.tables.cells import Texts
from mlops.tables.files import File
from mlops.tables.parquet_source import ParquetSource
from mlops.tables.pieces import Broken, Wanted
from mlops.tables.sources import Source

PIECES = 20
"""The number of pieces of text that are read, each of some megabyte."""

ROWS = 200_000
"""The number of rows that are read of Parquet files."""


AS_TEXT = Dialect(missing=("",))


@dataclass(frozen=True)
class Table:
    """Rows of a table as text. `columns` are in the order of the files, each of shape (rows,). `whole` tells
    whether these are all rows. `nested` are the columns that no text can stand for."""

    columns: Mapping[str, pa.DictionaryArray]
    whole: bool
    nested: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def extended(self, parts: Sequence[Mapping[str, pa.Array]]) -> "Table":
        """Returns the table with more rows at its end, which are given as text by column."""
        columns = {
            name: joined([column, *(cells.dictionary_encoded(part[name]) for part in parts)])
            for name, column in self.columns.items()
        }
        return replace(self, columns=columns)

    @cached_property
    def words(self) -> Mapping[str, Mapping[str, int]]:
        """Returns by column the different texts, without "", and the number of rows of each."""
        every = {name: self.texts(name) for name in self.columns}
        return {
            name: spelling.texts_of(
                texts.words, np.bincount(texts.numbers, minlength=len(texts.words)).tolist()
            )
            for name, texts in every.items()
        }

    def texts(self, name: str) -> Texts:
        """Returns the texts of a column without spaces around them, "" for an empty cell."""
        texts = cells.text_cells(self.columns[name], Dialect())
        places = {word: place for place, word in enumerate(sorted({*texts.words}))}
        positions = np.array([places[word] for word in texts.words], np.int32)
        return Texts(np.array([*places], object), positions[texts.numbers])


def sample(opened: Sequence[Source]) -> Table:
    """Returns rows of the files as text, all of them if the files are small. Raises DataError if a record
    has another number of cells than the header, and SourceError if a file cannot be read."""
    names = opened[0].names
    parts: list[Mapping[str, pa.Array]] = []
    rows = sum(source.rows for source in opened if isinstance(source, ParquetSource))
    text = sum(source.file.size for source in opened if not isinstance(source, ParquetSource))
    step = max(1, rows // ROWS, text // (PIECES * csv_source.PIECE))
    for source in opened:
        parts += parts_of(source, names, step)
    nested = tuple(name for name in names if not all(name in part for part in parts))
    columns = {
        name: joined([cells.dictionary_encoded(part[name]) for part in parts])
        for name in names
        if name not in nested
    }
    return Table(columns, step == 1, nested)


def parts(opened: Sequence[Source], names: Sequence[str]) -> Iterator[Table]:
    """Yields some columns of all rows of the files as text, a part at a time."""
    for source in opened:
        for part in parts_of(source, names, 1):
            yield Table({name: cells.dictionary_encoded(part[name]) for name in names}, whole=False)


def joined(parts: Sequence[pa.DictionaryArray]) -> pa.DictionaryArray:
    if not parts:
        return pa.array([], pa.string()).dictionary_encode()
    whole = pa.chunked_array(parts).unify_dictionaries().combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole


def count_words(opened: Sequence[Source], name: str) -> Mapping[str, int]:
    """Returns the different texts of a column in all rows of the files, without "", and the number of rows of
    each. It is for columns of few different texts."""
    counts: Counter[str] = Counter()
    for source in opened:
        for part in parts_of(source, (name,), 1):
            texts = cells.text_cells(part[name], Dialect())
            counts += texts.count_words(np.ones(len(texts), bool))
    return spelling.texts_of(counts.keys(), counts.values())


def parts_of(source: Source, names: Sequence[str], step: int) -> Iterator[Mapping[str, pa.Array]]:
    """Yields some columns of every piece of a file whose number is a multiple of the step, as text."""
    if isinstance(source, ParquetSource):
        yield from parquet_parts(source, names, step)
        return
    wanted = Wanted((), tuple(names), None, AS_TEXT)
    for number, piece in enumerate(source.pieces(wanted)):
        if number % step == 0:
            records = piece.content.records(wanted)
            if records.broken:
                raise broken_error(source.file, piece.content.line, records.broken)
            yield records.columns


def broken_error(file: File, line: Callable[[int], int], broken: Sequence[Broken]) -> DataError:
    shown = ", ".join(f"line {line(each.position)} ({each.reason})" for each in broken[:5])
    more = f" and {len(broken) - 5:,} more" if len(broken) > 5 else ""
    return DataError(
        f"{file.path}: {shown}{more}: correct or remove these lines; a cell that holds the delimiter needs "
        "quotes around it"
    )


def parquet_parts(
    source: ParquetSource, names: Sequence[str], step: int
) -> Iterator[Mapping[str, pa.Array]]:
    names = [name for name in names if parquet_source.has_text(source.schema.field(name).type)]
    for number, rows in enumerate(parquet_source.batches(source.file, names)):
        if number % step == 0:
            yield {name: as_text(rows[name]) for name in names}


def as_text(column: pa.Array) -> pa.Array:
    """Returns cells as text as a CSV file would have them, of shape (rows,)."""
    kind = column.type
    if types.is_floating(kind):
        values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        known = np.isfinite(values)
        if (values[known] % 1 == 0).all() and (abs(values[known]) < 2**53).all():
            column = pc.if_else(
                pa.array(known), pa.array(np.where(known, values, 0).astype(np.int64)), None
            )
        else:
            column = pc.if_else(pa.array(~np.isnan(values)), pa.array(values), None)
    if types.is_timestamp(kind) and kind.tz is None:
        days = column.cast(pa.date32(), safe=False)
        if pc.all(pc.equal(days.cast(kind), column)).as_py() is not False:
            column = days
    return column.cast(pa.string())
