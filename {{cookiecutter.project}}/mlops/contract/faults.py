"""Describes what is wrong with the fields of a row."""

import json
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from mlops.predict.schema import Column, Severity

Kind = Literal["missing", "type", "range", "category", "missing_value", "extra", "finite", "answer"]

MOST_FAULTS = 100
MOST_CATEGORIES = 5
MOST_CHARACTERS = 100
WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "a boolean (true or false)",
    "date": 'a date such as "2024-05-01"',
    "category": "text or a whole number",
}
WITH_TIME = 'a date with a time such as "2024-05-01T13:45:00"'


class Fault(Struct, frozen=True):
    """A fault of one field of one row, counted from 0. `expected` and `came` are texts for people."""

    column: str
    kind: Kind
    expected: str
    came: str
    severity: Severity
    row: int = 0

    def __str__(self) -> str:
        return f"{self.column}: expected {self.expected}, got {self.came}"


def faults_sentence(faults: Sequence[Fault], more: int, single: bool) -> str:
    """Returns the faults as one sentence, with the row of each unless the body was a single row."""
    clauses = [f"{fault}" if single else f"row {fault.row}: {fault}" for fault in faults]
    return "; ".join([*clauses, f"and {more:,} more"] if more else clauses)


def expected_words(column: Column, kind: Kind) -> str:
    """Returns what a column should hold, as a text for people."""
    match kind:
        case "missing_value":
            return "a value, as always in training"
        case "category":
            return f"{listed_categories(column.categories)}, as in training"
        case "range":
            return f"{column.minimum} to {column.maximum}, as in training"
        case "finite":
            return "a number that 32 bits can hold"
        case _:
            words = WITH_TIME if column.has_time else WORDS[column.type]
            return words + " or null" * column.missing


def listed_categories(categories: Sequence[str]) -> str:
    first = ", ".join(map(shown_value, categories[:MOST_CATEGORIES]))
    more = len(categories) - MOST_CATEGORIES
    return f"one of {first}" + (f" or {more} more" if more > 0 else "")


def shown_value(value: object) -> str:
    """Returns a value as short JSON, or a description if it is long."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, str):
        value = value[:MOST_CHARACTERS]
    try:
        return cut_text(json.dumps(value, ensure_ascii=False, default=str))
    except ValueError:
        return "a number of thousands of digits"


def cut_text(text: str) -> str:
    """Returns a text cut to MOST_CHARACTERS, with escapes for what UTF-8 cannot encode."""
    cut = text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
    return cut.encode(errors="backslashreplace").decode()
