"""Counts the rows that were added and removed between two states of the data.

`python -m mlops.compare.rows_between OLD NEW` prints JSON. For each table that is in both folders, of the raw
table and the three splits, it holds `rows`, the number of rows before and after; how many rows were `added`
and `removed`; and `columns_added` and `columns_removed`. Rows are compared by the columns that both tables
have, and their order does not matter.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from mlops import errors
from mlops.prepare import raw
from mlops.tables import splits

TABLES = (raw.RAW, *map(splits.split_file, splits.NAMES))


def main() -> None:
    old, new = map(Path, sys.argv[1:])
    both = [table for table in TABLES if (old / table).exists() and (new / table).exists()]
    changes = {
        str(table): count_changes(read_table(old / table), read_table(new / table))
        for table in both
    }
    print(json.dumps(changes))


def read_table(path: Path) -> pd.DataFrame:
    """Returns the rows of a Parquet file, or of all CSV files of a folder as text."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    files = sorted(path.glob("*.csv"))
    return pd.concat([pd.read_csv(file, dtype=str, keep_default_na=False) for file in files])


def count_changes(old: pd.DataFrame, new: pd.DataFrame) -> dict[str, Any]:
    """Returns how many rows each table has, and what was added to and removed from the old one."""
    shared = [column for column in old.columns if column in new.columns]
    before, after = count_rows(old[shared]), count_rows(new[shared])
    return {
        "rows": [len(old), len(new)],
        "added": (after - before).total(),
        "removed": (before - after).total(),
        "columns_added": [str(column) for column in new.columns if column not in shared],
        "columns_removed": [str(column) for column in old.columns if column not in shared],
    }


def count_rows(table: pd.DataFrame) -> Counter[int]:
    """Returns how often each row occurs in the table, by the hash of its cells."""
    return Counter(pd.util.hash_pandas_object(table, index=False).tolist())


if __name__ == "__main__":
    errors.report_errors(main)
