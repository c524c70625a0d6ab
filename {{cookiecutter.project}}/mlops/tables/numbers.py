"""Which text is a number."""

from math import nan


def number_of(text: str) -> float:
    """NaN for what is no number."""
    try:
        return nan if "_" in text else float(text)
    except ValueError:
        return nan
