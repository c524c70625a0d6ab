"""Writes the CSV files that `dvc plots show` draws."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

POINTS = 200
BINS = 10
CONFUSED = 50_000
"""The largest number of rows in the picture of the confusion matrix."""


def write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_roc(file: Path, target: NDArray[Any], probability: NDArray[Any]) -> None:
    false_positive, true_positive, _ = roc_curve(target, probability)
    write_csv(
        file,
        ["false_positive_rate", "true_positive_rate"],
        curve_points(false_positive, true_positive),
    )


def write_precision_recall(file: Path, target: NDArray[Any], probability: NDArray[Any]) -> None:
    precision, recall, _ = precision_recall_curve(target, probability)
    write_csv(file, ["recall", "precision"], curve_points(recall, precision))


def write_calibration(file: Path, target: NDArray[Any], probability: NDArray[Any]) -> None:
    observed, predicted = calibration_curve(target, probability, n_bins=BINS)
    write_csv(file, ["predicted", "observed"], curve_points(predicted, observed))


def write_confusion(file: Path, actual: NDArray[Any], predicted: NDArray[Any]) -> None:
    """Writes the classes of the first rows: the picture counts the lines of the file."""
    rows = zip(actual[:CONFUSED], predicted[:CONFUSED], strict=True)
    write_csv(file, ["actual", "predicted"], rows)


def write_importance(file: Path, drops: Iterable[tuple[str, float]]) -> None:
    write_csv(file, ["column", "drop_in_roc_auc"], ((name, f"{drop:.5f}") for name, drop in drops))


def curve_points(x: NDArray[Any], y: NDArray[Any]) -> Iterable[Sequence[str]]:
    """Returns at most POINTS points of the curve, evenly spaced, with the first and the last among them."""
    chosen = np.linspace(0, len(x) - 1, min(len(x), POINTS)).round().astype(int)
    return ((f"{a:.5f}", f"{b:.5f}") for a, b in zip(x[chosen], y[chosen], strict=True))
