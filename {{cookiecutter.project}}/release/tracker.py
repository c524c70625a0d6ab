"""`mlops tracker`: a row for every model, with all that made it and how good it is."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from release import models
from release.errors import ReleaseError
from release.git import Git
from release.models import Model

Cell = str | float | None
Row = Mapping[str, Cell]
"""A cell for each of COLUMNS, then for each other metric of the test rows, then `commit` and `md5`."""


class Column(NamedTuple):
    heading: str
    of_path: str = ""
    """The output whose hash the column numbers."""


COLUMNS = {
    "model": "Model",
    "architecture": "Code (architecture)",
    "dataset": "Dataset",
    "training": "Data (training)",
    "validation": "Data (validation)",
    "parameters": "Other parameters",
    "testing": "Data (testing)",
    "accuracy": "Accuracy",
    "false_positive_percent": "% False positives",
    "running": "running in",
}
