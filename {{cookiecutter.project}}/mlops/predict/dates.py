"""Dates as numbers: the days since 1970-01-01, with a fraction if they have a time, and the numbers that a
model is given for them."""

import re
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from math import nan
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FirstDay = Literal["1970-01-01"]
FIRST_DAY: FirstDay = "1970-01-01"
"""The day of which the number is 0."""

PARTS = ("year", "month", "day_of_week", "days")
"""What a model is given for a date: the month is 1 to 12, the day of the week 1 (Monday) to 7, and `days` is
the whole number of days since FIRST_DAY."""

HOUR = "hour"
"""What it is given beside them for a date with a time: 13.75 for a quarter to two in the afternoon."""

MILLISECONDS = 86_400_000
"""The milliseconds of a day. Times are kept to the millisecond, which 64 bits can tell in any year."""

EPOCH = datetime.fromisoformat(FIRST_DAY)
FIRST = float((datetime.min - EPOCH).days)
END = float((datetime.max - EPOCH).days + 1)
"""The numbers of the first day that a date can name, and of the day after the last one."""

DAY = {
    "%Y": "(?P<year>[0-9]{4})",
    "%y": "(?P<short_year>[0-9]{2})",
    "%m": "(?P<month>[0-9]{1,2})",
    "%b": r"(?P<month_name>[A-Za-z]{3,9})\.?",
    "%d": "(?P<day>[0-9]{1,2})",
}
DAYS = tuple(sorted((year, month, "%d")) for year in ("%Y", "%y") for month in ("%m", "%b"))
"""The directives that name a day, in any order."""

MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
    *("october", "november", "december"),
)
MONTH_NUMBERS = {
    name: number for number, month in enumerate(MONTHS, 1) for name in (month, month[:3])
} | {"sept": 9}

FIRST_SHORT_YEAR = 69
"""The year of two digits that is the earliest one, 1969, as in Python and C; 68 is 2068."""

TIME = {
    "%H": "(?P<hour>[0-9]{1,2})",
    "%I": "(?P<hour>[0-9]{1,2})",
    "%M": "(?P<minute>[0-9]{2})",
    "%S": "(?P<second>[0-9]{2})([.,](?P<fraction>[0-9]+))?",
    "%p": "(?P<half>[AaPp][Mm])",
    "%z": "(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})",
}
TIMES = ("", "%H%M", "%H%M%S", "%H%M%z", "%H%M%S%z", "%I%M%p", "%I%M%S%p")
"""The directives of a time, in an order in which they may follow those of a day."""


def is_date_form(form: str) -> bool:
    """Returns whether a text is the form of dates, such as "%d.%m.%Y" or "%d-%b-%y" for 24-Dec-24, or of
    dates with a time, such as "%Y-%m-%d %H:%M:%S"."""
    directives = re.findall("%.?", form)
    return sorted(directives[:3]) in DAYS and "".join(directives[3:]) in TIMES


def has_time(form: str) -> bool:
    """Returns whether dates of a form have a time."""
    return "%M" in form


def days_of(moment: date | None) -> float:
    """Returns the number of days since FIRST_DAY, NaN for None. A time that names no zone is that of
    Greenwich."""
    if moment is None:
        return nan
    if not isinstance(moment, datetime):
        return float(moment.toordinal() - EPOCH.toordinal())
    since = moment.replace(tzinfo=None) - EPOCH - (moment.utcoffset() or timedelta())
    return since // timedelta(milliseconds=1) / MILLISECONDS


def date_text(days: float) -> str:
    """Returns a number of days since FIRST_DAY as a date, such as "2024-05-01", or "2024-05-01T13:45:00" if
    it is not whole."""
    moment = EPOCH + timedelta(milliseconds=round(days * MILLISECONDS))
    return moment.isoformat() if days % 1 else moment.date().isoformat()


def part_names(column: str, *, with_hour: bool) -> tuple[str, ...]:
    """Returns the names of the numbers that a model is given for a date column."""
    return tuple(f"{column}.{part}" for part in (*PARTS, *([HOUR] if with_hour else [])))


def date_parts(days: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Returns the PARTS and the HOUR of dates, which are given as days since FIRST_DAY, NaN for missing: each
    of shape (rows,)."""
    missing, whole = np.isnan(days), np.floor(days)
    dates = np.where(missing, 0, whole).astype("datetime64[D]")
    months = np.where(missing, nan, dates.astype("datetime64[M]").astype(np.int64))
    hours = np.round((days - whole) * 24, 9)
    return months // 12 + 1970, months % 12 + 1, (whole + 3) % 7 + 1, whole, hours


@cache
def date_pattern(form: str) -> re.Pattern[str]:
    """Returns an expression for the dates of a form such as "%d.%m.%Y". Month and day may have one digit
    where something stands between the numbers."""
    pattern = re.escape(form)
    is_dense = re.search("%[Yymd]%[Yymd]", form)
    for directive, digits in {**DAY, **TIME}.items():
        pattern = pattern.replace(directive, digits.replace("1,2", "2") if is_dense else digits)
    return re.compile(pattern)


@lru_cache(2**16)  # every piece of a table has the same dates
def days_of_text(text: str, form: str) -> float:
    """Returns the number of days since FIRST_DAY of a date as text, NaN if it is no date of the form."""
    if not (found := date_pattern(form).fullmatch(text)):
        return nan
    parts = found.groupdict()
    try:
        day = days_of(date(year_of(parts), month_of(parts), int(parts["day"])))
        if not has_time(form):
            return day
        days = (day * MILLISECONDS + milliseconds_of(parts)) / MILLISECONDS
    except ValueError:  # such as 30 February
        return nan
    return days if FIRST <= days < END else nan


def year_of(parts: dict[str, str]) -> int:
    if "year" in parts:
        return int(parts["year"])
    short = int(parts["short_year"])
    return short + (1900 if short >= FIRST_SHORT_YEAR else 2000)


def month_of(parts: dict[str, str]) -> int:
    """Returns the number of a month. Raises ValueError if its name is none in English."""
    if "month" in parts:
        return int(parts["month"])
    return MONTH_NUMBERS.get(parts["month_name"].lower(), 0)  # no date has a month 0


def milliseconds_of(parts: dict[str, str | None]) -> int:
    """Returns the milliseconds from the beginning of a day, in Greenwich, to a time whose parts are texts.
    Raises ValueError if there is no such time."""
    hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + 12 * (half.lower() == "pm")
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(parts)
    zone, offset = parts.get("zone") or "Z", 0
    if zone != "Z":
        offset = int(f"{zone[0]}1") * (60 * int(zone[1:3]) + int(zone[-2:]))
    fraction = int((parts.get("fraction") or "")[:3].ljust(3, "0"))
    return ((60 * hour + minute - offset) * 60 + second) * 1000 + fraction
