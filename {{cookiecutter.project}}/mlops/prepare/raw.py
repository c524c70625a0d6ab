"""The raw table: every file of data/raw, checked against the columns of params.yaml."""

import shlex
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from mlops.errors import DataError, counted, printable_text
from mlops.params import PrepareParams
from mlops.predict.cells import LARGEST
from mlops.stage import Progress
from mlops.tables import files, sources, threads
from mlops.tables.cells import Booleans, Cells, Dates, Mask, Numbers, Times, read_cells
from mlops.tables.errors import SourceError
from mlops.tables.pieces import Piece, Records, Wanted
from mlops.tables.sources import Source

RAW = Path("data/raw")
SHOWN = 5
LARGEST_INTEGER = 2**24
"""The largest number of an integer column: above it, a model's 32 bits don't hold every whole number."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with some rows of a piece: `rows` is their number, and `examples` are a few of them."""

    what: str
    rows: int
    examples: list[str]


def wanted_columns(params: PrepareParams) -> Wanted:
    """Returns the columns of the raw table that are read: those for the model, the target, which is a number
    or the text of a class, and the column by which rows are split."""
    columns = params.columns
    numbers, texts = [*columns.integer, *columns.number], [*columns.category]
    (numbers if params.task == "regression" else texts).append(params.target)
    further = (params.further_column,) if params.further_column else ()
    texts += further if params.split.by == "group" else ()
    return Wanted(
        tuple(numbers),
        tuple(texts),
        None,
        params.source.dialect,
        columns.boolean,
        columns.date,
        further if params.split.by == "time" else (),
    )


def read_rows(params: PrepareParams, folder: Path = RAW) -> Iterator[Cells]:
    """Yields the rows of all files of the folder in pieces, in the order of the file names. Raises what
    `read_files` does, and DataError if there is no file."""
    yield from read_files(params, table_paths(folder))


def read_files(params: PrepareParams, paths: Sequence[str]) -> Iterator[Cells]:
    """Yields the rows of files in pieces.

    Raises DataError or SourceError if a file does not fit params.yaml. The error names the file, and column
    and lines of every fault in it.
    """
    wanted = wanted_columns(params)

    def read_piece(piece: Piece) -> tuple[Piece, Cells, list[Fault]]:
        records = piece.content.records(wanted)
        cells = read_cells(records.columns, wanted)
        faults = [*find_faults(piece, records, cells, params)]
        if params.rows_without_target == "drop":
            cells = cells.take(~cells.columns[params.target].unknown)
        return piece, cells, faults

    opened = open_files(params, paths)
    pieces = sources.pieces_of(opened, wanted)
    rows = dict.fromkeys([source.file.path for source in opened], 0)
    read = threads.map_in_order(read_piece, pieces, threads.usable_cores())
    progress, done = Progress(), 0
    size = sum(source.file.size for source in opened)
    for path, parts in groupby(read, lambda part: part[0].file.path):
        faults: list[Fault] = []
        for piece, cells, more in parts:
            faults += more
            found = len(cells.columns[params.target])
            rows[path] += found
            if found:  # without rows, nothing tells dates from numbers
                yield cells
            done += piece.size
            progress.show(f"prepare: {done / 1e6:,.0f} of {size / 1e6:,.0f} MB are read")
        if faults:
            raise mismatch_error(path, summarized(faults))
    for path, count in rows.items():
        if not count:
            raise DataError(f"{path} holds no rows: add rows with a target, or remove the file")


def table_paths(folder: Path) -> list[str]:
    """Returns the files of the folder in the order of their names, and warns of those that are not read.
    Raises DataError if there is none."""
    entries = files.local_entries(str(folder)) if folder.is_dir() else []
    paths = sorted(path for path in entries if files.is_table_name(path))
    for path in files.unread_entries([str(folder)] if entries else []):
        unread = f"warning: {path} is not read: its name is not that of a table"
        print(printable_text(unread), file=sys.stderr)
    if not paths:
        raise DataError(
            f"{folder} holds no table: put your CSV or Parquet file there, or run `dvc pull`"
        )
    return paths


def open_files(params: PrepareParams, paths: Sequence[str]) -> list[Source]:
    """Returns the files. Raises DataError if one has other columns than those of params.yaml."""
    declared = declared_columns(params)
    opened = []
    for path in paths:
        try:
            source = sources.open_file(files.file_at(path), declared, params.source.dialect)
        except SourceError as error:
            raise SourceError(f"{error}; {adoption(path, params)}") from None
        opened.append(source)
        refuse_other_table(source, params)
        check_columns(source, params)
        source.refuse_unfit(wanted_columns(params))
    return opened


def adoption(path: str, params: PrepareParams, names: Collection[str] = ()) -> str:
    """Returns how a table that params.yaml does not declare is given to the project."""
    target = params.target if params.target in names else "COLUMN"
    command = f"mlops adopt {shlex.quote(path)} --target {shlex.quote(target)}"
    return f"if it is another table, give it to the project: `{command}`"


