"""Computes the derived columns that science/features.py declares, for training and for every prediction."""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

from numpy.typing import NDArray

Feature = Callable[..., NDArray[Any]]
"""A function whose arguments are named after columns of the table. All arrays have the shape (rows,)."""

DERIVED: dict[str, tuple[Literal["number", "category"], Feature]] = {}
"""The derived columns by name, in the order in which the project declares them."""


def number(function: Feature) -> Feature:
    """Declares a derived column of numbers, which has the name of the function."""
    DERIVED[function.__name__] = ("number", function)
    return function


def category(function: Feature) -> Feature:
    """Declares a derived column of text, which has the name of the function."""
    DERIVED[function.__name__] = ("category", function)
    return function


def derive(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Returns every derived column by name, from the columns of the table; all have the shape (rows,)."""
    return {
        name: function(*(columns[argument] for argument in arguments(function)))
        for name, (_, function) in DERIVED.items()
    }


@cache
def arguments(function: Feature) -> tuple[str, ...]:
    """Returns the names of the columns that a derived column is computed from."""
    return tuple(inspect.signature(function).parameters)
