"""The truth about rows that were scored, for `mlops monitor` to compare with.

The command is `python -m mlops.batch.monitoring.labels ORDER`.

A label loaded again replaces the one before.
"""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from pyarrow import csv, parquet

from mlops.batch import errors, order
from mlops.batch.destinations import destinations
from mlops.batch.destinations.relational import Relational
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


class Order(Struct, frozen=True, forbid_unknown_fields=True):
    """`key` and `label` are the columns of `file`; the label's is the target by default."""

    file: str
    to: str
    release: str
    key: str = KEY
    label: str | None = None


def main() -> None:
    errors.report_errors(lambda: load_labels(order.read_order(Order)))


def load_labels(asked: Order) -> None:
    """All labels of the file, or none."""
    known = schema.read_schema(Path(asked.release) / BUNDLE / SCHEMA)
    rows = read_labels(asked, known)
    with closing(destinations.open_relational(asked.to)) as database:
        with database.transaction():
            store_labels(database, rows)
        scored = int(database.query(KNOWN)["labels"][0].as_py())
    print(
        f"loaded {len(rows):,} labels of {asked.file}; {scored:,} labels are of rows that were scored"
    )


def read_labels(asked: Order, known: Schema) -> pa.Table:
    """Raises SourceError that names what is missing, twice there, or no class of the model."""
    label = asked.label or known.target
    table = read_columns(Path(asked.file), asked.key, label)
    rows = pa.table(
        {"row_key": trimmed_text(table[asked.key]), "label": trimmed_text(table[label])}
    )
    if rows.filter(pc.equal(rows["row_key"], "")).num_rows:
        raise SourceError(f"{asked.file}: a row has no {asked.key!r}: nothing was loaded")
    others = set(rows["label"].unique().to_pylist()) - set(known.classes)
    if others:
        raise SourceError(
            f"{asked.file}: {label!r} holds {listed_values(others)}, and the model tells "
            f"{' and '.join(map(repr, known.classes))} apart: nothing was loaded"
        )
    counts = pc.value_counts(rows["row_key"].combine_chunks())
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise SourceError(
            f"{asked.file} names {listed_values(set(twice.to_pylist()))} more than once: nothing was loaded"
        )
    return rows


def read_columns(file: Path, *columns: str) -> pa.Table:
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
        raise SourceError(f"there is no file {file}") from None
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
    now = database.value(datetime.now(UTC))
    database.execute_each(LOAD, rows.append_column("loaded_at", pa.array([now] * len(rows))))


if __name__ == "__main__":
    main()
