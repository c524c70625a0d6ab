"""Conditions of `mlops tracker --where`, such as `accuracy>=0.85` and `running=prod`.

A value is compared as the table shows it: `accuracy=0.8579` and `accuracy>=0.8579` both hold for a model
whose accuracy is shown as 0.8579, whatever its further digits are.
"""

import re
from collections.abc import Sequence

from mlops.errors import MlopsError, UsageError
from mlops.release.look.tracker import ABSENT, Cell, Row, column_called, natural_key, shown_cell

CONDITION = re.compile(r"([^<>=!]+)(<=|>=|!=|==|=|<|>)(.*)", re.DOTALL)
SIGNS = {"=": (0,), "==": (0,), ">=": (0, 1), "<=": (0, -1), ">": (1,), "<": (-1,)}
"""For each operator but !=, how a cell that fulfils it may compare with the value."""

MOST_CHOICES = 12


def rows_where(rows: Sequence[Row], condition: str) -> list[Row]:
    """Returns the rows that fulfil the condition. Raises MlopsError if there is none, and UsageError if it
    is no condition."""
    parts = CONDITION.fullmatch(condition)
    if not parts:
        raise UsageError(
            f"{condition!r} is not a condition: write COLUMN, one of = != < <= > >=, and a value"
        )
    column, operator, value = column_called(parts[1], rows), parts[2], parts[3].strip()
    matching = [row for row in rows if is_fulfilled(row, column, operator, value)]
    if not matching:
        known = sorted(
            {each for row in rows for each in shown_values(row, column)}, key=natural_key
        )
        more = " ..." if len(known) > MOST_CHOICES else ""
        raise MlopsError(
            f"no such model has {column} {operator} {value!r}; there are "
            f"{', '.join(known[:MOST_CHOICES])}{more}"
        )
    return matching


def is_fulfilled(row: Row, column: str, operator: str, value: str) -> bool:
    """Returns whether one of the cell's values fulfils the condition; for != none of them may be equal."""
    if operator == "!=":
        return not is_fulfilled(row, column, "=", value)
    if row.get(column) is None or value == ABSENT:
        return 0 in SIGNS[operator] and value == shown_cell(row, column)
    return any(
        compared(cell, shown, value, column) in SIGNS[operator]
        for cell, shown in zip(cell_values(row, column), shown_values(row, column), strict=True)
    )


def cell_values(row: Row, column: str) -> list[Cell]:
    """Returns the values of a cell: a model may run in more than one environment."""
    cell = row.get(column)
    return [*cell.split(", ")] if isinstance(cell, str) and column == "running" else [cell]


def shown_values(row: Row, column: str) -> list[str]:
    shown = shown_cell(row, column)
    return shown.split(", ") if column == "running" else [shown]


def compared(cell: Cell, shown: str, value: str, column: str) -> int:
    """Returns 0 if the value is the cell's or what is shown of it, else 1 if the cell is larger or -1."""
    if value in (shown, str(cell)):
        return 0
    if isinstance(cell, int | float):
        number = number_in(value, column)
        return (cell > number) - (cell < number)
    mine, other = natural_key(cell), natural_key(value)
    return (mine > other) - (mine < other)


def number_in(value: str, column: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UsageError(f"{column} holds numbers, and {value!r} is none") from None
