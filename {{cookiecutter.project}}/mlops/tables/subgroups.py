"""Tells which rows of a split are in which subgroup: those with one value in one column."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.tables.cells import Mask
from mlops.tables.splits import Split


def subgroups(split: Split, columns: Sequence[str]) -> Iterator[tuple[str, Mask]]:
    """Yields the name and the rows, of shape (rows,), of each subgroup by the category and boolean columns
    that prepare did not leave out."""
    for column in filter(split.columns.__contains__, columns):
        values = group_texts(split.columns[column])
        for value in sorted({*values.tolist()}):
            yield f"{column}: {value or 'missing'}", values == value


def group_texts(values: NDArray[Any]) -> NDArray[Any]:
    """Returns the values of a category or boolean column as text, "" for missing: shape (rows,)."""
    if values.dtype != float:
        return values
    return np.select([values == 1, values == 0], ["true", "false"], "")
