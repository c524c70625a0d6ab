"""Makes training rows of a scored file and the labels that became known later: `mlops data add --labels`.

A database of predictions has keys and labels, and no inputs: those are read again from the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from mlops.adopt import originals
from mlops.adopt.whole import refuse_lost_cells
from mlops.errors import DataError
from mlops.params import PrepareParams
from mlops.prepare import raw
from mlops.tables import cells, files, sources
from mlops.tables.files import File
from mlops.tables.keys import key_texts
from mlops.tables.parquet_source import ParquetSource, is_category
from mlops.tables.pieces import Records, Wanted

BATCHES = """
SELECT batch_id, environment, model_version, started_at FROM batches
WHERE source_hash = '{digest}' AND target = '{target}' AND task = '{task}' AND status = 'finished'
ORDER BY started_at"""

LABELS = """
SELECT DISTINCT labels.row_key AS row_key, {known} AS label, loaded_at
FROM batches JOIN scores ON scores.batch = batches.batch JOIN labels ON labels.row_key = scores.row_key
WHERE source_hash = '{digest}' AND labels.target = '{target}' AND {known} IS NOT NULL ORDER BY loaded_at"""

CURE = "name the database of `mlops score --to` (--labels)"

Labels = Mapping[str, str]
"""The label of a row as text, by its key."""


@dataclass(frozen=True)
class Labelled:
    """The labelled rows of a scored file, in the columns that params.yaml declares. `name` is that of their
    file in data/raw, which the same scored file always has; `remarks` say where the rows come from."""

    name: str
    rows: pa.Table
    remarks: Sequence[str]


def labelled_rows(path: str, url: str, key: str | None, prepare: PrepareParams) -> Labelled:
    """Returns the rows of a scored file that have a label in the database of predictions. `key` is the column
    that identified the rows when they were scored, or None if their number did.

    Raises DataError if this database has no scores of the file, or no label of any of its rows.
    """
    file = files.hashed_file(path)
    names = {
        "digest": file.digest,
        "target": prepare.target.replace("'", "''"),
        "task": prepare.task,
        "known": "labels.number" if prepare.task == "regression" else "label",
    }
    batches = records_of_query(BATCHES.format(**names), url)
    if not batches:
        raise DataError(
            f"{url} has no scores of {path} for the target {prepare.target!r} of the task {prepare.task}: "
            "name the file and the database as `mlops score` was given them; a file that has changed since "
            "is another one"
        )
    labels = {row["row_key"]: row["label"] for row in records_of_query(LABELS.format(**names), url)}
    if not labels:
        raise DataError(
            f"{url} has no label of a row of {path}: load labels, `mlops labels FILE --to {url}`"
        )
    rows, records, left_out = joined_rows(file, labels, key, prepare)
    remarks = [
        f"{path}: batch {row['batch_id']}, scored with {row['model_version']} of {row['environment']} on "
        f"{row['started_at'][:10]}"
        for row in batches
    ]
    remarks.append(
        f"{path}: rows with a label: {len(rows):,} of {records:,}; the others are left out"
    )
    if left_out:
        remarks.append(
            f"{path}: columns that params.yaml does not name are left out: {', '.join(left_out)}"
        )
    return Labelled(f"labelled-{file.digest[:16]}.parquet", rows, remarks)


def records_of_query(query: str, url: str) -> list[dict[str, str]]:
    columns = originals.query_table(query, url, CURE).columns
    texts = {name: [text or "" for text in column.to_pylist()] for name, column in columns.items()}
    return [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]


def joined_rows(
    file: File, labels: Labels, key: str | None, prepare: PrepareParams
) -> tuple[pa.Table, int, list[str]]:
    """Returns the rows of a file that have a label, the number of all its records, and the names of the
    columns that params.yaml does not declare. Raises DataError if no row has a label, or if the file lacks
    the column by which rows are split."""
    declared = raw.wanted_columns(prepare)
    inputs = replace(
        declared,
        numbers=tuple(name for name in declared.numbers if name != prepare.target),
        texts=tuple(name for name in declared.texts if name != prepare.target),
        key=key,
    )
    split = prepare.further_column
    if split and split not in sources.open_file(file, inputs.names, inputs.dialect).names:
        raise DataError(
            f"{file.path} has no column {split!r}, by which the rows of the table are split (prepare.split): "
            "add the rows, with this column and their target, as a file of its own, without --labels"
        )
    source = sources.open_source(file, inputs)
    ignored = [
        name
        for name in prepare.columns.ignored
        if name in source.names
        and name not in inputs.names
        and not (
            isinstance(source, ParquetSource) and not is_category(source.schema.field(name).type)
        )
    ]
    wanted = replace(inputs, texts=(*inputs.texts, *ignored))
    known = labels if key else labels_by_number(labels, file)
    parts, count = [], 0
    for piece in source.pieces(wanted):
        records = piece.content.records(wanted)
        if key:
            keys = key_texts(records.columns[key], file.path, key).to_pylist()
        else:
            keys = [str(position + count + 1) for position in records.positions.tolist()]
        found = [known.get(each) for each in keys]
        parts.append(labelled_part(records, found, wanted, prepare))
        count += records.count
    rows = pa.concat_tables(parts) if parts else pa.table({})
    if not len(rows):
        raise DataError(
            f"{file.path}: no value of {key!r} is the key of a row with a label, such as "
            f"{next(iter(labels))!r}: name the --key with which the file was scored, or none"
        )
    for name in [name for name in prepare.columns.ignored if name not in rows.column_names]:
        rows = rows.append_column(name, pa.nulls(len(rows), pa.string()))
    return rows, count, [name for name in source.names if name not in rows.column_names]


def labels_by_number(labels: Labels, file: File) -> Labels:
    """Returns the labels by the number of their row in the file. Raises DataError if the rows were identified
    otherwise."""
    parts = {key: key.rsplit(":", 2) for key in labels}
    found = {
        number[-1]: labels[key]
        for key, number in parts.items()
        if len(number) == 3 and file.digest.startswith(number[1])
    }
    if not found:
        raise DataError(
            f"the rows of {file.path} were not identified by their numbers, but by keys such as "
            f"{next(iter(labels))!r}: name the column of these keys, --key"
        )
    return found


def labelled_part(
    records: Records, labels: Sequence[str | None], wanted: Wanted, prepare: PrepareParams
) -> pa.Table:
    """Returns the rows of a piece that have a label; `labels` are those of all its rows."""
    is_known = np.array([label is not None for label in labels], bool)
    rows = cells.read_cells(records.columns, wanted).take(is_known)
    refuse_lost_cells("the rows with a label", rows, prepare.columns.integer)
    texts = pa.array([label for label in labels if label is not None], pa.string())
    target = texts.cast(pa.float64()) if prepare.task == "regression" else texts
    columns = {name: column.to_arrow() for name, column in rows.columns.items()}
    return pa.table({**columns, prepare.target: target})
