"""Converts the cells of records to numbers, booleans, dates and texts: one rule for training and for
batches."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlops.predict.cells import text_of
from mlops.predict.dates import (
    END,
    FIRST,
    MILLISECONDS,
    date_pattern,
    date_text,
    days_of_text,
    has_time,
)
from mlops.predict.dialect import ISO, Dialect
from mlops.tables import row_hashes
from mlops.tables.pieces import Wanted
from mlops.tables.row_hashes import Hashes

ISO_TIMES = frozenset(
    f"{ISO}{mark}{clock}{zone}"
    for mark in "T "
    for clock in ("%H:%M", "%H:%M:%S")
    for zone in ("", "%z")
)

Mask = NDArray[np.bool_]
"""One bool for each row, of shape (rows,)."""


@dataclass(frozen=True)
class Numbers:
    """A number column. Each of its fields is of shape (rows,): `values` are the numbers, and NaN if a cell is
    missing or is not a number; `unknown` tells which cells are missing; `cells` are the cells as they were
    read."""

    values: NDArray[np.float64]
    unknown: Mask
    cells: pa.Array

    def __len__(self) -> int:
        return len(self.values)

    def cell(self, row: int) -> object:
        """Returns the cell of a row as a client of the service would send it."""
        if self.unknown[row]:
            return None
        value = float(self.values[row])
        if np.isnan(value):
            return self.text(row)
        return int(value) if value.is_integer() and abs(value) < 2**53 else value

    def text(self, row: int) -> str:
        """Returns the cell of a row as text, be it a date that Python does not have."""
        (text,) = self.cells.slice(row, 1).cast(pa.string()).to_pylist()
        return str(text)

    def hashes(self) -> Hashes:
        """Returns a hash of the value of each row, of shape (rows,)."""
        return row_hashes.number_hashes(self.values)

    def to_arrow(self) -> pa.Array:
        """Returns the column as Parquet files store it, null for missing, of shape (rows,)."""
        return pa.array(self.values, from_pandas=True)


class Booleans(Numbers):
    """A boolean column, whose `values` are 1 for true and 0 for false."""

    def cell(self, row: int) -> object:
        """Returns the cell of a row as a client of the service would send it."""
        value = super().cell(row)
        return bool(value) if value in (0, 1) else value

    def to_arrow(self) -> pa.Array:
        """Returns the column as Parquet files store it, of shape (rows,)."""
        return pa.array(self.values == 1, mask=np.isnan(self.values))


@dataclass(frozen=True)
class Dates(Numbers):
    """A date column, whose `values` are the numbers of days since 1970-01-01, with a fraction if the dates
    have a time. `form` is the form of dates as text."""

    form: str

    def cell(self, row: int) -> object:
        """Returns the cell of a row as a client of the service would send it. What is no date is followed by
        the form that it should have."""
        if self.unknown[row]:
            return None
        if np.isnan(self.values[row]):
            return f"{self.text(row)} (not {self.form})"
        return date_text(self.values[row])

    def to_arrow(self) -> pa.Array:
        """Returns the column as Parquet files store it, of shape (rows,)."""
        missing = np.isnan(self.values)
        days = np.where(missing, 0, self.values)
        if not has_time(self.form):
            return pa.array(days.astype(np.int32), mask=missing).cast(pa.date32())
        moments = np.round(days * MILLISECONDS).astype(np.int64)
        return pa.array(moments, pa.timestamp("ms"), mask=missing)


@dataclass(frozen=True)
class Times(Numbers):
    """A column that puts rows in order. Its `values` are the seconds since 1970-01-01 of dates and times, or
    other numbers; `are_dates` tells which."""

    are_dates: bool

    def cell(self, row: int) -> object:
        """Returns the cell of a row, what is no time as text."""
        if self.unknown[row] or not np.isnan(self.values[row]):
            return super().cell(row)
        return self.cells.slice(row, 1).cast(pa.string())[0].as_py()

    def to_arrow(self) -> pa.Array:
        """Returns the column in the type by which it is read again, of shape (rows,)."""
        if not self.are_dates:
            return super().to_arrow()
        missing = np.isnan(self.values)
        moments = np.where(missing, 0, self.values * 1e6).round().astype(np.int64)
        return pa.array(moments, pa.timestamp("us"), mask=missing)


@dataclass(frozen=True)
class Texts:
    """A category column. `words` are its distinct texts, with "" for a missing one, and `numbers`, of shape
    (rows,), is the position in `words` of the text of each row."""

    words: NDArray[Any]
    numbers: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def unknown(self) -> Mask:
        """Returns which rows have no text, of shape (rows,)."""
        return np.array([word == "" for word in self.words])[self.numbers]

    @property
    def values(self) -> NDArray[Any]:
        """Returns the text of each row, of shape (rows,)."""
        values: NDArray[Any] = self.words[self.numbers]
        return values

    def cell(self, row: int) -> object:
        """Returns the cell of a row as a client of the service would send it."""
        return self.words[self.numbers[row]] or None

    def hashes(self) -> Hashes:
        """Returns a hash of the text of each row, of shape (rows,)."""
        return row_hashes.text_hashes(self.words)[self.numbers]

    def to_arrow(self) -> pa.Array:
        """Returns the column as Parquet files store it, of shape (rows,)."""
        return pa.array(self.words, pa.string()).take(pa.array(self.numbers))

    def to_dictionary(self) -> pa.DictionaryArray:
        """Returns the same as `to_arrow` with each word once, of which few rows are taken in little time."""
        return pa.DictionaryArray.from_arrays(self.numbers, pa.array(self.words, pa.string()))

    def count_words(self, rows: Mask) -> Counter[str]:
        """Returns how often each text occurs in the rows of a mask."""
        counts: Counter[str] = Counter()
        per_position = np.bincount(self.numbers[rows], minlength=len(self.words))
        for word, count in zip(self.words, per_position.tolist(), strict=True):
            if count:
                counts[word] += count
        return counts


@dataclass(frozen=True)
class Cells:
    """Rows by column: the columns of numbers, booleans and dates included, and those of text, all of
    one length."""

    numbers: Mapping[str, Numbers]
    texts: Mapping[str, Texts]

    @property
    def columns(self) -> dict[str, Numbers | Texts]:
        return {**self.numbers, **self.texts}

    def to_arrow(self) -> pa.RecordBatch:
        """Returns the rows as Arrow has them, texts as dictionaries."""
        arrays = {name: each.to_arrow() for name, each in self.numbers.items()}
        return pa.RecordBatch.from_pydict(
            arrays | {name: each.to_dictionary() for name, each in self.texts.items()}
        )

    def take(self, rows: Mask) -> "Cells":
        """Returns the rows of a mask."""
        return Cells(
            {
                name: replace(
                    column,
                    values=column.values[rows],
                    unknown=column.unknown[rows],
                    cells=column.cells.filter(pa.array(rows)),
                )
                for name, column in self.numbers.items()
            },
            {
                name: replace(column, numbers=column.numbers[rows])
                for name, column in self.texts.items()
            },
        )


def read_cells(columns: Mapping[str, pa.Array], wanted: Wanted) -> Cells:
    """Returns the wanted columns. Each of `columns` is of shape (rows,)."""
    dialect = wanted.dialect
    return Cells(
        {name: number_cells(columns[name], dialect) for name in wanted.numbers}
        | {name: boolean_cells(columns[name], dialect) for name in wanted.booleans}
        | {name: date_cells(columns[name], dialect, name) for name in wanted.dates}
        | {name: time_cells(columns[name], dialect, name) for name in wanted.times},
        {name: text_cells(columns[name], dialect) for name in wanted.texts},
    )


def number_cells(cells: pa.Array, dialect: Dialect) -> Numbers:
    if is_text(cells.type):
        return Numbers(*parsed_texts(cells, dialect, one_by_one(dialect.number_of)), cells)
    return Numbers(*float_values(cells), cells)


def boolean_cells(cells: pa.Array, dialect: Dialect) -> Booleans:
    if is_text(cells.type):
        return Booleans(*parsed_texts(cells, dialect, one_by_one(dialect.boolean_of)), cells)
    return Booleans(*float_values(cells), cells)


def date_cells(cells: pa.Array, dialect: Dialect, column: str) -> Dates:
    form = dialect.form_of(column)
    if is_text(cells.type):
        return Dates(
            *parsed_texts(cells, dialect, lambda texts: days_of_texts(texts, form)), cells, form
        )
    moments, is_date, unknown = moments_of(cells)
    days = moments // 1000 / MILLISECONDS
    if not has_time(form):
        is_date &= days % 1 == 0
    return Dates(np.where(is_date, days, np.nan), unknown, cells, form)


def time_cells(cells: pa.Array, dialect: Dialect, column: str) -> Times:
    """Returns dates in the form of the dialect, dates and times in that of ISO 8601, or numbers. In a column
    of dates a number is none."""
    if is_text(cells.type) and dialect.form_of(column) == ISO:
        with suppress(
            pa.ArrowInvalid
        ):  # a missing cell or another form, which is read below, slowly
            moments = cells.cast(pa.string()).cast(pa.timestamp("us"))
            cells = moments if moments_of(moments)[1].all() else cells
    if is_text(cells.type):
        parse = one_by_one(lambda text: seconds_of(text, dialect, column))
        values, unknown = parsed_texts(cells, dialect, parse)
        if are_dates := not np.isnan(values).all():
            return Times(within_calendar(values), unknown, cells, are_dates)
        return Times(*parsed_texts(cells, dialect, one_by_one(dialect.number_of)), cells, are_dates)
    if pa.types.is_temporal(cells.type):
        moments, is_date, unknown = moments_of(cells)
        return Times(np.where(is_date, moments / 1e6, np.nan), unknown, cells, are_dates=True)
    return Times(*float_values(cells), cells, are_dates=False)


def within_calendar(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns seconds since 1970-01-01, of shape (rows,), NaN for those of no year from 1 to 9999."""
    is_moment = (seconds >= FIRST * 86400) & (seconds < END * 86400)
    return np.where(is_moment, seconds, np.nan)


