"""The stage prepare splits the raw table in three and describes its columns in the input schema.

It reads data/raw and writes data/prepared.
"""

import hashlib
import sys
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from mlops import provenance
from mlops.errors import DataError
from mlops.params import PrepareParams, load_configuration
from mlops.predict import schema
from mlops.predict.schema import Column, ColumnType, Policy, Schema
from mlops.prepare import raw
from mlops.tables import splits
from mlops.tables.splits import Split

MOST_CATEGORIES = 50
"""The number of categories that the schema keeps for each column, the most frequent ones. Any other category
counts as unknown."""


def main() -> None:
    configuration = load_configuration()
    params, data = configuration.params.prepare, configuration.environment.data
    table = raw.read_raw_table(params)
    rows = environment_slice(table, params, data.fraction)
    names = split_names(rows, params)
    parts = {name: rows[names == name] for name in splits.NAMES}
    classes = target_classes(table, params)
    for name, part in parts.items():
        check_classes(part[params.target], name)
    input_schema = infer_schema(parts["train"], classes, params)
    splits.PREPARED.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        splits.write_split(name, to_split(part, input_schema), input_schema)
    schema.write_schema(input_schema, splits.SCHEMA)
    provenance.write_provenance(splits.PROVENANCE, "prepare", {"prepare": params, "data": data})
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in parts.items())
    print(f"prepare: {len(rows):,} of {len(table):,} rows: {sizes}")


def environment_slice(table: pd.DataFrame, params: PrepareParams, fraction: float) -> pd.DataFrame:
    """Returns the rows that an environment sees. The rows of a smaller fraction are always among those of a
    larger one."""
    if fraction == 1:
        return table
    return table[row_positions(table, params, "slice") < fraction]


def split_names(table: pd.DataFrame, params: PrepareParams) -> pd.Series:
    """Returns the name of the split of each row: "train", "validation" or "test"."""
    position = row_positions(table, params, "split")
    test, validation = params.split.test, params.split.validation
    names = np.select(
        [position < test, position < test + validation], ["test", "validation"], "train"
    )
    return pd.Series(names, table.index)


def row_positions(table: pd.DataFrame, params: PrepareParams, purpose: str) -> pd.Series:
    """Returns a number from 0 to 1 for each row, computed from the row's inputs alone.

    The number of a row does not change when rows are added. Rows with equal inputs have the same number, so
    duplicates are always in the same split.
    """
    inputs = [*params.columns.integer, *params.columns.number, *params.columns.category]
    salt = f"{params.split.seed}/{purpose}".encode()
    rows = zip(*(map(str, table[name]) for name in sorted(inputs)), strict=True)
    return pd.Series([hashed_position("\x1f".join(row), salt) for row in rows], table.index, float)


def hashed_position(row: str, salt: bytes) -> float:
    digest = hashlib.blake2b(row.encode(), digest_size=8, key=salt).digest()
    return int.from_bytes(digest) / 2**64


def infer_schema(training: pd.DataFrame, classes: tuple[str, str], params: PrepareParams) -> Schema:
    """Returns the input schema of the training rows. Raises DataError if no column is informative."""
    declared: Mapping[ColumnType, Iterable[str]] = {
        "integer": params.columns.integer,
        "number": params.columns.number,
        "category": params.columns.category,
    }
    columns = [
        infer_column(name, kind, training[name])
        for kind, names in declared.items()
        for name in names
        if is_informative(training[name])
    ]
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
        missing=params.missing,
        policy=Policy(**params.contract.model_dump()),
    )


def is_informative(values: pd.Series) -> bool:
    """Returns whether the values of a column differ, and prints a warning if they do not. That a value is
    missing counts as a difference."""
    known = values[values.notna() & (values != "")]
    if known.nunique() > 1 or (known.nunique() == 1 and len(known) < len(values)):
        return True
    content = f"always {known.iloc[0]}" if len(known) else "missing"
    print(
        f"warning: column {values.name!r} is {content} in the training rows; it is left out",
        file=sys.stderr,
    )
    return False


def infer_column(name: str, kind: ColumnType, values: pd.Series) -> Column:
    if kind == "category":
        counts = values[values != ""].value_counts()
        known = sorted(counts.index[:MOST_CATEGORIES])
        missing = bool((values == "").any())
        return Column(name, kind, str(counts.index[0]), missing, categories=tuple(known))
    number = int if kind == "integer" else float
    low, example, high = map(number, values.quantile([0, 0.5, 1], interpolation="nearest"))
    return Column(name, kind, example, bool(values.isna().any()), minimum=low, maximum=high)


def target_classes(table: pd.DataFrame, params: PrepareParams) -> tuple[str, str]:
    """Returns the negative and the positive class. Raises DataError unless the target has two classes and
    `prepare.positive` is one of them."""
    classes = sorted(table[params.target].unique())
    if len(classes) != 2:
        raise DataError(
            f"{raw.RAW}: column {params.target!r} holds {len(classes)} "
            f"class{'es' * (len(classes) > 1)} ({', '.join(map(repr, classes[:5]))}), and this pipeline "
            "needs two: correct the rows, or name another prepare.target"
        )
    if params.positive not in classes:
        raise DataError(
            f"params.yaml: prepare.positive: {params.positive!r} is not a class of column "
            f"{params.target!r}; use one of {classes}"
        )
    (negative,) = set(classes) - {params.positive}
    return negative, params.positive


def check_classes(target: pd.Series, name: str) -> None:
    """Raises DataError unless both classes are in the split of this name."""
    if target.nunique() != 2:
        raise DataError(
            f"{raw.RAW}: the {name} split holds {len(target)} rows and not both classes of "
            f"{target.name!r}: add rows, or give the split a larger share in prepare.split"
        )


def to_split(rows: pd.DataFrame, input_schema: Schema) -> Split:
    columns = {column.name: rows[column.name].to_numpy() for column in input_schema.columns}
    target = (rows[input_schema.target] == input_schema.positive).to_numpy().astype(np.int8)
    return Split(columns, target)
