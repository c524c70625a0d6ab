"""The input contract checks what a client sends, and turns it into columns.

A row with values as in training is decoded by a type that is made from the schema, without Python code for
each column. Only if that fails is each value examined, so that every fault is named at once.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from msgspec.structs import astuple

from mlops.contract.errors import InputError, MalformedBody, TooManyRows
from mlops.contract.faults import (
    MOST_FAULTS,
    Fault,
    Kind,
    cut_text,
    expected_words,
    faults_sentence,
    shown_value,
)
from mlops.predict.cells import LARGEST, is_missing, text_of
from mlops.predict.dates import END, FIRST, days_of
from mlops.predict.inputs import Columns
from mlops.predict.schema import Column, Schema, Severity

ORDER = {"date": 1, "category": 2}

Values = Sequence[tuple[Any, ...]]
"""The values of each row, in an order of the contract's own: numbers and booleans, then dates, then
text."""


@dataclass(frozen=True)
class Decoded:
    """The rows of a body. `single` says that the body was one row and not a list; `more` counts the warnings
    beyond those in `warnings`."""

    values: Values
    warnings: list[Fault]
    single: bool
    more: int = 0


class Contract:
    """Checks rows against a schema. A fault in a row that can be answered nevertheless is a warning if the
    schema's policy says so."""

    def __init__(self, schema: Schema) -> None:
        policy = schema.policy
        self.schema = schema
        self._columns = {
            column.name: column
            for column in sorted(schema.columns, key=lambda column: ORDER.get(column.type, 0))
        }
        self._numbers = len(schema.columns) - len(schema.names("date", "category"))
        self._texts = len(schema.columns) - len(schema.names("category"))
        self._dates = [column for column in schema.columns if column.type == "date"]
        self._date_bounds = [*map(column_bounds, self._dates)]
        self._known = {column.name: frozenset(column.categories) for column in schema.columns}
        self._missing = frozenset(schema.source.missing)
        self._severity: dict[Kind, Severity] = {
            "missing": "error",
            "type": "error",
            "finite": "error",
            "missing_value": policy.missing_value,
            "category": policy.unknown_category,
            "range": policy.out_of_range,
            "extra": policy.extra_column,
        }
        self._row = seen_row_type([*self._columns.values()])
        self._decoder = msgspec.json.Decoder(self._row | list[self._row])  # type: ignore[name-defined]

    def decode(self, body: bytes, most_rows: int) -> Decoded:
        """Returns the rows of a JSON object or of a list of objects. Raises InputError, as `columns` does."""
        try:
            found = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._judged_body(body, most_rows)
        rows = found if isinstance(found, list) else [found]
        refuse_row_count(rows, most_rows)
        # Of a field that stands twice the decoder keeps the last, and says nothing.
        if body.count(b":") > len(rows) * len(self._columns):
            return self._judged_body(body, most_rows)
        values = [*map(astuple, rows)]
        if self._date_bounds and not all(map(self._are_dates_seen, values)):
            return self._judged_body(body, most_rows)
        return Decoded(values, [], rows is not found)

    def columns(self, rows: Sequence[Mapping[str, Any]]) -> Columns:
        """Returns the rows as columns of shape (rows,). Raises InputError, which names every wrong field."""
        return self.arrays(self._judged(rows, single=False).values)

    def arrays(self, rows: Values) -> Columns:
        """Returns rows that were checked as columns of shape (rows,)."""
        numbers = np.array([row[: self._numbers] for row in rows], np.float64)
        texts = np.array([[text or "" for text in row[self._texts :]] for row in rows], object)
        dates = np.array([self._days(row) for row in rows]).T if self._date_bounds else ()
        return dict(zip(self._columns, (*numbers.T, *dates, *texts.T), strict=True))

    def examine(self, row: Mapping[str, Any]) -> list[Fault]:
        """Returns every fault of a row, warnings included."""
        return [self._fault(row, name, kind) for name, kind in self._faults(row)]

    def _judged_body(self, body: bytes, most_rows: int) -> Decoded:
        content = parse_body(body)
        rows = content if isinstance(content, list) else [content]
        refuse_row_count(rows, most_rows)
        refuse_other_than_objects(rows)
        return self._judged(rows, single=rows is not content)

    def _judged(self, rows: Sequence[Mapping[str, Any]], *, single: bool) -> Decoded:
        values = [self._seen(row) for row in rows]
        faults = [
            (kind, number, name)
            for number, row in enumerate(rows)
            if values[number] is None
            for name, kind in self._faults(row)
        ]
        faults.sort(key=lambda fault: self._severity[fault[0]])  # errors first
        first = [
            self._fault(rows[number], name, kind, number)
            for kind, number, name in faults[:MOST_FAULTS]
        ]
        more = len(faults) - len(first)
        if first and first[0].severity == "error":
            raise InputError(faults_sentence(first, more, single), first, more)
        whole = [seen or self._values(row) for seen, row in zip(values, rows, strict=True)]
        return Decoded(whole, first, single, more)

    def _seen(self, row: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Returns the values of a row, in the order of the arrays, or None if training saw no such row."""
        try:
            values = astuple(msgspec.convert(row, self._row))
        except (msgspec.ValidationError, UnicodeEncodeError):
            return None
        return values if self._are_dates_seen(values) else None

    def _days(self, values: tuple[Any, ...]) -> list[float]:
        """Returns the dates of a row as days since 1970-01-01."""
        return [*map(days_of, values[self._numbers : self._texts])]

    def _are_dates_seen(self, values: tuple[Any, ...]) -> bool:
        """Returns whether the dates of a row are missing, or within the bounds of the training."""
        bounds = zip(self._days(values), self._date_bounds, strict=True)
        return not any(days < low or days > high for days, (low, high) in bounds)

    def _values(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """Returns the values of a row without errors, in the order of the arrays."""
        values = [row[name] for name in self._columns]
        dates = map(date_of_json, self._dates, values[self._numbers : self._texts])
        texts = (category_text(value) or "" for value in values[self._texts :])
        known = ("" if is_missing(text, self._missing) else text for text in texts)
        return (*values[: self._numbers], *dates, *known)

    def _faults(self, row: Mapping[str, Any]) -> Iterator[tuple[str, Kind]]:
        for name, column in self._columns.items():
            if name not in row:
                yield name, "missing"
            elif kind := self._kind(column, row[name]):
                yield name, kind
        yield from ((name, "extra") for name in row if name not in self._columns)

    def _kind(self, column: Column, value: object) -> Kind | None:
        """Returns what is wrong with a value, or None."""
        if value is None:
            return None if column.missing else "missing_value"
        match column.type:
            case "category":
                return self._kind_of_text(column, value)
            case "boolean":
                return None if isinstance(value, bool) else "type"
            case "date":
                return kind_of_date(column, value)
            case _:
                return kind_of_number(column, value)

    def _kind_of_text(self, column: Column, value: object) -> Kind | None:
        if (text := category_text(value)) is None:
            return "type"
        if text in self._known[column.name]:
            return None
        if is_missing(text, self._missing):
            return None if column.missing else "missing_value"
        return "category"

    def _fault(self, row: Mapping[str, Any], name: str, kind: Kind, number: int = 0) -> Fault:
        wanted = (
            expected_words(self._columns[name], kind)
            if kind != "extra"
            else "no column of this name"
        )
        came = shown_value(row[name]) if kind != "missing" else "nothing"
        return Fault(cut_text(name), kind, wanted, came, self._severity[kind], number)


def kind_of_number(column: Column, value: object) -> Kind | None:
    """Returns what is wrong with the value of a number column, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "type"
    if not abs(value) <= LARGEST:
        return "finite"
    if column.type == "integer" and value % 1:
        return "type"
    low, high = column_bounds(column)
    return None if low <= value <= high else "range"


def kind_of_date(column: Column, value: object) -> Kind | None:
    """Returns what is wrong with the value of a date column, or None."""
    if not (day := date_of_json(column, value)):
        return "type"
    low, high = column_bounds(column)
    return None if low <= days_of(day) <= high else "range"


def category_text(value: object) -> str | None:
    """Returns the text of a category, of which a whole number is one too, and None for anything else."""
    if isinstance(value, str):
        return text_of(value) if is_unicode(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        return None
    return str(int(value))


def date_of_json(column: Column, value: object) -> date | None:
    """Returns the date of a text such as "2024-05-01", and None for anything else. If the dates of the column
    have a time, it may be such as "2024-05-01T13:45:00", with a zone or without, or "2024-05-01T13:45", which
    browsers send."""
    texts = {date: value}
    if column.has_time and isinstance(value, str):
        texts[datetime] = f"{value}:00" if len(value) == len("2024-05-01T13:45") else value
    for kind, text in texts.items():
        with suppress(msgspec.ValidationError, UnicodeEncodeError):
            moment: date = msgspec.convert(text, kind)
            return moment if FIRST <= days_of(moment) < END else None
    return None


def seen_row_type(columns: Sequence[Column]) -> Any:
    """Returns the type of a row with values as in training.

    If msgspec refuses the name of a column, it is a type that no row has, so that each row is examined.
    """
    fields = {f"c{position}": column for position, column in enumerate(columns)}
    try:
        return msgspec.defstruct(
            "Row",
            [(field, seen_type(column)) for field, column in fields.items()],
            rename={field: column.name for field, column in fields.items()},
            forbid_unknown_fields=True,
        )
    except ValueError:
        return msgspec.defstruct("NoRow", [("never", Annotated[int, Meta(ge=1, le=0)])])


def seen_type(column: Column) -> Any:
    """Returns the type of the values that training saw in a column."""
    if column.type == "category":
        values: Any = Literal[column.categories]
    elif column.type == "boolean":
        values = bool
    elif column.type == "date":
        # of any day: the contract compares it with the bounds
        values = datetime if column.has_time else date
    else:
        kind = int if column.type == "integer" else float
        low, high = column_bounds(column)
        values = Annotated[kind, Meta(ge=low, le=high)]
    return values | None if column.missing else values


def column_bounds(column: Column) -> tuple[float, float]:
    """Returns the smallest and the largest number that training saw in a column, for dates in days since
    1970-01-01."""
    low = -LARGEST if column.minimum is None else number_of_bound(column.minimum)
    return low, LARGEST if column.maximum is None else number_of_bound(column.maximum)


def number_of_bound(bound: float | str) -> float:
    return days_of(datetime.fromisoformat(bound)) if isinstance(bound, str) else bound


def parse_body(body: bytes) -> Any:
    """Returns the content of a body. Raises MalformedBody if it is not JSON, or holds a field twice."""
    try:
        return json.loads(body.decode(), object_pairs_hook=object_of_fields)
    except RecursionError:
        raise MalformedBody("nested too deeply: a row is one flat object") from None
    except UnicodeDecodeError as error:
        raise MalformedBody(
            f"byte {body[error.start]:#x} at position {error.start} is not UTF-8: send the text in UTF-8"
        ) from None
    except json.JSONDecodeError as error:
        raise MalformedBody(f"this is not JSON: {error}") from None
    except ValueError:
        raise MalformedBody(
            "a number has thousands of digits, more than a model can take"
        ) from None


def object_of_fields(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Returns the fields of an object by name. Raises MalformedBody if a name comes twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise MalformedBody(
            f"{shown_value(twice)} appears twice in one object: send each field once"
        )
    return found


def refuse_row_count(rows: Sequence[object], most: int) -> None:
    """Raises InputError if there is no row, and TooManyRows if there are more than `most`."""
    if not rows:
        raise InputError("the list holds no row: send at least one")
    if len(rows) > most:
        raise TooManyRows(
            f"{len(rows):,} rows are more than the {most:,} that one request may hold: send them in "
            "parts, or score them as a batch"
        )


def refuse_other_than_objects(rows: Sequence[object]) -> None:
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(
                f"row {number} should be an object with a value for each column, not {shown_value(row)}"
            )


def is_unicode(text: str) -> bool:
    """Returns whether UTF-8 can encode the text: JSON can escape half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
