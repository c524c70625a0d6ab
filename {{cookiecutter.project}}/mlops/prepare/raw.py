"""The raw table: every CSV file of data/raw, checked against the columns of params.yaml."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from mlops.errors import DataError
from mlops.params import PrepareParams

RAW = Path("data/raw")
SHOWN = 5


def read(params: PrepareParams, folder: Path = RAW) -> pd.DataFrame:
    """All rows, in order of file name: numbers as float64 with NaN, text with "" for missing.

    Raises DataError that names file, column and lines.
    """
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise DataError(f"{folder} holds no CSV file: put your table there, or run `dvc pull`")
    tables = [read_file(file, params) for file in files]
    return pd.concat(tables, ignore_index=True)


def read_file(file: Path, params: PrepareParams) -> pd.DataFrame:
    text = cells(file, params)
    text = text.mask(text.isin(list(params.missing)))
    try:
        schema(params).validate(text, lazy=True)
    except pa.errors.SchemaErrors as errors:
        raise misfit(file, faults(errors)) from None
    columns = params.columns
    return text.assign(
        **{name: numbers(text[name]) for name in (*columns.integer, *columns.number)},
        **{
            name: text[name].fillna("").astype(object)
            for name in (*columns.category, params.target)
        },
    )


def cells(file: Path, params: PrepareParams) -> pd.DataFrame:
    """The declared columns as text without spaces around, indexed by the line of the file."""
    lines = lines_of(file)
    _, header = next(lines, (0, []))
    if not header:
        raise DataError(f"{file} is empty: it needs a header and rows")
    check_header(header, file, params)
    rows = dict(lines)
    if not rows:
        raise DataError(f"{file} holds a header and no rows: add rows, or remove the file")
    check_lengths(rows, header, file)
    table = pd.DataFrame(list(rows.values()), list(rows), header, dtype=str)
    return table.drop(columns=list(params.columns.ignored))


def lines_of(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each line that is not blank."""
    reader = csv.reader(io.StringIO(text_of(file), newline=""), skipinitialspace=True, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        raise DataError(
            f"{file}, line {reader.line_num}: {error}; put the whole cell in quotes, and double "
            "the quotes inside it"
        ) from None


def text_of(file: Path) -> str:
    content = file.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise DataError(
            f"{file}, line {line}: byte {byte:#x} is not UTF-8; save the file as UTF-8"
        ) from None


def check_header(header: Sequence[str], file: Path, params: PrepareParams) -> None:
    found = Counter(header)
    columns = params.columns
    declared = {
        *columns.integer,
        *columns.number,
        *columns.category,
        *columns.ignored,
        params.target,
    }
    problems = {
        "twice in the header; name each column once": [name for name, n in found.items() if n > 1],
        "declared in params.yaml (prepare: columns, target) and not in the file": declared
        - found.keys(),
        "in the file and not declared in params.yaml (prepare.columns); add it there, to "
        "`ignored` if the model should not see it": found.keys() - declared,
    }
    lines = [
        f"column {name!r}: {what}" for what, names in problems.items() for name in sorted(names)
    ]
    if lines:
        raise misfit(file, lines)


def check_lengths(rows: Mapping[int, Sequence[str]], header: Sequence[str], file: Path) -> None:
    ragged = [f"line {line} ({len(row)})" for line, row in rows.items() if len(row) != len(header)]
    if ragged:
        raise DataError(
            f"{file}: these lines have another number of cells than the header "
            f"({len(header)}): {listed(ragged)}"
        )


# Checks of the cells as the file has them: a message shows what was typed, and "nan" is no number.
IS_NUMBER = pa.Check(lambda cells: numbers(cells).notna(), name="not a number")
IS_FINITE = pa.Check(lambda cells: ~np.isinf(numbers(cells)), name="not a finite number")
IS_WHOLE = pa.Check(lambda cells: ~(numbers(cells) % 1 > 0), name="not a whole number")
FITS = pa.Check(
    lambda cells: ~((numbers(cells) % 1 == 0) & (numbers(cells).abs() > 2**24)),
    name="over 16777216, where 32-bit numbers lose digits; an identifier is `ignored`",
)


def schema(params: PrepareParams) -> pa.DataFrameSchema:
    columns = params.columns
    checks = {
        **{name: [IS_NUMBER, IS_FINITE, IS_WHOLE, FITS] for name in columns.integer},
        **{name: [IS_NUMBER, IS_FINITE, FITS] for name in columns.number},
    }
    inputs = {name: pa.Column(checks=each, nullable=True) for name, each in checks.items()}
    return pa.DataFrameSchema({**inputs, params.target: pa.Column(nullable=False)})


def numbers(cells: pd.Series) -> pd.Series:
    """The cells as float64, NaN for what is no number; adding 0 makes -0 the 0 that it equals."""
    return pd.to_numeric(cells, errors="coerce").astype(np.float64) + 0.0


def faults(errors: pa.errors.SchemaErrors) -> list[str]:
    """One text for each column and fault, with the lines of the file (its header is line 1)."""
    groups = errors.failure_cases.groupby(["column", "check"], sort=False)
    return [fault(column, check, group) for (column, check), group in groups]


def fault(column: str, check: str, cases: pd.DataFrame) -> str:
    what = "missing, and it is the target" if check == "not_nullable" else check
    lines = [
        f"line {line}" + ("" if pd.isna(value) else f" ({value!r})")
        for line, value in zip(cases["index"], cases["failure_case"], strict=True)
    ]
    return f"column {column!r}: {what}: {listed(lines)}"


def listed(lines: Sequence[str]) -> str:
    more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return ", ".join(lines[:SHOWN]) + more


def misfit(file: Path, faults: Sequence[str]) -> DataError:
    return DataError("\n  ".join([f"{file} does not fit params.yaml:", *faults]))
