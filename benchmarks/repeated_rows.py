"""Writes large tables that repeat the test rows under a key."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

AT_ONCE = 100_000
"""The number of rows that are written at a time."""


@dataclass(frozen=True)
class Table:
    """A table of `rows` rows. `files` are its files by format, and `positive` is the number of rows for which
    the positive class must be predicted."""

    rows: int
    positive: int
    files: Mapping[str, Path]


def write_table(test_rows: Path, rows: int, folder: Path) -> Table:
    answers = ["prediction", "probability"]
    once = parquet.read_table(test_rows).replace_schema_metadata(None)
    positive = once["prediction"].to_numpy() == ">50K"
    inputs = once.drop(answers)
    schema = pa.schema([("id", pa.int64()), *inputs.schema])
    files = {form: folder / f"{rows}.{form.lower()}" for form in ("CSV", "Parquet")}
    with (
        csv.CSVWriter(files["CSV"], schema) as as_csv,
        parquet.ParquetWriter(files["Parquet"], schema) as as_parquet,
    ):
        for start in range(0, rows, AT_ONCE):
            ids = np.arange(start, min(start + AT_ONCE, rows))
            part = inputs.take(ids % len(inputs)).add_column(0, "id", pa.array(ids)).cast(schema)
            as_csv.write_table(part)
            as_parquet.write_table(part)
    return Table(rows, int(positive[np.arange(rows) % len(positive)].sum()), files)
