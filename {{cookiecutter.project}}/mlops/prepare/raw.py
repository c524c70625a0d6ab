"""The raw table: every CSV file of data/raw, checked against the columns of params.yaml."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from mlops.errors import DataError
from mlops.params import PrepareParams
from mlops.predict.cells import LARGEST, NUMBER, text_of

RAW = Path("data/raw")
SHOWN = 5


def read_raw_table(params: PrepareParams, folder: Path = RAW) -> pd.DataFrame:
    """Returns the rows of all CSV files of the folder, in the order of the file names. Numbers are float64
    with NaN for missing values, text has "" for missing values.

    Raises DataError that names file, column and lines if the files do not fit params.yaml.
    """
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise DataError(f"{folder} holds no CSV file: put your table there, or run `dvc pull`")
    tables = [read_raw_file(file, params) for file in files]
    return pd.concat(tables, ignore_index=True)


def read_raw_file(file: Path, params: PrepareParams) -> pd.DataFrame:
    text = read_declared_cells(file, params)
    text = text.mask(text.isin(["", *params.missing]))
    if faults := list(raw_faults(text, params)):
        raise mismatch_error(file, faults)
    columns = params.columns
    return text.assign(
        **{name: number_column(text[name]) for name in (*columns.integer, *columns.number)},
        **{
            name: text[name].fillna("").astype(object)
            for name in (*columns.category, params.target)
        },
    )


def read_declared_cells(file: Path, params: PrepareParams) -> pd.DataFrame:
    """Returns the declared columns as text without surrounding spaces; the index is the line of the file."""
    lines = numbered_lines(file)
    _, header = next(lines, (0, []))
    if not header:
        raise DataError(f"{file} is empty: add a header and rows, or remove the file")
    check_header(header, file, params)
    rows = dict(lines)
    if not rows:
        raise DataError(f"{file} holds a header and no rows: add rows, or remove the file")
    check_lengths(rows, header, file)
    table = pd.DataFrame(list(rows.values()), list(rows), header, dtype=str)
    return table.drop(columns=list(params.columns.ignored))


def numbered_lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the cells of each record that is not blank, after the number of its last line."""
    reader = csv.reader(
        io.StringIO(decode_file(file), newline=""), skipinitialspace=True, strict=True
    )
    try:
        for row in reader:
            if row:
                yield reader.line_num, [text_of(cell) for cell in row]
    except csv.Error as error:
        raise DataError(
            f"{file}, line {reader.line_num}: {error}; put the whole cell in quotes, and double "
            "the quotes inside it"
        ) from None


def decode_file(file: Path) -> str:
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
    counts = Counter(header)
    columns = params.columns
    declared = {
        *columns.integer,
        *columns.number,
        *columns.category,
        *columns.ignored,
        params.target,
    }
    problems = {
        "twice in the header; name each column once": [name for name, n in counts.items() if n > 1],
        "declared in params.yaml (prepare: columns, target) and not in the file": declared
        - counts.keys(),
        "in the file and not declared in params.yaml (prepare.columns); add it there, to "
        "`ignored` if the model should not see it": counts.keys() - declared,
    }
    faults = [
        f"column {name!r}: {problem}"
        for problem, names in problems.items()
        for name in sorted(names)
    ]
    if faults:
        raise mismatch_error(file, faults)


def check_lengths(rows: Mapping[int, Sequence[str]], header: Sequence[str], file: Path) -> None:
    ragged = [f"line {line} ({len(row)})" for line, row in rows.items() if len(row) != len(header)]
    if ragged:
        raise DataError(
            f"{file}: these lines have another number of cells than the header "
            f"({len(header)}): {listed_lines(ragged)}"
        )


def raw_faults(text: pd.DataFrame, params: PrepareParams) -> Iterator[str]:
    """Yields a sentence for each column and kind of fault, with the lines of the file, counted from 1."""
    for name in (*params.columns.integer, *params.columns.number):
        cells = text[name].dropna()
        values = number_column(cells)
        size, integer = values.abs(), name in params.columns.integer
        wrong = {
            "not a number": values.isna(),
            f"over {LARGEST:.2g}, the largest number that a model takes": size > LARGEST,
            "not a whole number": integer & (values % 1 > 0) & (size <= LARGEST),
            "over 16777216, where 32-bit numbers lose digits; an identifier is `ignored`": (
                integer & (values % 1 == 0) & (size > 2**24) & (size <= LARGEST)
            ),
        }
        for problem, mask in wrong.items():
            if mask.any():
                lines = [f"line {line} ({cell!r})" for line, cell in cells[mask].items()]
                yield f"column {name!r}: {problem}: {listed_lines(lines)}"
    if len(unlabelled := text.index[text[params.target].isna()]):
        lines = [f"line {line}" for line in unlabelled]
        yield f"column {params.target!r}: missing, and it is the target: {listed_lines(lines)}"


def number_column(cells: pd.Series) -> pd.Series:
    """Returns the cells as float64, with NaN for a cell that is not a number. The rule is that of
    `mlops.predict.cells.number_of`, applied to the whole column at once."""
    are_numbers = cells.str.fullmatch(NUMBER, na=False)
    values = pa.array(cells.where(are_numbers), pa.string()).cast(pa.float64())
    return pd.Series(values.to_numpy(zero_copy_only=False) + 0.0, cells.index)


def listed_lines(lines: Sequence[str]) -> str:
    more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return ", ".join(lines[:SHOWN]) + more


def mismatch_error(file: Path, faults: Sequence[str]) -> DataError:
    return DataError("\n  ".join([f"{file} does not fit params.yaml:", *faults]))
