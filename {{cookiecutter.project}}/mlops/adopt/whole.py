"""Reads all rows of large files as the pipeline will, to see whether they are like those looked at."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops.adopt import columns, table
from mlops.adopt.columns import Findings
from mlops.adopt.proposal import Target
from mlops.errors import DataError
from mlops.prepare import raw
from mlops.tables import cells, sources, threads
from mlops.tables.cells import Cells
from mlops.tables.parquet_source import ParquetSource
from mlops.tables.pieces import Piece, Wanted
from mlops.tables.sources import Source

MOST_ROWS = 1000
"""The number of rows of a piece that are looked at again."""


@dataclass(frozen=True)
class Checked:
    """What was found in rows that were read. `missing` is the number of those without a target; `unlike` are,
    as text, the columns of rows that do not fit what was found before, and `faults` say why, once a column
    of each piece."""

    rows: int
    missing: int
    unlike: Sequence[Mapping[str, pa.Array]] = ()
    faults: Sequence[str] = ()


def check_whole(opened: Sequence[Source], found: Findings, target: Target) -> Checked:
    """Returns what is in all rows of the files; those of Parquet files have the types of their columns.
    Raises DataError if a record has another number of cells than the header."""
    wanted = columns.wanted(found, target.name, target.task)
    integers = {column.name for column in found.columns if column.kind == "integer"}
    names = tuple(opened[0].names)

    def read(piece: Piece) -> Checked:
        records = piece.content.records(wanted)
        if records.broken:
            raise table.broken_error(piece.file, piece.content.line, records.broken)
        read_cells = cells.read_cells(records.columns, wanted)
        unknown = read_cells.columns[target.name].unknown
        wrong, faults = np.zeros(records.count, bool), []
        for name, column in read_cells.numbers.items():
            for problem, rows in raw.cell_faults(column, name in integers).items():
                for row in np.flatnonzero(rows)[:1].tolist():
                    where = f"{piece.file.path}, line {piece.content.line(row)}"
                    faults.append(f"{where}: column {name!r}: {problem}: {column.cell(row)!r}")
                wrong |= rows
        if not target.missing:
            wrong |= unknown
        if not wrong.any():
            return Checked(records.count, int(unknown.sum()))
        rows = pa.array(np.flatnonzero(wrong)[:MOST_ROWS])
        texts = piece.content.records(Wanted((), names, None, table.AS_TEXT)).columns
        unlike = {name: texts[name].take(rows) for name in names}
        return Checked(records.count, int(unknown.sum()), [unlike], faults)

    typed = [source for source in opened if isinstance(source, ParquetSource)]
    missing = pa.array([None, "", *found.spelling.dialect.missing], pa.string())
    done = [
        Checked(len(texts), pc.is_in(pc.utf8_trim_whitespace(texts), missing).true_count)
        for source in typed
        for part in table.parts_of(source, (target.name,), 1)
        for texts in part.values()
    ]
    pieces = sources.pieces_of([source for source in opened if source not in typed], wanted)
    done += threads.map_in_order(read, pieces, threads.usable_cores())
    return Checked(
        sum(part.rows for part in done),
        sum(part.missing for part in done),
        [rows for part in done for rows in part.unlike],
        [fault for part in done for fault in part.faults],
    )


def refuse_lost_cells(where: str, found: Cells, integers: Container[str], before: int = 0) -> None:
    """Raises DataError for a cell that is not of the type of its column, as it would be stored as missing.
    `before` is the number of the rows above."""
    for name, column in found.numbers.items():
        for problem, wrong in raw.cell_faults(column, name in integers).items():
            for row in np.flatnonzero(wrong)[:1].tolist():
                raise DataError(
                    f"{where}: column {name!r}: {problem}: {column.cell(row)!r} in row {before + row + 1} "
                    f"and {wrong.sum() - 1:,} more: correct them, or save the rows as CSV"
                )
