"""Finds out what each column of a table is: its type, or why a model should not see it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from msgspec.structs import replace as with_fields
from numpy.typing import NDArray

from mlops.adopt.spelling import Spelling, alike
from mlops.adopt.table import Table
from mlops.predict.cells import LARGEST
from mlops.predict.dates import date_text
from mlops.predict.dialect import Dialect
from mlops.predict.task import Task
from mlops.prepare.raw import LARGEST_INTEGER
from mlops.prepare.training_rows import MOST_CATEGORIES
from mlops.tables import cells
from mlops.tables.cells import Cells, Numbers, Texts
from mlops.tables.pieces import Wanted

Kind = Literal["integer", "number", "boolean", "date", "category", "ignored"]
KINDS: Sequence[Kind] = ("integer", "number", "boolean", "date", "category", "ignored")

LONGEST_CATEGORY = 1000
DAYS_OF_EXCEL = (20_000, 60_000)
"""The numbers by which Excel means days from 1954 to 2064."""

NAMED_ID = re.compile(
    r"(^|[\W_])(id|ids|uuid|guid|key|index|idx|rowid|row|nr|no|num|number|code)$|[a-z](ID|Id)$"
    r"|^(unnamed.*|column_1|rownames)$",
    re.IGNORECASE,
)
NAMED_TIME = re.compile(r"year|date|time|month|week|day|hour|quarter|period", re.IGNORECASE)
NAMED_DAY = re.compile(r"date|day|datum|time", re.IGNORECASE)
NAMED_GROUP = re.compile(
    r"(^|[\W_])(id|uuid|guid|person|patient|subject|customer|user|player|member|client|household|student"
    r"|employee|participant|animal|family|respondent|account)([\W_]?(id|no|nr|number|name|key))?$|[a-z]I[Dd]$",
    re.IGNORECASE,
)
NINES = re.compile(r"-?9+([.,]0+)?|-1([.,]0+)?")
"""A number that may mean "missing"."""

OF_TIME = "dates "
"""How the remarks on times begin that no type of column can hold."""


@dataclass(frozen=True)
class Column:
    """What was found of a column. `remark` says in words what is unusual, or why it is `ignored`. `doubt` is
    a question whether it should be ignored, if the answer cannot be told from its values."""

    name: str
    kind: Kind
    remark: str = ""
    doubt: str = ""

    def left_out(self, remark: str) -> "Column":
        return replace(self, kind="ignored", remark=remark, doubt="")


@dataclass(frozen=True)
class Findings:
    """What was found of the columns. `cells` are those of `table`, read as `spelling` says. `groups` are the
    columns that tell of every row with which others it belongs together."""

    table: Table
    spelling: Spelling
    cells: Cells
    columns: Sequence[Column]
    remarks: Sequence[str] = field(default=())
    groups: Sequence[str] = ()

    @property
    def kept(self) -> list[Column]:
        return [column for column in self.columns if column.kind != "ignored"]

    def values(self, name: str) -> Numbers | Texts:
        return self.cells.columns[name]


def find_columns(table: Table, spelling: Spelling, target: str) -> Findings:
    """Returns what every column but the target is."""
    spelling = with_sentinels(table, spelling, target)
    found_cells = read_as(table, spelling)
    columns = [
        described(name, found_cells.columns[name], spelling, table.rows)
        for name in table.columns
        if name != target
    ]
    groups = [
        column.name for column in columns if is_group(column, found_cells.columns[column.name])
    ]
    partial = [name for name in groups if found_cells.columns[name].unknown.any()]
    columns = without_copies(columns, found_cells)
    columns += [Column(name, "ignored", "it holds lists or records") for name in table.nested]
    remarks = [
        f"{name!r} may tell which rows belong together, but not for every row, so they are not split by it"
        for name in partial
    ]
    return Findings(
        table,
        spelling,
        found_cells,
        columns,
        (*remarks, *zero_remarks(columns, found_cells)),
        [name for name in groups if name not in partial],
    )


def read_as(table: Table, spelling: Spelling) -> Cells:
    """Returns the cells of the rows, as the pipeline reads them."""

    def of(kind: str) -> tuple[str, ...]:
        return tuple(name for name in table.columns if spelling.types[name] == kind)

    wanted = Wanted(of("number"), of("text"), None, spelling.dialect, of("boolean"), of("date"))
    return cells.read_cells(table.columns, wanted)


def wanted(found: Findings, target: str, task: Task) -> Wanted:
    """Returns the columns that the pipeline reads."""

    def of(*kinds: Kind) -> tuple[str, ...]:
        return tuple(column.name for column in found.columns if column.kind in kinds)

    numbers, texts = of("integer", "number"), of("category")
    if task == "regression":
        numbers += (target,)
    else:
        texts += (target,)
    return Wanted(numbers, texts, None, found.spelling.dialect, of("boolean"), of("date"))


def described(name: str, values: Numbers | Texts, spelling: Spelling, rows: int) -> Column:
    remark = spelling.remarks.get(name, "")
    if isinstance(values, Texts):
        return described_text(name, values, remark)
    known = values.values[~np.isnan(values.values)]
    different = np.unique(known)
    kind: Kind = "boolean" if isinstance(values, cells.Booleans) else "number"
    if isinstance(values, cells.Dates):
        kind = "date"
    column = Column(name, kind, remark)
    if len(different) < 2 and (len(known) == rows or not len(known)):
        said = f"always {values.cell(0)}" if len(known) else "empty in every row"
        return column.left_out(said)
    if kind != "number":
        return column
    if abs(known).max() > LARGEST:
        return column.left_out(f"numbers over {LARGEST:.2g}, the largest that a model takes")
    return described_number(column, known, different, values, rows)


def described_number(
    column: Column,
    known: NDArray[np.float64],
    different: NDArray[np.float64],
    values: Numbers,
    rows: int,
) -> Column:
    low, high = DAYS_OF_EXCEL
    if NAMED_DAY.search(column.name) and low < known.min() and known.max() < high:
        said = f"perhaps dates as Excel counts days: {known[0]:.0f} is {excel_day(known[0])}"
        column = replace(column, remark=f"{said}; format the cells as dates, and save again")
    if not (known % 1 == 0).all() or has_decimals(values, rows):
        return column
    is_large = abs(different).max() > LARGEST_INTEGER
    if len(different) == len(known) and len(known) >= max(20, 0.9 * rows):
        if reason := identifier_reason(column.name, np.diff(known)):
            return column.left_out(reason)
        doubt = f"column {column.name!r} has another whole number in each row: is it an identifier?"
        column = replace(column, doubt=doubt)
    elif is_large and NAMED_ID.search(column.name):
        return column.left_out("an identifier by its name, with numbers over 16,777,216")
    if is_large:
        said = "whole numbers over 16,777,216, which models round to seven digits"
        return replace(column, remark="; ".join(filter(None, (column.remark, said))))
    return replace(column, kind="integer")


def excel_day(days: float) -> str:
    return date_text(days - 25_569)  # the number of 1970-01-01


def identifier_reason(name: str, steps: NDArray[np.float64]) -> str:
    """Returns why a column with another whole number in each row is an identifier, "" if it may be an amount.
    `steps` are the differences from row to row, of shape (rows - 1,)."""
    if NAMED_TIME.search(name):
        return ""
    if (abs(steps) == 1).all():
        return "a row counter"
    if NAMED_ID.search(name):
        return "an identifier: another number in each row"
    return (
        "an identifier: another number in each row, in ascending order" if (steps > 0).all() else ""
    )


def has_decimals(values: Numbers, rows: int) -> bool:
    """Returns whether whole numbers are written with decimals, such as 12.00. A ".0" in a column with missing
    cells is how other programs write whole numbers."""
    is_missing = values.unknown.any()
    texts = values.cells.dictionary.to_pylist() if hasattr(values.cells, "dictionary") else []
    return any(re.search(r"\d[.,]\d{1,2}$", text or "") for text in texts[:1000]) and not (
        is_missing
        and all(re.search(r"\.0$|^[^.,]*$", (text or "").strip()) for text in texts[:1000])
    )


def described_text(name: str, texts: Texts, remark: str) -> Column:
    counts = np.bincount(texts.numbers, minlength=len(texts.words))
    known = {
        word: int(count) for word, count in zip(texts.words, counts, strict=True) if word and count
    }
    rows, different = sum(known.values()), len(known)
    column = Column(name, "category", remark)
    if different < 2 and (rows == len(texts) or not rows):
        return column.left_out(f"always {next(iter(known))}" if known else "empty in every row")
    if remark.startswith(OF_TIME):
        return column.left_out(remark)
    spaces = sum(word.count(" ") * count for word, count in known.items()) / max(rows, 1)
    length = sum(len(word) * count for word, count in known.items()) / max(rows, 1)
    is_long = (spaces >= 4 or length > 80) and different > max(10, 0.5 * rows)
    if is_long or max(map(len, known), default=0) > LONGEST_CATEGORY:
        return column.left_out(f"free text: {different:,} different texts in {rows:,} rows")
    if different >= 0.95 * rows and rows >= 15:
        return column.left_out(remark or "an identifier: another text in almost each row")
    frequent = sum(sorted(known.values())[-MOST_CATEGORIES:]) / max(rows, 1)
    if different > max(10, 0.5 * rows) or (different > MOST_CATEGORIES and frequent < 0.3):
        said = f"{different:,} different texts in {rows:,} rows: hardly any is frequent enough to learn from"
        return column.left_out("; ".join(filter(None, (remark, said))))
    remarks = [remark]
    if different > MOST_CATEGORIES:
        remarks.append(
            f"{different:,} categories; the {MOST_CATEGORIES} most frequent are known to the model"
        )
    remarks += similar_words(known)
    return replace(column, remark="; ".join(filter(None, remarks)))


def similar_words(known: Mapping[str, int]) -> Iterator[str]:
    """Yields a sentence if categories differ only in case, spaces or signs."""
    short = filter(lambda word: len(word) <= 40, known)
    if same := alike(short, lambda word: re.sub(r"[\W_]", "", word.casefold()) or word):
        shown = "; ".join(
            ", ".join(f"{word} ({known[word]:,})" for word in words) for words in same[:3]
        )
        yield f"spellings that may mean the same: {shown}"


def is_group(column: Column, values: Numbers | Texts) -> bool:
    """Returns whether a column names whom a row is about, several rows for each: a person, a customer."""
    if not NAMED_GROUP.search(column.name) or column.kind in ("boolean", "date"):
        return False
    codes = values.numbers if isinstance(values, Texts) else values.values[~np.isnan(values.values)]
    if not isinstance(values, Texts) and not (codes % 1 == 0).all():
        return False
    different = len(np.unique(codes))
    return 10 <= different <= len(codes) / 1.3


def without_copies(columns: Sequence[Column], found: Cells) -> list[Column]:
    """Returns the columns, of which those that have the values of an earlier one are ignored."""
    first: dict[tuple[bool, bytes], str] = {}
    result = []
    for column in columns:
        if column.kind != "ignored":
            values = found.columns[column.name]
            key = isinstance(values, Texts), values.hashes().tobytes()
            if first.setdefault(key, column.name) != column.name:
                column = column.left_out(f"a copy of {first[key]}")  # noqa: PLW2901
        result.append(column)
    return result


def with_sentinels(table: Table, spelling: Spelling, target: str) -> Spelling:
    """Returns the spelling with the numbers that mean "missing", such as -999, among its markers."""
    numbers = [n for n, kind in spelling.types.items() if kind == "number" and n in table.columns]
    words = table.words
    found: dict[str, dict[str, int]] = {}
    for name in numbers:
        if name != target:
            for word in sentinel_words(words[name], spelling.dialect):
                found.setdefault(word, {})[name] = words[name][word]
    sure = {
        word: counts
        for word, counts in found.items()
        if all(name in counts for name in numbers if word in words[name])
    }
    missing = ("", *sorted({*spelling.dialect.missing, *sure} - {""}))
    dialect = with_fields(spelling.dialect, missing=missing)
    return replace(spelling, dialect=dialect, markers={**spelling.markers, **sure})


def sentinel_words(words: Mapping[str, int], dialect: Dialect) -> list[str]:
    """Returns the texts of a number that is far from all others, occurs often and is written with nines, as
    those that mean "missing"."""
    if not any(map(NINES.fullmatch, words)):
        return []
    values = {word: dialect.number_of(word) for word in words if not dialect.is_missing(word)}
    different = sorted({*values.values()})
    if len(different) < 5:
        return []
    for extreme, rest in ((different[0], different[1:]), (different[-1], different[:-1])):
        spread = max(abs(rest[0]), abs(rest[-1]), 1)
        count = sum(words[word] for word, value in values.items() if value == extreme)
        nines = re.fullmatch("-?9+|-1", f"{extreme:.0f}") and extreme % 1 == 0
        is_far = abs(extreme) >= 5 * spread if extreme > 0 else rest[0] >= 0
        if extreme < -1 and rest[0] < 0:
            is_far = -extreme >= 5 * spread
        is_often = count >= max(2, 0.002 * sum(words.values()))
        if nines and is_far and is_often and (extreme != -1 or rest[0] > 1):
            return [word for word, value in values.items() if value == extreme]
    return []


def zero_remarks(columns: Sequence[Column], found: Cells) -> Iterator[str]:
    """Yields a sentence for each column of positive numbers whose zeros may mean "missing"."""
    for column in columns:
        if column.kind not in ("integer", "number"):
            continue
        values = found.numbers[column.name].values
        positive = values[values > 0]
        zeros = int((values == 0).sum())
        if not zeros or len(np.unique(positive)) < 20 or (values < 0).any():
            continue
        if zeros < 0.6 * len(values) and positive.min() > 0.15 * np.median(positive):
            yield (
                f"0 may mean missing in {column.name!r}: it has {zeros:,} zeros, and otherwise nothing "
                f"under {positive.min():g}"
            )
