"""Reads all rows of large files as the pipeline will, to see whether they are like those looked at."""

from collections.abc import Container, Mapping, Sequence

import numpy as np
import pyarrow as pa

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


def check_whole(
    opened: Sequence[Source], found: Findings, target: Target
) -> tuple[int, list[Mapping[str, pa.Array]]]:
    """Returns the number of rows of the files, and as text the columns of rows that do not fit what was
    found. Raises DataError if a record has another number of cells than the header."""
    wanted = columns.wanted(found, target.name, target.task)
    if isinstance(opened[0], ParquetSource):
        return sum(source.rows for source in opened if isinstance(source, ParquetSource)), []
    integers = {column.name for column in found.columns if column.kind == "integer"}
    names = tuple(opened[0].names)

    def read(piece: Piece) -> tuple[int, Mapping[str, pa.Array] | None]:
        records = piece.content.records(wanted)
        if records.broken:
            raise table.broken_error(piece.file, piece.content.line, records.broken)
        read_cells = cells.read_cells(records.columns, wanted)
        wrong = np.zeros(records.count, bool)
        for name, column in read_cells.numbers.items():
            for faults in raw.cell_faults(column, name in integers).values():
                wrong |= faults
        if not target.missing:
            wrong |= read_cells.columns[target.name].unknown
        if not wrong.any():
            return records.count, None
        rows = pa.array(np.flatnonzero(wrong)[:MOST_ROWS])
        texts = piece.content.records(Wanted((), names, None, table.AS_TEXT)).columns
        return records.count, {name: texts[name].take(rows) for name in names}

    pieces = sources.pieces_of(opened, wanted)
    done = [*threads.map_in_order(read, pieces, threads.usable_cores())]
    return sum(rows for rows, _ in done), [part for _, part in done if part is not None]


def refuse_lost_cells(where: str, found: Cells, integers: Container[str]) -> None:
    """Raises DataError for a cell that is not of the type of its column, as it would be stored as missing."""
    for name, column in found.numbers.items():
        for problem, wrong in raw.cell_faults(column, name in integers).items():
            for row in np.flatnonzero(wrong)[:1].tolist():
                raise DataError(
                    f"{where}: column {name!r}: {problem}: {column.cell(row)!r} in row {row + 1} and "
                    f"{wrong.sum() - 1:,} more: correct them, or save the rows as CSV"
                )
