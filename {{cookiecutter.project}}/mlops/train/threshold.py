"""Chooses the probability from which a binary answer is the positive class."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.errors import DataError
from mlops.params import ThresholdParams
from mlops.predict.predictor import rounded_probabilities

FEWEST = 10
"""The number of rows that must be called positive before their precision is believed."""


def choose_threshold(
    rule: ThresholdParams, target: NDArray[Any], probability: NDArray[Any]
) -> float:
    """Returns the threshold that the rule of params.yaml asks for, on rows that the model was not fitted to:
    the given probability, the one with the lowest costs, or the lowest one that has the precision.

    `target` is 1 for truly positive rows and else 0, and `probability` is that of the positive class: both of
    shape (rows,). Raises DataError if no row would be called positive, or if no threshold has the precision.
    """
    rounded = rounded_probabilities(probability)
    if rule.probability is not None:
        if rule.probability > rounded.max():
            raise DataError(
                f"params.yaml: train.threshold: no validation row reaches the probability "
                f"{rule.probability}, and the highest one is {rounded.max():g}: lower it"
            )
        return rule.probability
    order = np.argsort(-rounded, kind="stable")
    thresholds = rounded[order]
    # Rows of one probability are on one side of every threshold.
    last = np.append(thresholds[1:] != thresholds[:-1], True)
    called, right = np.arange(1, len(order) + 1)[last], np.cumsum(target[order])[last]
    thresholds = thresholds[last]
    if rule.costs:
        wrong, missed = called - right, target.sum() - right
        prices = np.array([rule.costs.false_positive, rule.costs.false_negative])
        # Only the ratio counts; a power of two changes no digit of it, and keeps the sums from overflowing.
        each_wrong, each_missed = np.ldexp(prices, -np.frexp(prices.max())[1])
        costs = each_wrong * wrong + each_missed * missed
        if costs.min() >= each_missed * target.sum():
            raise DataError(
                "params.yaml: train.threshold: with these costs it is cheapest to call none of the "
                f"{len(target):,} validation rows positive: state other costs, or find a better model"
            )
        return float(thresholds[costs.argmin()])
    precision = np.where(called >= FEWEST, right / called, 0)
    if not (precise := precision >= rule.precision).any():
        raise DataError(
            f"params.yaml: train.threshold: no threshold has the precision {rule.precision} on {FEWEST} "
            f"validation rows or more, and the best one has {precision.max():.4g}: lower it, or find a "
            "better model"
        )
    return float(thresholds[precise].min())
