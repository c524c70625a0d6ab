"""Loads the labels of scored rows, with which `mlops monitor` compares.

`python -m mlops.batch.monitoring.labels ORDER` loads the labels of a file. A label replaces an earlier label
of the same row.
"""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from mlops.batch import errors
from mlops.batch.destinations import destinations
from mlops.batch.order import read_order
from mlops.predict import schema
from mlops.predict.dialect import Dialect
from mlops.predict.predictor import SCHEMA
from mlops.predict.release import BUNDLE
from mlops.predict.schema import Schema
from mlops.tables import files, sources
from mlops.tables.errors import SourceError
from mlops.tables.files import File
from mlops.tables.keys import key_texts
from mlops.tables.pieces import Wanted

KEY = "row_key"
SHOWN = 5

LOAD = """
INSERT INTO labels (row_key, label, loaded_at) VALUES (?, ?, ?)
ON CONFLICT (row_key) DO UPDATE SET label = excluded.label, loaded_at = excluded.loaded_at"""

KNOWN = """
SELECT count(*) AS labels FROM labels
WHERE loaded_at = ? AND EXISTS (SELECT 1 FROM scores WHERE scores.row_key = labels.row_key)"""

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
    errors.say(
        f"loaded {len(rows):,} labels of {order.file}; {scored:,} labels are of rows that were scored"
    )


def read_labels(order: LabelsOrder, input_schema: Schema) -> pa.Table:
    """Returns the columns `row_key` and `label`, of shape (rows,). Raises SourceError for keys that are
    missing or occur twice, and for labels that are not classes of the model."""
    label = order.label or input_schema.target
    file = files.hashed_file(order.file)
    dialect = input_schema.source
    rows = pa.table(
        {
            "row_key": read_texts(file, order.key, dialect),
            "label": read_texts(file, label, dialect),
        }
    )
    if rows["row_key"].null_count:
        raise SourceError(
            f"{order.file}: a row has no {order.key!r}, and nothing was loaded: complete the row, or "
            "remove it"
        )
    others = {value or "" for value in rows["label"].unique().to_pylist()} - {*input_schema.classes}
    if others:
        raise SourceError(
            f"{order.file}: {label!r} holds {listed_values(others)}, but the classes of the model are "
            f"{' and '.join(map(repr, input_schema.classes))}, and nothing was loaded: correct the labels, "
            "or name another column (--label)"
        )
    counts = pc.value_counts(rows["row_key"].combine_chunks())
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise SourceError(
            f"{order.file} has {listed_values(set(twice.to_pylist()))} in more than one row, and nothing was "
            f"loaded: leave one row for each {order.key!r}"
        )
    return rows


def read_texts(file: File, column: str, dialect: Dialect) -> pa.ChunkedArray:
    """Returns a column as text, of shape (rows,), read as `mlops score` reads keys. Raises SourceError if it
    cannot be read, or if a row is broken."""
    wanted = Wanted((), (), column, dialect)
    try:
        source = sources.open_source(file, wanted)
    except SourceError as error:
        raise SourceError(f"{error}. {NEEDED}") from None
    texts = []
    for piece in source.pieces(wanted):
        records = piece.content.records(wanted)
        for broken in records.broken:
            line = piece.content.line(broken.position)
            raise SourceError(f"{file.path}, line {line}: {broken.reason}, and nothing was loaded")
        texts.append(key_texts(records.columns[column], file.path, column))
    return pa.chunked_array(texts, pa.string())


def listed_values(values: set[str]) -> str:
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(map(repr, sorted(values)[:SHOWN])) + more


if __name__ == "__main__":
    main()
