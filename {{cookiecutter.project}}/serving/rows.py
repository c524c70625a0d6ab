"""Rows as a client sends them, to columns."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.errors import InputError
from serving.inputs import Columns
from serving.schema import Column, Schema

LARGEST = float(np.finfo(np.float32).max)


def columns_of(rows: Sequence[Mapping[str, Any]], schema: Schema) -> Columns:
    """Raises InputError that names every wrong field of every row at once."""
    faults = [
        f"row {number}: {fault}"
        for number, row in enumerate(rows)
        for fault in faults_of(row, schema)
    ]
    if faults:
        raise InputError("; ".join(faults))
    return {
        column.name: np.array(
            [value_of(row[column.name], column) for row in rows], dtype_of(column)
        )
        for column in schema.columns
    }


def faults_of(row: Mapping[str, Any], schema: Schema) -> list[str]:
    names = [column.name for column in schema.columns]
    missing = [f"{name} is missing" for name in names if name not in row]
    unknown = [f"{name} is no column of the model" for name in row if name not in names]
    wrong = [
        f"{column.name} should be {expected(column)}, not {row[column.name]!r}"
        for column in schema.columns
        if column.name in row and not fits(row[column.name], column)
    ]
    return missing + unknown + wrong


def expected(column: Column) -> str:
    kind = {"integer": "a whole number", "number": "a number", "category": "text"}[column.type]
    return f"{kind} or null"


def fits(value: object, column: Column) -> bool:
    if value is None:
        return True
    if column.type == "category":
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if not abs(value) <= LARGEST:
        return False
    return column.type == "number" or float(value).is_integer()


def value_of(value: object, column: Column) -> object:
    if value is not None:
        return value
    return "" if column.type == "category" else math.nan


def dtype_of(column: Column) -> type:
    return object if column.type == "category" else np.float64
