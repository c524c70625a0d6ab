"""How text is written in the files of a table: what stands for "unknown", and how a number, a boolean or
a date is written."""

import re
from functools import cached_property
from math import nan

import msgspec

from mlops.predict.cells import is_missing, number_of, text_of
from mlops.predict.dates import days_of_text, has_time

ISO = "%Y-%m-%d"
PARENTHESES = "()"
"""The unit by which a number in parentheses is negative, as accountants write it."""


class Dialect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """The block `source` of params.yaml, which the schema carries, so that files to predict are read as those
    of the training were.

    `delimiter` is None if it is found in the header of each file. `names` are the names of the columns in
    files without a header. `skip` is the number of lines before the header or, without one, before the first
    row. `units` are signs beside a number that do not count, such as "$"; with "()" among them, a number in
    parentheses is negative. `true_words` and `false_words` are
    the words of booleans, in lower case. `dates` is the form of dates, with %Y, %m and %d and perhaps a
    time, or the form of each column of dates.
    """

    encoding: str = "utf-8"
    delimiter: str | None = None
    decimal: str = "."
    thousands: str = ""
    units: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    skip: int = 0
    missing: tuple[str, ...] = ()
    true_words: tuple[str, ...] = ("true",)
    false_words: tuple[str, ...] = ("false",)
    dates: str | dict[str, str] = ISO

    @property
    def has_plain_numbers(self) -> bool:
        """Returns whether a number is written with digits and `decimal` alone."""
        return not (self.thousands or self.units)

    def is_missing(self, text: str) -> bool:
        """Returns whether a text means "unknown"."""
        return is_missing(text, self.missing)

    def number_of(self, text: str) -> float:
        """Returns the number that a text without spaces around it says, NaN if it is none."""
        if self.decimal == "." and self.has_plain_numbers:
            return number_of(text)
        if PARENTHESES in self.units and text[:1] == "(" and text[-1:] == ")":
            return -self.number_of(text[1:-1])
        sign, text = (text[:1], text[1:]) if text[:1] in ("+", "-") else ("", text)
        if self.units:
            text = self._unit.sub("", text)
        text = sign + text_of(text)
        if self.thousands and self._grouped.match(text):
            text = text.replace(self.thousands, "")
        if self.decimal != ".":
            text = text.replace(".", "\0").replace(self.decimal, ".")
        return number_of(text)

    def boolean_of(self, text: str) -> float:
        """Returns 1 or 0 for a text without spaces around it that is a word for true or false, in upper or
        lower case, and NaN for any other."""
        word = text.lower()
        return 1.0 if word in self.true_words else 0.0 if word in self.false_words else nan

    def form_of(self, column: str) -> str:
        """Returns the form of the dates of a column."""
        return self.dates if isinstance(self.dates, str) else self.dates.get(column, ISO)

    def has_time(self, column: str) -> bool:
        """Returns whether the dates of a column have a time."""
        return has_time(self.form_of(column))

    def days_of(self, text: str, column: str) -> float:
        """Returns the days since 1970-01-01 of a text without spaces around it, NaN if it is no date in the
        form of the column."""
        return days_of_text(text, self.form_of(column))

    @cached_property
    def _unit(self) -> re.Pattern[str]:
        """Returns an expression for a unit before or after a number: the longest one that fits. No unit ends
        between a letter and a dot, since that of "Rs.500" is no decimal mark."""
        longest_first = sorted(self.units, key=len, reverse=True)
        unit = f"(?:{'|'.join(map(re.escape, longest_first))})"
        return re.compile(rf"^{unit}(?!(?<=[^\W\d_])\.)|{unit}$")

    @cached_property
    def _grouped(self) -> re.Pattern[str]:
        """Returns an expression for the beginning of a number whose digits are in groups of three."""
        mark = re.escape(self.thousands)
        return re.compile(rf"[+-]?[0-9]{{1,3}}({mark}[0-9]{{3}})+(?![0-9]|{mark})")
