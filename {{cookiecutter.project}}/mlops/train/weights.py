"""Says how much the rows of each class count when a model is fitted (`train.class_weights`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import has_fit_parameter

from mlops.errors import DataError


def row_weights(
    weights: str | Mapping[str, float] | None, target: NDArray[Any], classes: Sequence[str]
) -> NDArray[np.float64] | None:
    """Returns how much each row counts in the fit, of shape (rows,), or None if all count alike. Raises
    DataError for the weight of a class that the target does not have."""
    if weights is None:
        return None
    if isinstance(weights, str):  # balanced: each class counts alike, and a row 1 in the mean
        by_class = len(target) / len(classes) / np.bincount(target, minlength=len(classes)).clip(1)
    else:
        if unknown := [name for name in weights if name not in classes]:
            raise DataError(
                f"params.yaml: train.class_weights: {unknown[0]!r} is not a class of the target; they are "
                f"{', '.join(map(repr, classes))}"
            )
        by_class = np.array([weights.get(name, 1.0) for name in classes])
    by_row: NDArray[np.float64] = by_class[target]
    return by_row


def fit_weights(estimator: Any, weights: NDArray[np.float64] | None) -> dict[str, Any]:
    """Returns the argument of the method `fit` that gives the weights of rows to the estimator or, if it is a
    pipeline, to the last step. Raises DataError if that takes none."""
    if weights is None:
        return {}
    *_, (name, last) = getattr(estimator, "steps", [("", estimator)])
    if not has_fit_parameter(last, "sample_weight"):
        raise DataError(
            f"params.yaml: train.class_weights: {type(last).__name__} cannot weigh rows: set it to null, or "
            "choose another train.architecture"
        )
    return {f"{name}__sample_weight" if name else "sample_weight": weights}
