"""What a bundle answers for rows that it may never have seen, with the features of its own commit.

`python -m pipeline.rescore BUNDLE TRAIN TEST SCORES` writes the answers for the rows of TEST to SCORES,
an .npz of `called`, 1 where the positive class was named, and `probability`, that of the positive
class. It refuses rows that stand in TRAIN, what the bundle was trained on, or lack its columns.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from pipeline import errors
from pipeline.errors import Incomparable
from serving.predictor import Predictor
from serving.schema import Schema


def main() -> None:
    bundle, train, test, scores = map(Path, sys.argv[1:])
    predictor = Predictor(bundle)
    rows = parquet.read_table(test)
    check_columns(rows, predictor.schema)
    check_unseen(rows, parquet.read_table(train), predictor.schema)
    names = [column.name for column in predictor.schema.columns]
    predictions = predictor.predict({name: rows[name].to_numpy() for name in names})
    called = (predictions.labels == predictor.schema.positive).astype(np.int8)
    np.savez(scores, called=called, probability=predictions.probabilities[:, 1])


def check_columns(rows: pa.Table, schema: Schema) -> None:
    names = [*(column.name for column in schema.columns), schema.target]
    if missing := [name for name in names if name not in rows.column_names]:
        raise Incomparable(f"the test rows lack {', '.join(missing)}, which the champion needs")
    found = set(rows[schema.target].unique().to_pylist())
    if found != set(schema.classes):
        raise Incomparable(f"the champion tells {schema.classes} apart, the rows {found}")


def check_unseen(rows: pa.Table, train: pa.Table, schema: Schema) -> None:
    names = [column.name for column in schema.columns]
    seen = set(zip(*(train[name].to_pylist() for name in names), strict=True))
    asked = zip(*(rows[name].to_pylist() for name in names), strict=True)
    if known := sum(row in seen for row in asked):
        raise Incomparable(f"the champion was trained on {known} of the {len(rows)} test rows")


if __name__ == "__main__":
    errors.run(main)
