"""Computes the position of a row, which decides what environments see it and in which split it is.

A position is a number from 0 to 1 that is computed from the inputs of the row or, in a split by group, from
its group. It does not change when rows are added. Rows with equal inputs have the same position, so that
duplicates are always in the same split, and so have the rows of a group.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlops.params import PrepareParams
from mlops.tables import row_hashes
from mlops.tables.cells import Cells
from mlops.tables.row_hashes import Hashes

Positions = NDArray[np.float64]
"""One number for each row, at least 0 and under 1, of shape (rows,)."""


def input_hashes(cells: Cells, params: PrepareParams) -> Hashes:
    """Returns a hash of the inputs of each row, of shape (rows,). The order in which params.yaml names the
    columns does not matter."""
    every = cells.columns
    return row_hashes.row_hashes(every[name].hashes() for name in sorted(params.columns.inputs))


def unit_hashes(cells: Cells, inputs: Hashes, params: PrepareParams) -> Hashes:
    """Returns a hash of what stays together in one slice and one split, which is the group of each row or the
    row itself, of which `inputs` are the hashes: both of shape (rows,)."""
    if params.split.by == "group" and params.split.column:
        return row_hashes.row_hashes([cells.columns[params.split.column].hashes()])
    return inputs


def positions(
    hashes: Hashes, params: PrepareParams, purpose: Literal["slice", "split"]
) -> Positions:
    """Returns the positions of rows by the hashes of what stays together. Those for one purpose are
    independent of those for another, and of those with another seed."""
    salt = row_hashes.text_hashes([f"{params.split.seed}/{purpose}"])
    upper_bits = row_hashes.mixed_bits(hashes ^ salt) >> np.uint64(11)
    fractions: Positions = upper_bits / 2.0**53
    return fractions
