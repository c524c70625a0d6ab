"""Arranges the columns of a table as the two matrices that every model takes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import science.features  # noqa: F401 - declares the project's derived columns
from mlops.predict.dates import date_parts
from mlops.predict.derived import DERIVED, derive
from mlops.predict.schema import Schema

Columns = Mapping[str, NDArray[Any]]
"""Columns by name, all of one length: float64 with NaN for missing, or text with "" for missing. A boolean is
1 or 0, and a date the number of days since 1970-01-01, with a fraction if it has a time."""

Matrices = dict[str, NDArray[Any]]
"""`numbers`, float32 of shape (rows, number columns), and `categories`, text of shape (rows,
category columns). A matrix without columns is absent."""

TYPES = {"numbers": np.float32, "categories": object}


def matrix_columns(schema: Schema) -> dict[str, list[str]]:
    """Returns the columns of each matrix, in order: those of the table, then the parts of dates, and then the
    derived ones."""
    derived = {name: kind for name, (kind, _) in DERIVED.items()}
    return {
        "numbers": schema.names("integer", "number", "boolean")
        + [part for parts in schema.date_parts().values() for part in parts]
        + [name for name, kind in derived.items() if kind == "number"],
        "categories": schema.names("category")
        + [name for name, kind in derived.items() if kind == "category"],
    }


def matrices_of(columns: Columns, schema: Schema) -> Matrices:
    """Returns the columns of a table, and those derived from them, as the matrices of the schema."""
    return arrange_matrices(columns, matrix_columns(schema), schema.date_parts())


def arrange_matrices(
    columns: Columns,
    matrix_columns: Mapping[str, Sequence[str]],
    parts: Mapping[str, Sequence[str]],
) -> Matrices:
    """Returns what `matrices_of` does, by the column names of each matrix and the names of the parts of each
    date column, which a caller may keep."""
    table = {**columns, **derive(columns)}
    for name, names in parts.items():
        table |= zip(names, date_parts(columns[name]), strict=False)  # no hour without a time
    return {
        matrix: side_by_side([table[name] for name in names], TYPES[matrix])
        for matrix, names in matrix_columns.items()
        if names
    }


def side_by_side(columns: Sequence[NDArray[Any]], kind: type) -> NDArray[Any]:
    matrix: NDArray[Any] = np.empty((len(columns[0]), len(columns)), kind)
    for position, column in enumerate(columns):
        matrix[:, position] = column
    return matrix
