"""What a bundle answers for rows that it may never have seen, with the features of its own commit.

`python -m mlops.compare.answer_rows BUNDLE TRAIN TEST SCORES` writes the answers for the rows of TEST to
SCORES, an .npz of `positive`, the name of the positive class, `called`, 1 where it was named, and
`probability`, its probability. It refuses rows that stand in TRAIN, what the bundle was trained on, rows
that lack its columns or hold them in another type, rows of other classes, and a bundle that answers with
NaN.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from mlops import errors
from mlops.errors import Incomparable
from mlops.metrics import refuse_unanswered
from mlops.predict.predictor import Predictor
from mlops.predict.schema import Column, Schema


def main() -> None:
    bundle, train, test, scores = map(Path, sys.argv[1:])
    predictor = Predictor(bundle)
    rows = parquet.read_table(test)
    check_columns(rows, predictor.schema)
    check_unseen(rows, parquet.read_table(train), predictor.schema)
    names = [column.name for column in predictor.schema.columns]
    predictions = predictor.predict({name: rows[name].to_numpy() for name in names})
    positive, probability = predictor.schema.positive, predictions.probabilities[:, 1]
    refuse_unanswered(probability)
    called = (predictions.labels == positive).astype(np.int8)
    np.savez(scores, positive=positive, called=called, probability=probability)


def check_columns(rows: pa.Table, schema: Schema) -> None:
    names = [*(column.name for column in schema.columns), schema.target]
    if missing := [name for name in names if name not in rows.column_names]:
        raise Incomparable(f"the test rows lack {', '.join(missing)}, which the champion needs")
    if other := [column.name for column in schema.columns if has_another_type(column, rows)]:
        raise Incomparable(
            f"the test rows hold {', '.join(other)} in another type than the champion was trained on"
        )
    found = sorted(map(str, rows[schema.target].unique().to_pylist()))
    if found != sorted(schema.classes):
        raise Incomparable(
            f"the champion tells the classes {' and '.join(sorted(schema.classes))} apart, and the "
            f"{len(rows)} test rows are of {' and '.join(found) or 'none'}"
        )


def has_another_type(column: Column, rows: pa.Table) -> bool:
    kind = rows.schema.field(column.name).type
    is_number = pa.types.is_floating(kind) or pa.types.is_integer(kind)
    return bool(is_number == (column.type == "category"))


def check_unseen(rows: pa.Table, train: pa.Table, schema: Schema) -> None:
    seen = set(inputs_of(train, schema))
    if known := sum(row in seen for row in inputs_of(rows, schema)):
        raise Incomparable(f"the champion was trained on {known} of the {len(rows)} test rows")


def inputs_of(table: pa.Table, schema: Schema) -> Iterator[tuple[Any, ...]]:
    """The inputs of each row; a missing number is None, since NaN does not equal itself."""
    columns = (table[column.name].to_pylist() for column in schema.columns)
    known = ([None if value != value else value for value in values] for values in columns)  # noqa: PLR0124
    return zip(*known, strict=True)


if __name__ == "__main__":
    errors.report_errors(main)
