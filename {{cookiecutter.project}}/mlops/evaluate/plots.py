"""What `dvc plots show` draws, as CSV files."""

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


def write_plots(file: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def roc(file: Path, target: NDArray[Any], probability: NDArray[Any]) -> None:
    false_positive, true_positive, _ = roc_curve(target, probability)
    write_plots(
        file, ["false_positive_rate", "true_positive_rate"], curve(false_positive, true_positive)
    )


def precision_recall(file: Path, target: NDArray[Any], probability: NDArray[Any]) -> None:
    precision, recall, _ = precision_recall_curve(target, probability)
    write_plots(file, ["recall", "precision"], curve(recall, precision))


def calibration(file: Path, target: NDArray[Any], probability: NDArray[Any]) -> None:
    observed, predicted = calibration_curve(target, probability, n_bins=BINS)
    write_plots(file, ["predicted", "observed"], curve(predicted, observed))


def confusion(file: Path, actual: NDArray[Any], predicted: NDArray[Any]) -> None:
    write_plots(file, ["actual", "predicted"], zip(actual, predicted, strict=True))


def importance(file: Path, drops: Iterable[tuple[str, float]]) -> None:
    write_plots(
        file, ["column", "drop_in_roc_auc"], ((name, f"{drop:.5f}") for name, drop in drops)
    )


def curve(x: NDArray[Any], y: NDArray[Any]) -> Iterable[Sequence[str]]:
    """Points of the curve, thinned evenly to at most POINTS, the first and the last kept."""
    kept = np.linspace(0, len(x) - 1, min(len(x), POINTS)).round().astype(int)
    return ((f"{a:.5f}", f"{b:.5f}") for a, b in zip(x[kept], y[kept], strict=True))
