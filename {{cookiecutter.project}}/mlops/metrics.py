"""The metrics of a binary classifier on some rows.

`false_positive_percent` is the share of the truly negative rows that were predicted positive, and
`false_negative_percent` the share of the truly positive rows that were predicted negative, both from 0 to
100. A metric that is not defined for the rows is None, such as ROC AUC if all rows are of one class.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.errors import Unanswered

METRICS = (
    "accuracy",
    "false_positive_percent",
    "false_negative_percent",
    "precision",
    "recall",
    "f1",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
)

DIGITS = 6


def measure(
    target: NDArray[Any], predicted: NDArray[Any], probability: NDArray[Any]
) -> dict[str, float | None]:
    """Returns `rows`, the number of rows, and then every metric by name, rounded to 6 decimals.

    Args:
        target: 1 for the truly positive rows and 0 for the others, of shape (rows,).
        predicted: 1 for the rows that were predicted positive and 0 for the others, of shape (rows,).
        probability: the predicted probability of the positive class, 0 to 1, of shape (rows,).

    Raises Unanswered if a probability is NaN.
    """
    from sklearn import metrics

    refuse_unanswered(probability)
    negatives, positives = int((target == 0).sum()), int((target == 1).sum())
    both = bool(negatives and positives)
    false_positives = int(((target == 0) & (predicted == 1)).sum())
    false_negatives = int(((target == 1) & (predicted == 0)).sum())
    predicted_positives = int((predicted == 1).sum())
    true_positives = positives - false_negatives
    values: dict[str, float | None] = {
        "accuracy": metrics.accuracy_score(target, predicted),
        "false_positive_percent": share(100 * false_positives, negatives),
        "false_negative_percent": share(100 * false_negatives, positives),
        "precision": share(true_positives, predicted_positives),
        "recall": share(true_positives, positives),
        "f1": share(2 * true_positives, predicted_positives + positives),
        "roc_auc": metrics.roc_auc_score(target, probability) if both else None,
        "average_precision": metrics.average_precision_score(target, probability) if both else None,
        "log_loss": metrics.log_loss(target, probability, labels=[0, 1]),
        "brier": metrics.brier_score_loss(target, probability, pos_label=1),
    }
    return {"rows": len(target), **{name: rounded(value) for name, value in values.items()}}


def refuse_unanswered(probability: NDArray[Any]) -> None:
    """Raises Unanswered if a probability is NaN: every comparison with NaN is false, so any bound would seem
    to hold."""
    if unanswered := np.count_nonzero(np.isnan(probability)):
        raise Unanswered(
            f"the model answers {unanswered:,} of the {len(probability):,} rows with NaN: change the "
            "derived column (science/features.py) or the architecture that causes it"
        )


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), DIGITS)
