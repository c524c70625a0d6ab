"""The raw table: every CSV file of data/raw, checked against the columns of params.yaml."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from pipeline.errors import DataError
from pipeline.params import PrepareParams

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
        table = schema(params).validate(text, lazy=True)
    except pa.errors.SchemaErrors as errors:
        raise DataError(
            "\n  ".join([f"{file} does not fit params.yaml:", *faults(errors)])
        ) from None
    category = [*params.columns.category, params.target]
    return table.assign(**{name: table[name].fillna("").astype(object) for name in category})


def cells(file: Path, params: PrepareParams) -> pd.DataFrame:
    """The declared columns as text, cell by cell as the file has them, without spaces around."""
    check_header(file, params)
    try:
        table = pd.read_csv(
            file, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True
        )
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as CSV in UTF-8: {error}".rstrip()) from None
    if table.empty:
        raise DataError(f"{file} holds a header and no rows: add rows, or remove the file")
    table = table.drop(columns=list(params.columns.ignored))
    return table.assign(**{str(name): table[name].str.strip() for name in table})


def check_header(file: Path, params: PrepareParams) -> None:
    found = Counter(header(file))
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
        "declared in params.yaml (prepare.columns) and not in the file": declared - found.keys(),
        "in the file and not declared in params.yaml; add it there, to `ignored` if the model "
        "should not see it": found.keys() - declared,
    }
    lines = [
        f"column {name!r}: {what}" for what, names in problems.items() for name in sorted(names)
    ]
    if lines:
        raise DataError("\n  ".join([f"{file} does not fit params.yaml:", *lines]))


def header(file: Path) -> list[str]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            first = next(csv.reader(stream, skipinitialspace=True), None)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{file} cannot be read as CSV in UTF-8: {error}; save it as UTF-8"
        ) from None
    if first is None:
        raise DataError(f"{file} is empty: it needs a header and rows")
    return [name.strip() for name in first]


def schema(params: PrepareParams) -> pa.DataFrameSchema:
    finite = pa.Check(np.isfinite, name="not a finite number")
    whole = pa.Check(lambda column: column % 1 == 0, name="not a whole number")
    fits = pa.Check(
        lambda column: (column % 1 != 0) | (column.abs() <= 2**24),
        name="over 16777216, where a model's 32-bit numbers lose digits; `ignored` if an identifier",
    )
    types = {
        **{name: [finite, whole, fits] for name in params.columns.integer},
        **{name: [finite, fits] for name in params.columns.number},
    }
    numbers = {
        name: pa.Column("float64", checks, nullable=True, coerce=True)
        for name, checks in types.items()
    }
    categories = {name: pa.Column(nullable=True) for name in params.columns.category}
    return pa.DataFrameSchema({**numbers, **categories, params.target: pa.Column(nullable=False)})


def faults(errors: pa.errors.SchemaErrors) -> list[str]:
    """One line for each column and fault, with the lines of the file (its header is line 1)."""
    cases = errors.failure_cases
    groups = cases.groupby(["column", "check"], sort=False)
    return [fault(column, check, group) for (column, check), group in groups]


def fault(column: str, check: str, cases: pd.DataFrame) -> str:
    first = cases.head(SHOWN)
    shown = ", ".join(
        f"line {row + 2} ({value!r})"
        for row, value in zip(first["index"], first["failure_case"], strict=True)
    )
    more = f" and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
    return f"column {column!r}: {in_words(check)}: {shown}{more}"


def in_words(check: str) -> str:
    if check.startswith("coerce_dtype"):
        return "not a number"
    return "missing, and it is the target" if check == "not_nullable" else check
