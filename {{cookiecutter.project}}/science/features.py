"""Derived columns: one plain function each, called by training and by every prediction.

A function's arguments are names of columns of the table. It gets one NumPy array per argument (a
number column as float64 with NaN for missing, a category column as text with "" for missing) and
returns an array of the same length. It must treat every row by itself. To add a column, write a
function under `@number` or `@category`; nothing else needs to change.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Categories = NDArray[Any]
Feature = Callable[..., NDArray[Any]]

DERIVED: dict[str, tuple[Literal["number", "category"], Feature]] = {}


def number(function: Feature) -> Feature:
    DERIVED[function.__name__] = ("number", function)
    return function


def category(function: Feature) -> Feature:
    DERIVED[function.__name__] = ("category", function)
    return function


@number
def capital_net(capital_gain: Numbers, capital_loss: Numbers) -> Numbers:
    """What capital brought in the year, in dollars."""
    return capital_gain - capital_loss


@number
def hours_per_year_of_education(hours_per_week: Numbers, education_num: Numbers) -> Numbers:
    """Weekly hours for each year at school; a long week after a short schooling stands out."""
    return hours_per_week / np.maximum(education_num, 1)


def derive(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Every derived column, from the columns of the table."""
    return {
        name: function(*(columns[argument] for argument in arguments(function)))
        for name, (_, function) in DERIVED.items()
    }


@cache
def arguments(function: Feature) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)
