"""Reads what the stage evaluate has plotted, CSV files in DVC's cache, as plots of the site."""

import csv
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from mlops.site import charts
from mlops.site.charts import Bar, Curve

PLOTS = "reports/plots"
CONFUSION = "confusion"
TITLES = {
    "roc": "ROC curve",
    "precision_recall": "Precision and recall",
    "confusion": "Confusion matrix",
    "predicted": "Predicted against actual",
    "importance": "Importance of the columns",
}
SHOWN = 20
"""The number of bars that are shown: those of the largest values."""

LONGEST = 10_000
"""The most characters of a name or a number."""


@dataclass(frozen=True)
class Bars:
    title: str
    value: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Confusion:
    """How often each pair of an actual and a predicted class occurs: `rows` are the counts by actual class,
    in the order of `classes`, with the share of the row, 0 to 1."""

    title: str
    classes: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[int, float]]]]


Plot = Curve | Bars | Confusion


@dataclass(frozen=True)
class Cache:
    """DVC's cache in a folder. What it does not have is None."""

    folder: Path

    def read(self, md5: str | None) -> bytes | None:
        if md5:
            with suppress(OSError):
                return Path(self.folder, "files/md5", md5[:2], md5[2:]).read_bytes()
        return None

    def read_folder(self, md5: str | None) -> dict[str, bytes]:
        """Returns the content of the files of a folder, by path; of a folder that is damaged, nothing."""
        try:
            listed = json.loads(self.read(md5) or b"[]")
            found = {each["relpath"]: self.read(each["md5"]) for each in listed}
        except (ValueError, KeyError, TypeError):
            return {}
        return {path: content for path, content in sorted(found.items()) if content is not None}


def plots_of(files: Mapping[str, bytes]) -> list[Plot]:
    """Returns a plot for each CSV file of two columns that has rows: the confusion matrix, a curve of two
    numbers, or a bar for each name with a number."""
    found = (
        plot_of(Path(path).stem, content)
        for path, content in files.items()
        if path.endswith(".csv")
    )
    return [plot for plot in found if plot]


def plot_of(name: str, content: bytes) -> Plot | None:
    title = TITLES.get(name, name.replace("_", " ").capitalize())
    try:
        header, *rows = [*csv.reader(content.decode(errors="replace").splitlines())] or [[]]
    except csv.Error:
        return None
    pairs = [(row[0], row[1]) for row in rows if len(row) == 2]
    if len(header) != 2 or not pairs or max(map(len, chain(*pairs))) > LONGEST:
        return None
    if name == CONFUSION:  # whose classes may be numbers
        return confusion(title, Counter(pairs))
    with suppress(ValueError):
        values = [(first, finite(value)) for first, value in pairs]
        with suppress(ValueError):
            points = [(finite(first), value) for first, value in values]
            return charts.curve(title, header, points)
        largest = sorted(values, key=lambda each: -abs(each[1]))[:SHOWN]
        return Bars(title, header[1].replace("_", " "), charts.bars(largest))
    return None


def finite(text: str) -> float:
    """Returns the number that a text says. Raises ValueError if it is none, or has no place on a scale."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} has no place on a scale")
    return number


def confusion(title: str, counts: Mapping[tuple[str, str], int]) -> Confusion:
    classes = sorted({name for pair in counts for name in pair})
    rows = []
    for actual in classes:
        row = [counts.get((actual, predicted), 0) for predicted in classes]
        rows.append((actual, [(count, count / max(sum(row), 1)) for count in row]))
    return Confusion(title, classes, rows)
