"""Writes what a bundle answers for some rows, with the features of its own commit, and which of the rows it
was trained on.

`python -m mlops.compare.answer_rows BUNDLE TRAIN TEST SCORES [GROUP]` writes the answers for the rows of TEST
to SCORES, an .npz file with `target`, its column; `classes`, as in the schema; `answers`, the class or the
number that is predicted for each row; `probabilities` of shape (rows, classes); `scale`, the offset and the
factor of numbers; and `seen`, which rows have the inputs of a row of TRAIN, on which the bundle was trained,
or its value of the column GROUP. It refuses rows that lack columns of the bundle or hold them in another
type; rows of another target or other classes; and a bundle that answers with NaN or infinity.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from mlops import errors
from mlops.errors import Incomparable
from mlops.predict.predictor import Predictor
from mlops.predict.schema import Column, Scale, Schema
from mlops.tables import row_hashes
from mlops.tables.answered import answer_file
from mlops.tables.cells import Mask, read_cells
from mlops.tables.parquet_source import is_number, is_text
from mlops.tables.pieces import Wanted
from mlops.tables.row_hashes import Hashes

STORED = {"boolean": pa.types.is_boolean, "date": pa.types.is_date, "category": is_text}
"""Tells whether a column of the prepared table holds values of a type that is not a number, or a date with a
time."""


def main() -> None:
    bundle, train, test, scores = map(Path, sys.argv[1:5])
    predictor = Predictor(bundle)
    rows = parquet.read_table(test)
    check_columns(rows, predictor.schema)
    seen = seen_rows(rows, parquet.read_table(train), predictor.schema, *sys.argv[5:])
    _, predictions = answer_file(test, predictor)
    classes, scale = predictor.schema.classes, predictor.schema.target_scale or Scale(0, 1)
    np.savez(
        scores,
        target=predictor.schema.target,
        classes=np.array(classes, str),
        answers=predictions.answers.astype(str if classes else float),
        probabilities=predictions.probabilities,
        scale=[scale.offset, scale.factor],
        seen=seen,
    )


def check_columns(rows: pa.Table, schema: Schema) -> None:
    """Raises Incomparable unless the rows have the schema's columns, in its types, and its classes."""
    if schema.target not in rows.column_names:
        raise Incomparable(f"the champion predicts {schema.target}, which the test rows lack")
    names = [column.name for column in schema.columns]
    if missing := [name for name in names if name not in rows.column_names]:
        raise Incomparable(f"the test rows lack {', '.join(missing)}, which the champion needs")
    if other := [column.name for column in schema.columns if has_another_type(column, rows)]:
        raise Incomparable(
            f"the test rows hold {', '.join(other)} in another type than the champion was trained on"
        )
    if is_text(rows.schema.field(schema.target).type) != bool(schema.classes):
        kinds = ("numbers", "classes") if schema.classes else ("classes", "numbers")
        raise Incomparable(
            f"the champion predicts {kinds[1]} of {schema.target}, and the test rows hold {kinds[0]}"
        )
    if not schema.classes:
        return
    classes = sorted(map(str, rows[schema.target].unique().to_pylist()))
    if classes != sorted(schema.classes):
        raise Incomparable(
            f"the champion predicts the classes {' and '.join(sorted(schema.classes))}, but the "
            f"{len(rows)} test rows are of {' and '.join(classes) or 'none'}"
        )


def has_another_type(column: Column, rows: pa.Table) -> bool:
    kind = rows.schema.field(column.name).type
    fits = pa.types.is_timestamp if column.has_time else STORED.get(column.type, is_number)
    return not fits(kind)


def seen_rows(rows: pa.Table, train: pa.Table, schema: Schema, group: str | None = None) -> Mask:
    """Returns which rows have the inputs of a training row, or its group if both tables hold one: shape
    (rows,)."""
    seen: Mask = np.isin(input_hashes(rows, schema), input_hashes(train, schema))
    if group in rows.column_names and group in train.column_names:
        groups = (table[group].cast(pa.string()).combine_chunks() for table in (rows, train))
        seen |= pc.is_in(*groups).to_numpy(zero_copy_only=False)
    return seen


def input_hashes(table: pa.Table, schema: Schema) -> Hashes:
    """Returns a hash of the inputs of each row, of shape (rows,). Rows with the same missing cells and equal
    values have the same hash."""
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    cells = read_cells(columns, Wanted.from_schema(schema, None))
    return row_hashes.row_hashes(column.hashes() for column in cells.columns.values())


if __name__ == "__main__":
    errors.report_errors(main)