def moments_of(cells: pa.Array) -> tuple[NDArray[np.int64], Mask, Mask]:
    """Returns the microseconds since 1970-01-01 of dates and times, which of them are in the years 1 to 9999,
    and which are missing: each of shape (rows,)."""
    seconds, moments = (
        cells.cast(pa.timestamp(unit), safe=False).cast(pa.int64()).fill_null(0).to_numpy()
        for unit in ("s", "us")  # microseconds of later years than 294247 begin again
    )
    unknown = cells.is_null().to_numpy(zero_copy_only=False)
    inside = (moments >= FIRST * 86_400_000_000) & (seconds >= FIRST * 86400)
    return moments, ~unknown & inside & (seconds < END * 86400), unknown


def seconds_of(text: str, dialect: Dialect, column: str) -> float:
    """Returns the seconds since 1970-01-01 of a date or time, which is that of Greenwich if it names no zone,
    and NaN for another text."""
    days = dialect.days_of(text, column)
    if not np.isnan(days) or "-" not in text:
        return days * 86400
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return np.nan
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def float_values(cells: pa.Array) -> tuple[NDArray[np.float64], Mask]:
    """Returns cells that are no text as numbers, and which are missing, as NaN is: both of shape (rows,)."""
    values = cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values + 0.0, np.isnan(values)  # -0 becomes the 0 that it equals


