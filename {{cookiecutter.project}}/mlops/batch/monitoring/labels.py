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
from pyarrow import csv, parquet

from mlops.batch import errors
from mlops.batch.destinations import destinations
from mlops.batch.destinations.relational import Relational
from mlops.batch.order import read_order
from mlops.predict import schema
from mlops.predict.predictor import SCHEMA
from mlops.predict.release import BUNDLE
from mlops.predict.schema import Schema
from mlops.tables.errors import SourceError

KEY = "row_key"
SHOWN = 5

LOAD = """
INSERT INTO labels (row_key, label, loaded_at) VALUES (?, ?, ?)
ON CONFLICT (row_key) DO UPDATE SET label = excluded.label, loaded_at = excluded.loaded_at"""

KNOWN = """
SELECT count(*) AS labels FROM labels
WHERE EXISTS (SELECT 1 FROM scores WHERE scores.row_key = labels.row_key)"""


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
    with closing(destinations.open_relational(order.to)) as database:
        with database.transaction():
            store_labels(database, rows)
        scored = int(database.query(KNOWN)["labels"][0].as_py())
    print(
        f"loaded {len(rows):,} labels of {order.file}; {scored:,} labels are of rows that were scored"
    )


def read_labels(order: LabelsOrder, input_schema: Schema) -> pa.Table:
    """Returns the columns `row_key` and `label`, of shape (rows,). Raises SourceError for keys that are
    missing or occur twice, and for labels that are not classes of the model."""
    label = order.label or input_schema.target
    table = read_columns(Path(order.file), order.key, label)
    rows = pa.table(
        {"row_key": trimmed_text(table[order.key]), "label": trimmed_text(table[label])}
    )
    if rows.filter(pc.equal(rows["row_key"], "")).num_rows:
        raise SourceError(
            f"{order.file}: a row has no {order.key!r}, and nothing was loaded: complete the row, or "
            "remove it"
        )
    others = set(rows["label"].unique().to_pylist()) - set(input_schema.classes)
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


def read_columns(file: Path, *columns: str) -> pa.Table:
    """Returns columns of a CSV or Parquet file. Raises SourceError if they cannot be read."""
    texts = csv.ConvertOptions(
        column_types={name: pa.string() for name in columns},
        include_columns=columns,
        strings_can_be_null=False,
    )
    try:
        if file.suffix == ".parquet":
            return parquet.read_table(file, columns=list(columns))
        return csv.read_csv(file, convert_options=texts)
    except FileNotFoundError:
        raise SourceError(f"{file} does not exist") from None
    except (pa.ArrowInvalid, pa.ArrowKeyError, KeyError, OSError) as error:
        raise SourceError(
            f"{file} can't be read as labels: {str(error).splitlines()[0]}. It needs the columns "
            f"{' and '.join(map(repr, columns))} (--key, --label)"
        ) from None


def trimmed_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.utf8_trim_whitespace(column.cast(pa.string())), "")


def listed_values(values: set[str]) -> str:
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(map(repr, sorted(values)[:SHOWN])) + more


def store_labels(database: Relational, rows: pa.Table) -> None:
    now = database.to_parameter(datetime.now(UTC))
    database.execute_each(LOAD, rows.append_column("loaded_at", pa.array([now] * len(rows))))


if __name__ == "__main__":
    main()
