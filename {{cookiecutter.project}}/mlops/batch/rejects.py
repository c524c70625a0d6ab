"""Rows that were not scored, and how many of them a batch may have."""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TextIO

from mlops.errors import Away, UsageError


@dataclass(frozen=True)
class Reject:
    """`line` is counted from 1, the header's; in Parquet it is the row's number."""

    file: str
    line: int
    reasons: str


@dataclass(frozen=True)
class Limit:
    """A number of rows, or a share of all."""

    text: str
    number: float

    @classmethod
    def parse(cls, text: str) -> Self:
        if not re.fullmatch(r"\d+|\d+(\.\d+)?%", text) or float(text.rstrip("%")) > largest_limit(
            text
        ):
            raise UsageError(
                f"--max-rejects should be a number of rows or a percentage, 20 or 0.5%, not {text!r}"
            )
        return cls(text, float(text.rstrip("%")))

    def is_passed(self, rejected: int, rows: int) -> bool:
        """Of `rows` in all, those that were rejected among them."""
        return rejected > (self.number * rows / 100 if self.text.endswith("%") else self.number)


def largest_limit(text: str) -> float:
    return 100 if text.endswith("%") else float("inf")


class RejectsFile:
    """A CSV file that its owner alone may read, made by the first row that it gets."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def begin(self) -> None:
        """An older run of the same batch may have left one."""
        self.path.unlink(missing_ok=True)

    def write(self, rejects: Sequence[Reject]) -> None:
        if not rejects:
            return
        with self._told():
            if self._file is None:
                self._file = private_file(self.path)
                csv.writer(self._file).writerow(["file", "line", "reasons"])
            csv.writer(self._file).writerows(
                (reject.file, reject.line, reject.reasons) for reject in rejects
            )

    def close(self) -> None:
        with self._told():
            if self._file:
                self._file.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Away(
                f"{self.path} can't be written now: {error.strerror}; nothing was stored, try again "
                "later"
            ) from error


def private_file(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")
