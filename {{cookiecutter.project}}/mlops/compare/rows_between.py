"""Counts the rows that were added and removed between two states of the data.

`python -m mlops.compare.rows_between OLD NEW` prints JSON. For each table that is in both folders, of the raw
table and the three splits, it holds `rows`, the number of rows before and after; how many rows were `added`
and `removed`; and `columns_added` and `columns_removed`. Rows are compared by the texts of the columns that
both tables have, and their order does not matter. The files of the raw table are read as the params.yaml of
the folder says.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlops import errors
from mlops.errors import MlopsError
from mlops.params import read_yaml
from mlops.predict.dialect import Dialect
from mlops.prepare import raw
from mlops.tables import files, row_hashes, sources, splits
from mlops.tables.cells import text_cells
from mlops.tables.parquet_source import ParquetSource, has_text
from mlops.tables.pieces import Wanted
from mlops.tables.row_hashes import Hashes
from mlops.tables.sources import Source

TABLES = (raw.RAW, *map(splits.split_file, splits.NAMES))


def main() -> None:
    old, new = map(Path, sys.argv[1:])
    both = [table for table in TABLES if (old / table).exists() and (new / table).exists()]
    changes = {
        table.as_posix(): count_changes(open_table(old, table), open_table(new, table))
        for table in both
    }
    print(json.dumps(changes))


def open_table(folder: Path, table: Path) -> list[Source]:
    """Returns the files of a table, which is a file or a folder of files."""
    dialect = source_dialect(folder)
    return [
        sources.open_file(files.file_at(path), (), dialect)
        for path in sorted(files.local_entries(str(folder / table)))
        if files.is_table_name(path)
    ]


def source_dialect(folder: Path) -> Dialect:
    """Returns how the files of the raw table are written, without texts for "missing", so that every text is
    itself. It is the usual one if params.yaml does not say it as this code knows it."""
    try:
        declared = read_yaml(folder / "params.yaml")["prepare"]["source"]
        dialect = msgspec.convert(declared, Dialect)
    except (MlopsError, KeyError, TypeError, msgspec.ValidationError):
        return Dialect()
    return msgspec.structs.replace(dialect, missing=())


def count_changes(old: Sequence[Source], new: Sequence[Source]) -> dict[str, Any]:
    """Returns how many rows each table has, and what was added to and removed from the old one."""
    before, after = (
        list(dict.fromkeys(name for source in table for name in source.names))
        for table in (old, new)
    )
    shared = [name for name in before if name in after]
    counts = [count_rows(table, shared) for table in (old, new)]
    hashes, positions = np.unique(
        np.concatenate([found for found, _ in counts]), return_inverse=True
    )
    more = np.zeros(len(hashes), np.int64)
    signed = np.concatenate([-counts[0][1], counts[1][1]])
    np.add.at(more, positions, signed)
    return {
        "rows": [int(rows.sum()) for _, rows in counts],
        "added": int(more[more > 0].sum()),
        "removed": int(-more[more < 0].sum()),
        "columns_added": [name for name in after if name not in shared],
        "columns_removed": [name for name in before if name not in shared],
    }


def count_rows(table: Sequence[Source], columns: Sequence[str]) -> tuple[Hashes, NDArray[np.int64]]:
    """Returns the hashes of the different rows, and how often each occurs; both of shape (hashes,)."""
    parts = [hashes for source in table for hashes in hashes_of_pieces(source, columns)]
    return np.unique(np.concatenate(parts or [np.array([], np.uint64)]), return_counts=True)


def hashes_of_pieces(source: Source, columns: Sequence[str]) -> Iterator[Hashes]:
    """Yields the hashes of the rows by the text of these columns, or of its first one if a source has none of
    them. Lists, records and bytes of Parquet do not count."""
    names = tuple(name for name in columns if name in source.names) or source.names[:1]
    wanted = Wanted((), names, None, Dialect())
    if isinstance(source, ParquetSource):
        texts = (name for name in names if has_text(source.schema.field(name).type))
        wanted = Wanted(tuple(texts), (), None, Dialect())  # as they are, and not as categories
    for piece in source.pieces(wanted):
        found = piece.content.records(wanted).columns
        yield row_hashes.row_hashes(
            text_cells(found[name].cast(pa.string()), wanted.dialect).hashes()
            for name in wanted.names
        )


if __name__ == "__main__":
    errors.report_errors(main)
