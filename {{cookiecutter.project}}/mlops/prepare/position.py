"""Computes the position of a row, which decides what environments see it and in which split it is.

A position is a number from 0 to 1 that is computed from the row's inputs alone. It does not change when rows
are added, and rows with equal inputs have the same one, so that duplicates are always in the same split.
"""

from typing import Any, Literal

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


def positions(
    hashes: Hashes, params: PrepareParams, purpose: Literal["slice", "split"]
) -> Positions:
    """Returns the positions of rows by the hashes of their inputs. Those for one purpose are independent of
    those for another, and of those with another seed."""
    salt = row_hashes.text_hashes([f"{params.split.seed}/{purpose}"])
    upper_bits = row_hashes.mixed_bits(hashes ^ salt) >> np.uint64(11)
    fractions: Positions = upper_bits / 2.0**53
    return fractions


def split_names(hashes: Hashes, params: PrepareParams) -> NDArray[Any]:
    """Returns the split of each row, "train", "validation" or "test": shape (rows,)."""
    position = positions(hashes, params, "split")
    test, validation = params.split.test, params.split.validation
    return np.select(
        [position < test, position < test + validation], ["test", "validation"], "train"
    )
