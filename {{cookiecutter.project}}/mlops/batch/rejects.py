"""Writes the rows that are rejected to a file, and limits how many a batch may have."""

import csv
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TextIO

from mlops.batch.errors import storage_errors
from mlops.errors import UsageError


@dataclass(frozen=True)
class Reject:
    """A row that is not scored, and why. `line` is its line in the file, and the header of a CSV file is line
    1; in a Parquet file `line` is the number of the row, counted from 1."""

    file: str
    line: int
    reasons: str


@dataclass(frozen=True)
class Limit:
    """The largest number of rejects that a batch may have: a number of rows, or a percentage of all rows."""

    text: str
    number: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the limit that a text such as 20 or 0.5% says. Raises UsageError for any other text."""
        largest = 100 if text.endswith("%") else float("inf")
        if not re.fullmatch(r"\d+|\d+(\.\d+)?%", text) or float(text.rstrip("%")) > largest:
            raise UsageError(
                "--max-rejects should be a number of rows or a percentage, such as 20 or 0.5%, not "
                f"{text!r}"
            )
        return cls(text, float(text.rstrip("%")))

    def is_exceeded(self, rejected: int, rows: int) -> bool:
        """Returns whether more rows were rejected than is allowed; `rows` is the number of all rows."""
        return rejected > (self.number * rows / 100 if self.text.endswith("%") else self.number)


class RejectsFile:
    """A CSV file of rejects that only its owner may read. The first reject creates it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def remove_earlier(self) -> None:
        """Removes the file that an earlier run of the same batch may have left."""
        with storage_errors(self.path):
            self.path.unlink(missing_ok=True)

    def write_rejects(self, rejects: Sequence[Reject]) -> None:
        """Appends rejects to the file. Raises Away or Refused if it cannot be written."""
        if not rejects:
            return
        with storage_errors(self.path):
            if self._file is None:
                self._file = private_file(self.path)
                csv.writer(self._file).writerow(["file", "line", "reasons"])
            csv.writer(self._file).writerows(
                (reject.file, reject.line, reject.reasons) for reject in rejects
            )

    def close(self) -> None:
        with storage_errors(self.path):
            if self._file:
                self._file.close()


def private_file(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")
