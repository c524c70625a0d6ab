"""How many rows came and went between two states of the data.

`python -m mlops.compare.rows_between OLD NEW` prints JSON: for each table that stands below both, the raw one
and the three splits, its `rows` then and now, how many were `added` and `removed`, and the columns that
came and went. Rows are compared by the columns that both have; their order does not matter.
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
    found = {str(table): between(read(old / table), read(new / table)) for table in both}
    print(json.dumps(found))


def read(place: Path) -> pd.DataFrame:
    if place.suffix == ".parquet":
        return pd.read_parquet(place)
    files = sorted(place.glob("*.csv"))
    return pd.concat([pd.read_csv(file, dtype=str, keep_default_na=False) for file in files])


def between(old: pd.DataFrame, new: pd.DataFrame) -> dict[str, Any]:
    shared = [column for column in old.columns if column in new.columns]
    before, after = counted(old[shared]), counted(new[shared])
    return {
        "rows": [len(old), len(new)],
        "added": (after - before).total(),
        "removed": (before - after).total(),
        "columns_added": [str(column) for column in new.columns if column not in shared],
        "columns_removed": [str(column) for column in old.columns if column not in shared],
    }


def counted(table: pd.DataFrame) -> Counter[int]:
    """How often each row is there; a row goes by the hash of its cells."""
    return Counter(pd.util.hash_pandas_object(table, index=False).tolist())


if __name__ == "__main__":
    errors.report_errors(main)
