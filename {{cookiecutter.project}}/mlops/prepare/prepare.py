"""The stage prepare splits the raw table in three and describes its columns in the input schema.

It reads data/raw and writes data/prepared. Rows are read and written in pieces, so that a table of any size
takes the same memory; a split by time also holds the time of each row.
"""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from mlops import provenance
from mlops.errors import DataError, say
from mlops.params import PrepareParams, load_configuration
from mlops.predict import schema
from mlops.predict.schema import Policy, Schema
from mlops.prepare import position, raw, split_rules
from mlops.prepare.target import TargetRows, check_split, target_classes
from mlops.prepare.training_rows import TrainingRows
from mlops.tables import splits
from mlops.tables.row_hashes import NO_ROWS, RowSample
from mlops.tables.splits import SplitName, SplitWriter


@dataclass(frozen=True)
class Rows:
    """The rows of the whole table, and of each split of the rows that the environment sees."""

    table: TargetRows = field(default_factory=TargetRows)
    splits: Mapping[SplitName, TargetRows] = field(
        default_factory=lambda: {name: TargetRows() for name in splits.NAMES}
    )


def main() -> None:
    configuration = load_configuration()
    params, data = configuration.params.prepare, configuration.environment.data
    with tempfile.TemporaryDirectory(dir=".", prefix=".prepare-") as folder:
        prepared = Path(folder)
        training = TrainingRows(params)
        rows = split_table(params, data.fraction, prepared, training)
        classes = target_classes(rows.table, params)
        for name, found in rows.splits.items():
            check_split(found, name, classes, params, data.fraction)
        schema.write_schema(infer_schema(training, classes, params), prepared / splits.SCHEMA.name)
        provenance.write_provenance(
            prepared / splits.PROVENANCE.name, "prepare", {"prepare": params, "data": data}
        )
        splits.PREPARED.mkdir(parents=True, exist_ok=True)
        for file in prepared.iterdir():
            file.replace(splits.PREPARED / file.name)
    say(f"prepare: {summary(rows, params)}")


def split_table(
    params: PrepareParams, fraction: float, folder: Path, training: TrainingRows
) -> Rows:
    """Writes the splits of the rows that an environment sees to the folder, adds the training rows to
    `training`, and returns the numbers of rows. The rows of a smaller fraction are always among those of a
    larger one."""
    counts, groups = Rows(), NO_ROWS
    rule = split_rules.split_rule(params)
    with ExitStack() as opened:
        writers = {
            name: opened.enter_context(closing(SplitWriter(folder / splits.split_file(name).name)))
            for name in splits.NAMES
        }
        for cells in raw.read_rows(params):
            target = cells.columns[params.target]
            inputs = position.input_hashes(cells, params)
            units = position.unit_hashes(cells, inputs, params)
            seen = position.positions(units, params, "slice") < fraction
            names = rule(cells, units)
            if params.split.by == "group":
                groups = RowSample.merged([groups, RowSample.of_hashes(units)])
            counts.table.add(target, np.ones(len(target), bool))
            batch = cells.to_arrow()
            for name, writer in writers.items():
                rows = seen & (names == name)
                writer.add(batch.filter(pa.array(rows)))
                counts.splits[name].add(target, rows)
            training.add(cells, inputs, seen & (names == "train"))
    if params.split.by == "group":
        split_rules.refuse_useless_groups(groups, params)
    return counts


def infer_schema(training: TrainingRows, classes: tuple[str, ...], params: PrepareParams) -> Schema:
    """Returns the input schema of the training rows. Raises DataError if no column is informative."""
    columns = training.columns()
    if not columns:
        raise DataError(
            "every column is constant or missing in the training rows, so there is nothing to learn: "
            "add rows, or declare other columns in params.yaml (prepare.columns)"
        )
    return Schema(
        params.dataset,
        params.target,
        classes,
        tuple(columns),
        params.task,
        source=params.source.dialect,
        policy=Policy(**params.contract.model_dump()),
    )


def summary(rows: Rows, params: PrepareParams) -> str:
    """Returns the number of rows of each split, with its share and the one that params.yaml declares."""
    seen = sum(split.count for split in rows.splits.values())
    declared: dict[SplitName, float] = {
        "validation": params.split.validation,
        "test": params.split.test,
    }
    sizes = [f"{rows.splits['train'].count:,} train"] + [
        f"{rows.splits[name].count:,} {name} ({rows.splits[name].count / seen:.1%}, declared {share:.1%})"
        for name, share in declared.items()
    ]
    return f"{seen:,} of {rows.table.count:,} rows: {', '.join(sizes)}"