def refuse_other_table(source: Source, params: PrepareParams) -> None:
    """Raises DataError for a file that has few of the columns of params.yaml."""
    declared = declared_columns(params)
    if 2 * len(declared & {*source.names}) < len(declared):
        path, names = source.file.path, ", ".join(map(repr, source.names[:5]))
        written = f"{source.notice}. " if source.notice else ""
        count, more = counted(len(source.names), "column"), " ..." * (len(source.names) > 5)
        raise DataError(
            f"{path} has {count} ({names}{more}), and "
            f"{len(declared & {*source.names})} of the {len(declared)} that params.yaml declares (prepare: "
            f"columns, target, split). {written}Declare them, or {adoption(path, params, source.names)}"
        )


def declared_columns(params: PrepareParams) -> set[str]:
    return {*wanted_columns(params).names, *params.columns.ignored}


def check_columns(source: Source, params: PrepareParams) -> None:
    counts, declared = Counter(source.names), declared_columns(params)
    problems = {
        "twice in the header; name each column once": [name for name, n in counts.items() if n > 1],
        "declared in params.yaml (prepare: columns, target, split) and not in the file": declared
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
        raise mismatch_error(source.file.path, faults)


def find_faults(
    piece: Piece, records: Records, cells: Cells, params: PrepareParams
) -> Iterator[Fault]:
    """Yields the faults of a piece: records that are no rows, and cells that do not fit their column."""

    def line(position: int) -> str:
        return f"line {piece.content.line(position)}"

    if records.broken:
        examples = [f"{line(each.position)} ({each.reason})" for each in records.broken[:SHOWN]]
        yield Fault("records that are not rows", len(records.broken), examples)
    for name, column in cells.numbers.items():
        which = f"column {name!r}"
        if name == params.target:
            which += " (to predict a class, set prepare.task to binary or multiclass; for another "
            which += "way to write numbers, see prepare.source)"
        for problem, wrong in cell_faults(column, name in params.columns.integer).items():
            if wrong.any():
                positions = records.positions
                examples = [
                    f"{line(int(positions[row]))} ({column.cell(row)!r})"
                    for row in np.flatnonzero(wrong)[:SHOWN].tolist()
                ]
                yield Fault(f"{which}: {problem}", int(wrong.sum()), examples)
    needed = {}
    if params.rows_without_target == "refuse":
        needed[params.target] = "it is the target (prepare.rows_without_target can be drop)"
    if params.split.column:
        needed[params.split.column] = "rows are split by it (prepare.split)"
    for name, why in needed.items():
        missing = cells.columns[name].unknown
        if missing.any():
            first = np.flatnonzero(missing)[:SHOWN]
            yield Fault(
                f"column {name!r}: missing, and {why}",
                int(missing.sum()),
                [line(int(position)) for position in records.positions[first]],
            )


def cell_faults(column: Numbers, is_integer: bool) -> dict[str, Mask]:
    """Returns the rows whose cell is not of the type of its column, by what is wrong with it."""
    if isinstance(column, Booleans):
        what = "neither in `true_words` nor in `false_words` (prepare.source)"
        return {what: ~column.unknown & np.isnan(column.values)}
    if isinstance(column, Dates):
        what = "not a date in the form of `dates` (prepare.source), or one with a time"
        return {what: ~column.unknown & np.isnan(column.values)}
    if isinstance(column, Times):
        what = (
            "no time, by which rows are split (prepare.split): neither a date in the form of `dates` "
            "(prepare.source), nor such as 2024-12-24 18:30, nor in a column of numbers"
        )
        return {what: ~column.unknown & ~np.isfinite(column.values)}
    return number_faults(column, is_integer)


def number_faults(column: Numbers, is_integer: bool) -> dict[str, Mask]:
    with np.errstate(invalid="ignore"):
        size = np.abs(column.values)
        fits = size <= (LARGEST_INTEGER if is_integer else LARGEST)
        whole = column.values % 1 == 0 if is_integer else fits
    good = column.unknown | fits & whole
    if good.all():
        return {}
    small = size <= LARGEST
    return {
        "not a number": ~column.unknown & np.isnan(column.values),
        f"over {LARGEST:.2g}, the largest number that a model takes": size > LARGEST,
        "not a whole number": ~good & small & ~whole,
        f"over {LARGEST_INTEGER}, where 32-bit numbers lose digits; an identifier is `ignored`": ~good
        & small
        & whole,
    }


def summarized(faults: Sequence[Fault]) -> Iterator[str]:
    """Yields a sentence for each kind of fault, with the lines of its first rows."""
    for what in dict.fromkeys(fault.what for fault in faults):
        same = [fault for fault in faults if fault.what == what]
        examples = [example for fault in same for example in fault.examples][:SHOWN]
        more = sum(fault.rows for fault in same) - len(examples)
        yield f"{what}: {', '.join(examples)}{f' and {more:,} more' if more else ''}"


def mismatch_error(path: str, faults: Iterable[str]) -> DataError:
    return DataError("\n  ".join([f"{path} does not fit params.yaml:", *faults]))
