"""Measures how good the predictions of each version were, over the scored rows whose labels are known.

Labels can become known long after their rows were scored, so that they have a window of their own.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from typing import Any, Literal

from mlops.batch.destinations.relational import Relational, datetime_of
from mlops.predict.task import Task

QUANTILE = 1.96
"""The quantile of the normal distribution for an interval of 95 %."""

LIVE = """
SELECT model_version, task, negative, positive, started_at, counted.*
FROM (
    SELECT batch, prediction, label, count(*) AS labelled, sum(abs(error)) AS errors,
        sum(error * error) AS squares, sum(error * error * error * error) AS fourths
    FROM (
        SELECT batch, prediction, label, predicted - number AS error
        FROM (
            SELECT batch, row_key, target, prediction, number AS predicted, ROW_NUMBER() OVER (
                PARTITION BY model_version, row_key ORDER BY started_at DESC, batch DESC
            ) AS age
            FROM scores JOIN batches USING (batch) WHERE environment = ? AND started_at >= ?
        ) AS aged JOIN labels USING (row_key, target)
        WHERE age = 1 AND (prediction IS NULL) = (label IS NULL)
    ) AS compared
    GROUP BY batch, prediction, label
) AS counted JOIN batches USING (batch)"""

LATEST = """
SELECT max(started_at) AS latest
FROM scores JOIN batches USING (batch) JOIN labels USING (row_key, target)
WHERE environment = ?"""


@dataclass(frozen=True)
class Measured:
    """A metric of `rows` rows with the smallest and the largest value that these rows are consistent with at
    95 %. `value` is None without rows."""

    value: float | None
    interval: tuple[float, float]
    rows: int


@dataclass(frozen=True)
class LiveMetric:
    """A metric that labels tell: its name in a sentence, which bound it can have, and the form of a value."""

    words: str
    bound: Literal["min", "max"]
    form: str
    unit: str = ""

    def text(self, measured: Measured | None) -> str:
        """Returns a value with its interval; "-" if there is none."""
        if measured is None or measured.value is None:
            return "-"
        value, low, high = (f"{each:{self.form}}" for each in (measured.value, *measured.interval))
        return f"{value}{self.unit} ({low} to {high}{self.unit})"


METRICS = {
    "accuracy": LiveMetric("accuracy", "min", ".4f"),
    "false_positive_percent": LiveMetric("false positives", "max", ".2f", " %"),
    "worst_recall": LiveMetric("worst recall", "min", ".4f"),
    "mae": LiveMetric("MAE", "max", ".6g"),
    "rmse": LiveMetric("RMSE", "max", ".6g"),
}

BY_TASK: Mapping[Task, Sequence[str]] = {
    "binary": ("accuracy", "false_positive_percent"),
    "multiclass": ("accuracy", "worst_recall"),
    "regression": ("mae", "rmse"),
}


def option_of(name: str) -> str:
    """Returns the option of `mlops monitor` that bounds a metric, such as --min-accuracy."""
    return f"--{METRICS[name].bound}-{name.replace('_', '-')}"


@dataclass(frozen=True)
class Live:
    """How good a version was over `labelled` rows, by the metrics of its task."""

    version: str
    labelled: int
    metrics: Mapping[str, Measured]


def live_by_version(database: Relational, environment: str, since: datetime) -> list[Live]:
    """Returns how good each version was over the rows that were scored since then, the latest version first.
    A row that a version has scored more than once counts once, with its latest prediction."""
    versions = defaultdict(list)
    for row in database.query(LIVE, environment, since).to_pylist():
        versions[row["model_version"]].append(row)
    latest = sorted(versions.values(), key=lambda rows: max(row["started_at"] for row in rows))
    return [live_of(rows) for rows in reversed(latest)]


def live_of(rows: Sequence[Mapping[str, Any]]) -> Live:
    """Returns how good a version was. The rows count pairs of a prediction and a label, or sum up the errors
    of numbers, by batch."""
    first, labelled = rows[0], total(rows)
    right = [row for row in rows if row["prediction"] == row["label"]]
    match first["task"]:
        case "binary":
            negatives = [row for row in rows if row["label"] == first["negative"]]
            false = [row for row in negatives if row["prediction"] == first["positive"]]
            metrics = {
                "accuracy": share(total(right), labelled),
                "false_positive_percent": share(total(false), total(negatives), 100),
            }
        case "multiclass":
            metrics = {
                "accuracy": share(total(right), labelled),
                "worst_recall": worst_recall(rows, right),
            }
        case _:
            sums = (
                sum(float(row[name]) for row in rows) for name in ("errors", "squares", "fourths")
            )
            metrics = errors_of(labelled, *sums)
    return Live(first["model_version"], labelled, metrics)


def total(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(int(row["labelled"]) for row in rows)


def worst_recall(rows: Sequence[Mapping[str, Any]], right: Sequence[Mapping[str, Any]]) -> Measured:
    """Returns the lowest share of the rows of a class that was predicted, over the classes with labels: that
    with the lowest upper end of its interval, so that a class with few labels hides none with many."""
    recalls = [
        share(
            total([row for row in right if row["label"] == name]),
            total([row for row in rows if row["label"] == name]),
        )
        for name in {row["label"] for row in rows}
    ]
    return min(recalls, key=lambda recall: (recall.interval[1], recall.value))


def share(some: int, rows: int, whole: int = 1) -> Measured:
    """Returns the share `some` of `rows` from 0 to `whole`, with the score interval of Wilson (1927). Without
    rows, the interval is 0 to `whole`."""
    if not rows:
        return Measured(None, (0.0, whole), 0)
    square = QUANTILE**2
    center = some + square / 2
    half = QUANTILE * sqrt(some * (rows - some) / rows + square / 4)
    low, high = (whole * (center + each) / (rows + square) for each in (-half, half))
    return Measured(whole * some / rows, (max(low, 0.0), min(high, whole)), rows)


def errors_of(rows: int, errors: float, squares: float, fourths: float) -> dict[str, Measured]:
    """Returns the mean absolute error and the root of the mean squared error, by the sums of the absolute
    errors and of their second and fourth powers, with the normal intervals of the means."""
    mse = mean(rows, squares, fourths)
    low, high = map(sqrt, mse.interval)
    rmse = Measured(sqrt(squares / rows), (low, high), rows)
    return {"mae": mean(rows, errors, squares), "rmse": rmse}


def mean(rows: int, total: float, squares: float) -> Measured:
    """Returns the mean of numbers from 0 up by their sum and that of their squares, with its normal
    interval. One number is consistent with any mean."""
    value = total / rows
    if rows == 1:
        return Measured(value, (0.0, float("inf")), rows)
    variance = max(squares / rows - value**2, 0) / (rows - 1)
    half = QUANTILE * sqrt(variance)
    return Measured(value, (max(value - half, 0.0), value + half), rows)


def shown_metrics(live: Sequence[Live]) -> list[str]:
    """Returns the names of the metrics that any of the versions has."""
    return [name for name in METRICS if any(name in each.metrics for each in live)]


def latest_labelled(database: Relational, environment: str) -> datetime | None:
    """Returns when the latest row whose label is known was scored, or None if there is no such row."""
    latest = database.query(LATEST, environment)["latest"][0].as_py()
    return None if latest is None else datetime_of(latest)