def one_by_one(parse: Callable[[str], float]) -> Callable[[list[str]], Iterable[float]]:
    """Returns a function of many texts that parses one after the other."""
    return lambda texts: map(parse, texts)


def days_of_texts(texts: list[str], form: str) -> Iterable[float]:
    """Returns what `days_of_text` does of each text. Often each row has another time, so that texts in one of
    the usual forms are parsed as an array."""
    if form in ISO_TIMES:
        array = pa.array(texts, pa.string())
        zone = "UTC" if "%z" in form else None
        fits = pc.match_substring_regex(array, f"^(?:{date_pattern(form).pattern})$")
        with suppress(pa.ArrowInvalid):  # such as 30 February, of which it tells nothing more
            if pc.all(fits).as_py() is not False:
                moments = array.cast(pa.timestamp("us", zone)).cast(pa.int64())
                days = moments.to_numpy() // 1000 / MILLISECONDS
                return [*np.where((days >= FIRST) & (days < END), days, np.nan)]
    return (days_of_text(text, form) for text in texts)


def parsed_texts(
    cells: pa.Array, dialect: Dialect, parse: Callable[[list[str]], Iterable[float]]
) -> tuple[NDArray[np.float64], Mask]:
    """Returns text cells as numbers, and which are missing: both of shape (rows,). Each distinct text is
    parsed once."""
    cells = dictionary_encoded(cells)
    texts = [text_of(cell or "") for cell in cells.dictionary.to_pylist()]
    known = [not dialect.is_missing(text) for text in texts]
    unknown = ~np.array([*known, False])
    values = np.full(len(unknown), np.nan)
    values[~unknown] = [*parse([*compress(texts, known)])]
    positions = cells.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    return values[positions], unknown[positions]


def text_cells(cells: pa.Array, dialect: Dialect) -> Texts:
    encoded = dictionary_encoded(cells)
    texts = [text_of(cell or "") for cell in encoded.dictionary.to_pylist()]
    words = ["" if dialect.is_missing(text) else text for text in texts]
    positions = encoded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
    return Texts(np.array([*words, ""], object), positions)


def dictionary_encoded(cells: pa.Array) -> pa.DictionaryArray:
    if pa.types.is_dictionary(cells.type):
        return cells
    return cells.cast(pa.string()).dictionary_encode()


def is_text(kind: pa.DataType) -> bool:
    types = pa.types
    kinds = (types.is_dictionary, types.is_string, types.is_large_string, types.is_string_view)
    return any(fits(kind) for fits in kinds)
