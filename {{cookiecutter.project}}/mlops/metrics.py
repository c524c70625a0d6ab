"""The metrics of each task, and their values for rows whose answers are known.

- `false_positive_percent` is the share of the truly negative rows that were predicted positive, and
  `false_negative_percent` the share of the truly positive rows that were predicted negative; both from 0 to
  100.
- `macro_f1` and `balanced_accuracy` are the means of F1 and of recall over the classes, `worst_recall` is the
  recall of the class for which it is lowest, and `roc_auc` of a multiclass task is the mean over the classes,
  of each against all others. Classes that no row has do not count.
- `mape` is the mean absolute error in percent of the actual number.

A metric that is not defined for the rows is None, such as ROC AUC if all rows are of one class, and `mape` if
an actual number is 0.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlops.predict.schema import Schema
from mlops.predict.task import Predictions, Task, class_positions, refuse_unanswered


@dataclass(frozen=True)
class Metric:
    """Whether a `higher` or a `lower` value is better, the least and the greatest value that there can be,
    and whether two models are compared by what each loses on each row (`is_paired`)."""

    better: Literal["higher", "lower"]
    least: float
    greatest: float
    is_paired: bool = False


METRICS: Mapping[Task, Mapping[str, Metric]] = {
    "binary": {
        "accuracy": Metric("higher", 0, 1, is_paired=True),
        "false_positive_percent": Metric("lower", 0, 100, is_paired=True),
        "false_negative_percent": Metric("lower", 0, 100, is_paired=True),
        "precision": Metric("higher", 0, 1),
        "recall": Metric("higher", 0, 1),
        "f1": Metric("higher", 0, 1),
        "roc_auc": Metric("higher", 0, 1),
        "average_precision": Metric("higher", 0, 1),
        "log_loss": Metric("lower", 0, inf),
        "brier": Metric("lower", 0, 1, is_paired=True),
    },
    "multiclass": {
        "accuracy": Metric("higher", 0, 1, is_paired=True),
        "balanced_accuracy": Metric("higher", 0, 1, is_paired=True),
        "macro_f1": Metric("higher", 0, 1),
        "log_loss": Metric("lower", 0, inf, is_paired=True),
        "roc_auc": Metric("higher", 0, 1),
        "worst_recall": Metric("higher", 0, 1),
    },
    "regression": {
        "mae": Metric("lower", 0, inf, is_paired=True),
        "rmse": Metric("lower", 0, inf, is_paired=True),
        "r2": Metric("higher", -inf, 1),
        "median_absolute_error": Metric("lower", 0, inf),
        "mape": Metric("lower", 0, inf, is_paired=True),
    },
}
"""The metrics of each task by name, in the order in which they are reported."""

DIGITS = 6
"""The number of decimals of a metric of classes, and of significant digits of a metric of numbers, which may
be in any unit."""

Values = dict[str, float | None]
"""The value of each metric of a task, by name."""


def measure(schema: Schema, target: NDArray[Any], predictions: Predictions) -> Values:
    """Returns `rows`, the number of rows, and then every metric of the task by name, rounded.

    `target` holds the position of each row's class in `schema.classes`, or the number that was to be
    predicted: shape (rows,). Raises Unanswered if a prediction is NaN or infinite.
    """
    refuse_unanswered(predictions.numbers)
    values = MEASURES[schema.task](schema, target, predictions)
    digits = {
        name: None if value is None else reported(value, schema.task)
        for name, value in values.items()
    }
    return {"rows": len(target), **digits}


def measure_binary(schema: Schema, target: NDArray[Any], predictions: Predictions) -> Values:
    predicted, probability = predictions.answers == schema.positive, predictions.probabilities[:, 1]
    negatives, positives = int((target == 0).sum()), int((target == 1).sum())
    roc_auc, average_precision = areas_under_curves(target, probability)
    false_positives = int(((target == 0) & predicted).sum())
    false_negatives = int(((target == 1) & ~predicted).sum())
    predicted_positives = int(predicted.sum())
    true_positives = positives - false_negatives
    return {
        "accuracy": float((predicted == target).mean()),
        "false_positive_percent": share(100 * false_positives, negatives),
        "false_negative_percent": share(100 * false_negatives, positives),
        "precision": share(true_positives, predicted_positives),
        "recall": share(true_positives, positives),
        "f1": share(2 * true_positives, predicted_positives + positives),
        "roc_auc": roc_auc,
        "average_precision": average_precision,
        "log_loss": float(log_losses(target, predictions).mean()),
        "brier": float(((probability.astype(float) - target) ** 2).mean()),
    }


def areas_under_curves(
    target: NDArray[Any], probability: NDArray[Any]
) -> tuple[float | None, float | None]:
    """Returns ROC AUC and the average precision, or None for both if all rows are of one class. Both come
    from one sorting of the rows, which takes most of the time of a million rows."""
    from sklearn.metrics import auc, confusion_matrix_at_thresholds

    if not 0 < target.sum() < len(target):
        return None, None
    _, false, _, true, _ = confusion_matrix_at_thresholds(target, probability)
    curve = (np.append(0, found / found[-1]) for found in (false, true))
    recall_gained = np.diff(true, prepend=0) / true[-1]
    return auc(*curve), float((recall_gained * true / (true + false)).sum())


def measure_multiclass(schema: Schema, target: NDArray[Any], predictions: Predictions) -> Values:
    from sklearn import metrics

    predicted = class_positions(predictions.answers, schema.classes)
    probabilities = predictions.probabilities
    present = np.unique(target)
    recalls = [float((predicted[target == each] == each).mean()) for each in present]
    areas = [
        metrics.roc_auc_score(target == each, probabilities[:, each])
        for each in present
        if len(present) > 1
    ]
    return {
        "accuracy": float((predicted == target).mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        "macro_f1": metrics.f1_score(target, predicted, labels=present, average="macro"),
        "log_loss": float(log_losses(target, predictions).mean()),
        "roc_auc": float(np.mean(areas)) if areas else None,
        "worst_recall": min(recalls),
    }


def measure_regression(schema: Schema, target: NDArray[Any], predictions: Predictions) -> Values:
    errors = predictions.answers - target
    squares = float((errors**2).mean())
    # The variance of equal numbers is not always 0.
    spread = float(target.var()) if target.min() < target.max() else 0.0
    return {
        "mae": float(np.abs(errors).mean()),
        "rmse": squares**0.5,
        "r2": 1 - squares / spread if spread else None,
        "median_absolute_error": float(np.median(np.abs(errors))),
        "mape": 100 * float(np.abs(errors / target).mean()) if target.all() else None,
    }


def log_losses(target: NDArray[Any], predictions: Predictions) -> NDArray[np.float64]:
    """Returns minus the logarithm of the probability of the right class of each row: shape (rows,). The
    probability counts as at least 1.2e-7, the precision of 32 bits."""
    right = predictions.probabilities[np.arange(len(target)), target].astype(float)
    losses: NDArray[np.float64] = -np.log(np.maximum(right, np.finfo(np.float32).eps))
    return losses


def loss(schema: Schema, target: NDArray[Any], predictions: Predictions) -> float:
    """Returns what models of a task are chosen by, the lower the better: log loss for classes, RMSE for a
    number. It has a value for any rows, and is not rounded."""
    if schema.classes:
        return float(log_losses(target, predictions).mean())
    return float(np.sqrt(((predictions.answers - target) ** 2).mean()))


def row_losses(
    schema: Schema, target: NDArray[Any], predictions: Predictions
) -> dict[str, NDArray[np.float64]]:
    """Returns what a model loses on each row, by each metric by which models are compared in pairs: shape
    (rows that count for it,), and less is better. Arguments and errors are those of `measure`.

    The mean of the losses is the metric, with two exceptions: it is 1 minus a metric of which more is better,
    and the square of RMSE.
    """
    refuse_unanswered(predictions.numbers)
    if not schema.classes:
        errors = np.abs(predictions.answers - target)
        percent = 100 * errors / np.abs(target) if target.all() else errors[:0]
        return {"mae": errors, "rmse": errors**2, "mape": percent}
    wrong = (class_positions(predictions.answers, schema.classes) != target).astype(float)
    if schema.task == "multiclass":
        rows = np.bincount(target, minlength=len(schema.classes))
        weights = len(target) / np.count_nonzero(rows) / rows[target]
        return {
            "accuracy": wrong,
            "balanced_accuracy": wrong * weights,
            "log_loss": log_losses(target, predictions),
        }
    return {
        "accuracy": wrong,
        "false_positive_percent": 100 * wrong[target == 0],
        "false_negative_percent": 100 * wrong[target == 1],
        "brier": (predictions.probabilities[:, 1].astype(float) - target) ** 2,
    }


def metric_of_losses(name: str, task: Task, losses: NDArray[np.float64]) -> float:
    """Returns the metric that the losses of rows make, not rounded."""
    mean = float(losses.mean())
    if name == "rmse":
        return math.sqrt(mean)
    return 1 - mean if METRICS[task][name].better == "higher" else mean


Measure = Callable[[Schema, NDArray[Any], Predictions], Values]
MEASURES: Mapping[Task, Measure] = {
    "binary": measure_binary,
    "multiclass": measure_multiclass,
    "regression": measure_regression,
}


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def reported(value: float, task: Task, size: float | None = None) -> float:
    """Returns the value of a metric, or a difference of two values that have about this size, as it is
    reported: with DIGITS digits."""
    size = abs(value if size is None else size)
    places = DIGITS
    if task == "regression" and size:
        places -= 1 + math.floor(math.log10(size))
    return round(float(value), places) + 0.0  # adding 0 turns -0 into 0
