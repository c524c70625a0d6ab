"""The metrics of a binary classifier on some rows.

`false_positive_percent` is the share of the truly negative rows that were called positive, and
`false_negative_percent` the share of the truly positive ones called negative, both 0 to 100. A
metric that has no meaning for the rows, as ROC AUC where all are of one class, is None.
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
    """Every metric, after `rows`, the number of rows it was measured on.

    Args:
        target: 1 for the truly positive rows, 0 for the others.
        predicted: the same for the predicted class.
        probability: of the positive class, 0 to 1.

    Raises Unanswered where a probability is NaN.
    """
    from sklearn import metrics

    refuse_unanswered(probability)
    negatives, positives = int((target == 0).sum()), int((target == 1).sum())
    both = bool(negatives and positives)
    wrong_positives = int(((target == 0) & (predicted == 1)).sum())
    wrong_negatives = int(((target == 1) & (predicted == 0)).sum())
    called = int((predicted == 1).sum())
    hits = positives - wrong_negatives
    values: dict[str, float | None] = {
        "accuracy": metrics.accuracy_score(target, predicted),
        "false_positive_percent": share(100 * wrong_positives, negatives),
        "false_negative_percent": share(100 * wrong_negatives, positives),
        "precision": share(hits, called),
        "recall": share(hits, positives),
        "f1": share(2 * hits, called + positives),
        "roc_auc": metrics.roc_auc_score(target, probability) if both else None,
        "average_precision": metrics.average_precision_score(target, probability) if both else None,
        "log_loss": metrics.log_loss(target, probability, labels=[0, 1]),
        "brier": metrics.brier_score_loss(target, probability, pos_label=1),
    }
    return {"rows": len(target), **{name: rounded(value) for name, value in values.items()}}


def refuse_unanswered(probability: NDArray[Any]) -> None:
    """Raises Unanswered where a probability is NaN: every comparison with it is false."""
    if unanswered := np.count_nonzero(np.isnan(probability)):
        raise Unanswered(
            f"the model answers {unanswered:,} of the {len(probability):,} rows with NaN: change the "
            "derived column (science/features.py) or the architecture that brings it about"
        )


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), DIGITS)
