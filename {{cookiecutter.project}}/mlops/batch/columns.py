"""Finds the faults of the rows of a batch.

The rules are those of mlops/contract/contract.py, applied to a whole column at once. The contract itself
describes the faults of the rows that are rejected.
"""

from collections import Counter

import numpy as np

from mlops.contract.contract import column_bounds
from mlops.contract.faults import Kind
from mlops.predict.cells import LARGEST
from mlops.predict.inputs import Columns
from mlops.predict.schema import Column, Schema, Severity
from mlops.tables.cells import Cells, Mask, Numbers, Texts


def faults(cells: Numbers | Texts, column: Column) -> dict[Kind, Mask]:
    """Returns the rows with a fault, by kind of fault."""
    return (
        number_faults(cells, column) if isinstance(cells, Numbers) else text_faults(cells, column)
    )


def number_faults(cells: Numbers, column: Column) -> dict[Kind, Mask]:
    with np.errstate(invalid="ignore"):
        finite = np.abs(cells.values) <= LARGEST
        whole = cells.values % 1 == 0 if column.type == "integer" else finite
        low, high = column_bounds(column)
        inside = (low <= cells.values) & (cells.values <= high)
    good = finite & whole
    return {
        "type": ~cells.unknown & ~good,
        "range": good & ~inside,
        "missing_value": cells.unknown & (not column.missing),
    }


def text_faults(cells: Texts, column: Column) -> dict[Kind, Mask]:
    unseen = np.array([word not in column.categories for word in cells.words])
    return {
        "category": unseen[cells.numbers] & ~cells.unknown,
        "missing_value": cells.unknown & (not column.missing),
    }


class Judge:
    """Decides which rows are rejected, by the policy of a schema."""

    def __init__(self, schema: Schema) -> None:
        policy = schema.policy
        self._columns = schema.columns
        self._severity: dict[Kind, Severity] = {
            "type": "error",
            "missing_value": policy.missing_value,
            "category": policy.unknown_category,
            "range": policy.out_of_range,
        }

    def judge(self, cells: Cells, rows: int) -> tuple[Mask, Counter[str]]:
        """Returns the rows that are rejected, and how many of the other rows have each warning, which is
        named by column and kind of fault."""
        rejected = np.zeros(rows, bool)
        warned = {}
        every = cells.columns
        for column in self._columns:
            for kind, mask in faults(every[column.name], column).items():
                if self._severity[kind] == "error":
                    rejected |= mask
                else:
                    warned[f"{column.name}: {kind}"] = mask
        counts = {warning: int((mask & ~rejected).sum()) for warning, mask in warned.items()}
        return rejected, Counter({warning: count for warning, count in counts.items() if count})


def take_rows(cells: Cells, rows: Mask) -> Columns:
    """Returns the values of the rows of a mask, by column."""
    return {name: column.values[rows] for name, column in cells.columns.items()}
