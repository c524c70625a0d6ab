"""The raw table to three splits and the input schema. In: data/raw. Out: data/prepared."""

import hashlib
import sys
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from mlops import params, provenance
from mlops.errors import DataError
from mlops.params import PrepareParams
from mlops.predict import schema
from mlops.predict.schema import Column, ColumnType, Policy, Schema
from mlops.prepare import raw
from mlops.tables import splits
from mlops.tables.splits import Split

MOST_CATEGORIES = 50
"""A category beyond the 50 most frequent of its column counts as unknown."""


def main() -> None:
    settings = params.load()
    options = settings.params.prepare
    fraction = settings.environment.data.fraction
    table = raw.read_raw_table(options)
    seen = slice_of(table, options, fraction)
    names = split_names(seen, options)
    parts = {name: seen[names == name] for name in splits.NAMES}
    found = classes(table, options)
    for name, rows in parts.items():
        check_classes(rows[options.target], name)
    input_schema = schema_of(parts["train"], found, options)
    splits.PREPARED.mkdir(parents=True, exist_ok=True)
    for name, rows in parts.items():
        splits.write_split(name, split_of(rows, input_schema), input_schema)
    schema.write_schema(input_schema, splits.SCHEMA)
    made_with = {"prepare": options, "data": settings.environment.data}
    provenance.write_provenance(splits.PROVENANCE, "prepare", made_with)
    sizes = ", ".join(f"{len(rows):,} {name}" for name, rows in parts.items())
    print(f"prepare: {len(seen):,} of {len(table):,} rows: {sizes}")


def slice_of(table: pd.DataFrame, options: PrepareParams, fraction: float) -> pd.DataFrame:
    """The rows that an environment sees; a smaller fraction is always a part of a larger one."""
    if fraction == 1:
        return table
    return table[positions(table, options, "slice") < fraction]


def split_names(table: pd.DataFrame, options: PrepareParams) -> pd.Series:
    """The name of each row's split."""
    position = positions(table, options, "split")
    test, validation = options.split.test, options.split.validation
    names = np.select(
        [position < test, position < test + validation], ["test", "validation"], "train"
    )
    return pd.Series(names, table.index)


def positions(table: pd.DataFrame, options: PrepareParams, purpose: str) -> pd.Series:
    """A number from 0 to 1 for each row, made of its inputs alone.

    It stays the same whatever rows are added, and rows with equal inputs share it, so that no
    duplicate straddles two splits.
    """
    inputs = [*options.columns.integer, *options.columns.number, *options.columns.category]
    salt = f"{options.split.seed}/{purpose}".encode()
    rows = zip(*(map(str, table[name]) for name in sorted(inputs)), strict=True)
    return pd.Series([position("\x1f".join(row), salt) for row in rows], table.index, float)


def position(row: str, salt: bytes) -> float:
    digest = hashlib.blake2b(row.encode(), digest_size=8, key=salt).digest()
    return int.from_bytes(digest) / 2**64


def schema_of(training: pd.DataFrame, classes: tuple[str, str], options: PrepareParams) -> Schema:
    declared: Mapping[ColumnType, Iterable[str]] = {
        "integer": options.columns.integer,
        "number": options.columns.number,
        "category": options.columns.category,
    }
    columns = [
        column_of(name, kind, training[name])
        for kind, names in declared.items()
        for name in names
        if tells_something(training[name])
    ]
    if not columns:
        raise DataError(
            "every column is constant or missing in the training rows: nothing to learn"
        )
    return Schema(
        options.dataset,
        options.target,
        classes,
        tuple(columns),
        missing=options.missing,
        policy=Policy(**options.contract.model_dump()),
    )


def tells_something(values: pd.Series) -> bool:
    known = values[values.notna() & (values != "")]
    if known.nunique() > 1 or (known.nunique() == 1 and len(known) < len(values)):
        return True
    what = f"always {known.iloc[0]}" if len(known) else "missing"
    print(
        f"warning: column {values.name!r} is {what} in the training rows; left out", file=sys.stderr
    )
    return False


def column_of(name: str, kind: ColumnType, values: pd.Series) -> Column:
    if kind == "category":
        counts = values[values != ""].value_counts()
        known = sorted(counts.index[:MOST_CATEGORIES])
        missing = bool((values == "").any())
        return Column(name, kind, str(counts.index[0]), missing, categories=tuple(known))
    number = int if kind == "integer" else float
    low, example, high = map(number, values.quantile([0, 0.5, 1], interpolation="nearest"))
    return Column(name, kind, example, bool(values.isna().any()), minimum=low, maximum=high)


def classes(table: pd.DataFrame, options: PrepareParams) -> tuple[str, str]:
    """The negative and the positive class."""
    found = sorted(table[options.target].unique())
    if len(found) != 2:
        raise DataError(
            f"{raw.RAW}: column {options.target!r} holds {len(found)} "
            f"class{'es' * (len(found) > 1)} ({', '.join(map(repr, found[:5]))}) and this pipeline "
            "tells two apart: correct its rows, or name another prepare.target"
        )
    if options.positive not in found:
        raise DataError(
            f"params.yaml: prepare.positive: {options.positive!r} is not a class of column "
            f"{options.target!r}; it is one of {found}"
        )
    (negative,) = set(found) - {options.positive}
    return negative, options.positive


def check_classes(target: pd.Series, name: str) -> None:
    if target.nunique() != 2:
        raise DataError(
            f"{raw.RAW}: the {name} split holds {len(target)} rows and not both classes of "
            f"{target.name!r}: add rows, or give it a larger share in prepare.split"
        )


def split_of(rows: pd.DataFrame, input_schema: Schema) -> Split:
    columns = {column.name: rows[column.name].to_numpy() for column in input_schema.columns}
    target = (rows[input_schema.target] == input_schema.positive).to_numpy().astype(np.int8)
    return Split(columns, target)
