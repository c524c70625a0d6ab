"""Runs only the fastest parts, one after the other, without contract, key, upsert or transaction of a batch.

    python fastest_parts.py BUNDLE TABLE DATABASE

prints the seconds of each part as JSON.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, csv, parquet

import mlops.batch.without_pandas  # noqa: F401  # Arrow would import pandas, which takes a second
from mlops.predict.predictor import Predictor
from mlops.predict.schema import Schema
from mlops.predict.task import Predictions

ROWS = 50_000
"""The number of rows that are predicted at a time, the fastest one for the caches of the processor."""


def main() -> None:
    bundle, file, database = sys.argv[1:]
    seconds: dict[str, float] = {}
    with timed("load the model", seconds):
        predictor = Predictor(Path(bundle))
    with timed("read", seconds):
        table = read_file(file)
    with timed("to columns", seconds):
        chunks = [columns(chunk, predictor.schema) for chunk in cut(table)]
    with timed("predict", seconds):
        answers = [predictor.predict(chunk) for chunk in chunks]
    with timed("append", seconds):
        append(database, table["id"], answers)
    print(json.dumps(seconds))


@contextmanager
def timed(part: str, seconds: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[part] = time.perf_counter() - start


def read_file(file: str) -> pa.Table:
    return parquet.read_table(file) if file.endswith(".parquet") else csv.read_csv(file)


def cut(table: pa.Table) -> list[pa.Table]:
    return [table.slice(start, ROWS) for start in range(0, len(table), ROWS)]


def columns(table: pa.Table, schema: Schema) -> dict[str, Any]:
    return {
        column.name: texts(table[column.name])
        if column.type == "category"
        else table[column.name].to_numpy().astype(np.float64)
        for column in schema.columns
    }


def texts(column: pa.ChunkedArray) -> Any:
    """Returns the texts of a column; each distinct text becomes a Python object once."""
    encoded = compute.fill_null(column, "").combine_chunks().dictionary_encode()
    return encoded.dictionary.to_numpy(zero_copy_only=False)[encoded.indices.to_numpy()]


def append(database: str, keys: pa.ChunkedArray, answers: list[Predictions]) -> None:
    table = pa.table(
        {
            "id": keys,
            "prediction": np.concatenate([each.answers for each in answers]),
            "probability": np.concatenate([each.probabilities[:, 1] for each in answers]),
        }
    )
    with connect(database) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("predictions", table, mode="create")
        connection.commit()


def connect(database: str) -> Any:
    if database.startswith("postgresql:"):
        from adbc_driver_postgresql import dbapi

        return dbapi.connect(database)
    from adbc_driver_sqlite import dbapi as sqlite

    return sqlite.connect(database.removeprefix("sqlite:///"))


if __name__ == "__main__":
    main()
