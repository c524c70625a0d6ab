"""Writes the CSV files that `dvc plots show` draws. A plot that has no meaning for the task has no rows."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from mlops.predict.schema import Schema
from mlops.predict.task import Predictions

POINTS = 200
BINS = 10
CONFUSED = 50_000
"""The largest number of rows in the picture of the confusion matrix."""

SCATTERED = 2_000
"""The largest number of rows in a picture that has a point for each row."""

COLUMNS = {
    "roc": ("false_positive_rate", "true_positive_rate"),
    "precision_recall": ("recall", "precision"),
    "calibration": ("predicted", "observed"),
    "confusion": ("actual", "predicted"),
    "predicted": ("actual", "predicted"),
    "residuals": ("predicted", "residual"),
}
"""The columns of each plot: first that of the x axis, then that of the y axis."""

Rows = Iterable[Sequence[Any]]


def write_plots(
    folder: Path, schema: Schema, target: NDArray[Any], predictions: Predictions
) -> None:
    """Writes the plots of rows whose target is known, one file for each, as `measure` takes them."""
    if schema.task == "regression":
        rows = number_plots(target, predictions.answers)
    else:
        rows = class_plots(schema, target, predictions)
    for name, columns in COLUMNS.items():
        write_csv(folder / f"{name}.csv", columns, rows.get(name, ()))


def class_plots(
    schema: Schema, target: NDArray[Any], predictions: Predictions
) -> Mapping[str, Rows]:
    """Returns the rows of the plots. The calibration of a multiclass task is that of the class that is
    predicted: its probability, and how often it is the right one."""
    actual = np.asarray(schema.classes, object)[target]
    # The picture counts the lines of the file.
    confusion = zip(actual[:CONFUSED], predictions.answers[:CONFUSED], strict=True)
    if schema.task == "multiclass":
        right, likeliest = actual == predictions.answers, predictions.probabilities.max(axis=1)
        return {"confusion": confusion, "calibration": calibration_points(right, likeliest)}
    probability = predictions.probabilities[:, 1]
    false_positive, true_positive, _ = roc_curve(target, probability)
    precision, recall, _ = precision_recall_curve(target, probability)
    return {
        "roc": curve_points(false_positive, true_positive),
        "precision_recall": curve_points(recall, precision),
        "calibration": calibration_points(target, probability),
        "confusion": confusion,
    }


def number_plots(actual: NDArray[Any], predicted: NDArray[Any]) -> Mapping[str, Rows]:
    few = slice(None, None, 1 + len(actual) // SCATTERED)
    pairs = [*zip(actual[few], predicted[few], strict=True)]
    return {
        "predicted": ((f"{real:.6g}", f"{guess:.6g}") for real, guess in pairs),
        "residuals": ((f"{guess:.6g}", f"{real - guess:.6g}") for real, guess in pairs),
    }


def write_csv(file: Path, header: Sequence[str], rows: Rows) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_importance(file: Path, rises: Iterable[tuple[str, float]]) -> None:
    write_csv(file, ["column", "importance"], ((name, f"{rise:.5g}") for name, rise in rises))


def calibration_points(happened: NDArray[Any], probability: NDArray[Any]) -> Rows:
    observed, predicted = calibration_curve(happened, probability, n_bins=BINS)
    return curve_points(predicted, observed)


def curve_points(x: NDArray[Any], y: NDArray[Any]) -> Rows:
    """Returns at most POINTS points of the curve, evenly spaced, with the first and the last among them."""
    chosen = np.linspace(0, len(x) - 1, min(len(x), POINTS)).round().astype(int)
    return ((f"{a:.5f}", f"{b:.5f}") for a, b in zip(x[chosen], y[chosen], strict=True))
