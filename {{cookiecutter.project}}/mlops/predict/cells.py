"""The meaning of a cell of text: one rule for training, batches and requests."""

import re
from collections.abc import Container
from math import nan

import numpy as np

NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
"""A number, as an expression that Python and RE2 read alike: ASCII digits with a decimal point. Other
digits, separators of thousands, "nan" and "inf" are not numbers."""

LARGEST = float(np.finfo(np.float32).max)
"""The largest number that a model takes; its inputs have 32 bits."""

IS_NUMBER = re.compile(NUMBER)


def text_of(cell: str) -> str:
    """Returns the cell without the white space around it."""
    return cell.strip()


def is_missing(text: str, markers: Container[str]) -> bool:
    """Returns whether a text means "unknown": it is empty, or one of the markers of the schema."""
    return not text or text in markers


def number_of(text: str) -> float:
    """Returns the nearest 64-bit number, 0 for -0, NaN for a text that is not a number, and infinity for a
    number that is too large."""
    return float(text) + 0.0 if IS_NUMBER.fullmatch(text) else nan
