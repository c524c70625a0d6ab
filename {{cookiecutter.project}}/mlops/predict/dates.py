"""Dates as numbers: the days since 1970-01-01, and the numbers that a model is given for them."""

import re
from datetime import date
from functools import lru_cache
from math import nan
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FirstDay = Literal["1970-01-01"]
FIRST_DAY: FirstDay = "1970-01-01"
"""The day of which the number is 0."""

PARTS = ("year", "month", "day_of_week", "days")
"""What a model is given for a date: the month is 1 to 12, the day of the week 1 (Monday) to 7, and `days` is
the number of days since FIRST_DAY."""

ORIGIN = date.fromisoformat(FIRST_DAY).toordinal()
FIRST, LAST = (float(day.toordinal() - ORIGIN) for day in (date.min, date.max))

DIGITS = {"%Y": "(?P<year>[0-9]{4})", "%m": "(?P<month>[0-9]{1,2})", "%d": "(?P<day>[0-9]{1,2})"}


def days_of(day: date | None) -> float:
    """Returns the number of days since FIRST_DAY, NaN for None."""
    return nan if day is None else float(day.toordinal() - ORIGIN)


def date_text(days: float) -> str:
    """Returns a number of days since FIRST_DAY as a date, such as "2024-05-01"."""
    return date.fromordinal(int(days) + ORIGIN).isoformat()


def part_names(column: str) -> tuple[str, ...]:
    """Returns the names of the numbers that a model is given for a date column."""
    return tuple(f"{column}.{part}" for part in PARTS)


def date_parts(days: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Returns the PARTS of dates, which are given as days since FIRST_DAY, NaN for missing: each of shape
    (rows,)."""
    missing = np.isnan(days)
    dates = np.where(missing, 0, days).astype("datetime64[D]")
    months = np.where(missing, nan, dates.astype("datetime64[M]").astype(np.int64))
    return months // 12 + 1970, months % 12 + 1, (days + 3) % 7 + 1, days


def date_pattern(form: str) -> re.Pattern[str]:
    """Returns an expression for the dates of a form such as "%d.%m.%Y". Month and day may have one digit
    where something stands between the numbers."""
    pattern = re.escape(form)
    for directive, digits in DIGITS.items():
        pattern = pattern.replace(directive, digits)
    return re.compile(
        pattern.replace("{1,2}", "{2}") if re.search("%[Ymd]%[Ymd]", form) else pattern
    )


@lru_cache(2**16)  # every piece of a table has the same dates
def days_of_text(text: str, pattern: re.Pattern[str]) -> float:
    """Returns the number of days since FIRST_DAY of a date as text, NaN if it is no date of the pattern."""
    if not (found := pattern.fullmatch(text)):
        return nan
    try:
        return days_of(date(**{name: int(digits) for name, digits in found.groupdict().items()}))
    except ValueError:  # such as 30 February
        return nan
