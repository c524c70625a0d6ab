"""Loads the labels of scored rows, with which `mlops monitor` compares.

`python -m mlops.batch.monitoring.labels ORDER` loads the labels of a file. A label replaces an earlier label
of the same row.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from mlops.batch import errors
from mlops.batch.destinations import destinations
from mlops.batch.order import read_order
from mlops.errors import counted
from mlops.predict import schema
from mlops.predict.dialect import Dialect
from mlops.predict.predictor import SCHEMA
from mlops.predict.release import BUNDLE
from mlops.predict.schema import Schema
from mlops.tables import files, sources
from mlops.tables.cells import number_cells
from mlops.tables.errors import SourceError
from mlops.tables.files import File
from mlops.tables.keys import key_texts
from mlops.tables.pieces import Wanted

KEY = "row_key"
SHOWN = 5
CURE = "correct the labels, or name another column (--label)"

LOAD = """
INSERT INTO labels (row_key, target, label, number, loaded_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (row_key, target) DO UPDATE
SET label = excluded.label, number = excluded.number, loaded_at = excluded.loaded_at"""

KNOWN = """
SELECT count(*) AS labels FROM labels
WHERE loaded_at = ? AND EXISTS (SELECT 1 FROM scores WHERE scores.row_key = labels.row_key)"""

UNSCORED = """
SELECT min(row_key) AS row_key FROM labels
WHERE loaded_at = ? AND NOT EXISTS (SELECT 1 FROM scores WHERE scores.row_key = labels.row_key)"""

NEEDED = "Labels need a column of keys and one of labels (--key, --label)"


class LabelsOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """An order to load labels. `key` and `label` are the names of two columns of `file`; by default `label`
    is the target. `to` is the URL of the database, and `release` the folder of a deployment."""

    file: str
    to: str
    release: str
    key: str = KEY
    label: str | None = None


def main() -> None:
    errors.report_errors(lambda: load_labels(read_order(LabelsOrder)))


def load_labels(order: LabelsOrder) -> None:
    """Loads all labels of the file, or none if an error is raised."""
    input_schema = schema.read_schema(Path(order.release) / BUNDLE / SCHEMA)
    rows = read_labels(order, input_schema)
    now = datetime.now(UTC)
    with closing(destinations.open_relational(order.to)) as database:
        with database.transaction():
            moments = pa.array([database.to_parameter(now)] * len(rows))
            database.execute_each(LOAD, rows.append_column("loaded_at", moments))
        scored = int(database.query(KNOWN, now)["labels"][0].as_py())
        (unscored,) = database.query(UNSCORED, now)["row_key"].to_pylist()
    errors.say(
        f"loaded {counted(len(rows), 'label')} of {order.file}; "
        f"{counted(scored, 'label is of a row that was', 'labels are of rows that were')} scored"
    )
    if unscored is not None:
        errors.say(
            f"no row with the key {unscored!r} was scored yet; if it was, {order.key!r} is not the column of "
            "its key: name another (--key)"
        )


def read_labels(order: LabelsOrder, input_schema: Schema) -> pa.Table:
    """Returns the columns `row_key`, `target`, `label` and `number`, of shape (rows,): the label is a class
    or a number, and the other of the two columns is null. Raises SourceError for keys that are missing or
    occur twice, and for labels that the model can't predict."""
    label = order.label or input_schema.target
    file = files.hashed_file(order.file)
    dialect = input_schema.source
    keys = read_texts(file, order.key, dialect)
    if not len(keys):
        raise SourceError(f"{order.file} holds a header and no rows: add rows of keys and labels")
    refuse_missing(keys, order.file, order.key)
    texts, numbers = pa.nulls(len(keys), pa.string()), pa.nulls(len(keys), pa.float64())
    if input_schema.classes:
        texts = read_texts(file, label, dialect)
        refuse_missing(texts, order.file, label)
        refuse_other_classes(texts, f"{order.file}: {label!r}", input_schema.classes)
    else:
        numbers = read_numbers(file, label, dialect)
    counts = pc.value_counts(keys.combine_chunks())
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise SourceError(
            f"{order.file} has {listed_values(set(twice.to_pylist()))} in more than one row, and nothing was "
            f"loaded: leave one row for each {order.key!r}"
        )
    target = pa.repeat(input_schema.target, len(keys))
    return pa.table({"row_key": keys, "target": target, "label": texts, "number": numbers})


def refuse_missing(cells: pa.ChunkedArray, file: str, column: str) -> None:
    if cells.null_count:
        row = pc.index(cells.is_null(), True).as_py() + 1
        raise SourceError(
            f"{file}: row {row:,} has no {column!r}, and nothing was loaded: complete the row, or remove it"
        )


def refuse_other_classes(texts: pa.ChunkedArray, where: str, classes: Sequence[str]) -> None:
    if others := {*texts.unique().to_pylist()} - {*classes}:
        raise SourceError(
            f"{where} holds {listed_values(others)}, but the classes of the model are "
            f"{' and '.join(map(repr, classes))}, and nothing was loaded: {CURE}"
        )


def read_texts(file: File, column: str, dialect: Dialect) -> pa.ChunkedArray:
    """Returns a column as text, of shape (rows,), read as `mlops score` reads keys."""
    cells = read_column(file, column, Wanted((), (), column, dialect))
    return pa.chunked_array([key_texts(each, file.path, column) for each in cells], pa.string())


def read_numbers(file: File, column: str, dialect: Dialect) -> pa.ChunkedArray:
    """Returns a column as numbers, of shape (rows,), read as `mlops score` reads number columns. Raises
    SourceError for a cell that is no number."""
    numbers: list[pa.Array] = []
    for cells in read_column(file, column, Wanted((column,), (), None, dialect)):
        values = number_cells(cells, dialect).values
        if len(wrong := np.flatnonzero(~np.isfinite(values))):
            texts = {str(cell.as_py() or "") for cell in cells.take(pa.array(wrong))}
            row = sum(map(len, numbers)) + int(wrong[0]) + 1
            raise SourceError(
                f"{file.path}, row {row:,}: {column!r} holds {listed_values(texts)}, but the model predicts "
                f"numbers, and nothing was loaded: {CURE}"
            )
        numbers.append(pa.array(values))
    return pa.chunked_array(numbers, pa.float64())


def read_column(file: File, column: str, wanted: Wanted) -> Iterator[pa.Array]:
    """Yields the cells of a column, piece by piece. Raises SourceError if it cannot be read, or if a row is
    broken."""
    try:
        source = sources.open_source(file, wanted)
    except SourceError as error:
        raise SourceError(f"{error}. {NEEDED}") from None
    for piece in source.pieces(wanted):
        records = piece.content.records(wanted)
        for broken in records.broken:
            line = piece.content.line(broken.position)
            raise SourceError(f"{file.path}, line {line}: {broken.reason}, and nothing was loaded")
        yield records.columns[column]


def listed_values(values: set[str]) -> str:
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(map(repr, sorted(values)[:SHOWN])) + more


if __name__ == "__main__":
    main()
