"""Compares the champion with its challenger on the same test rows.

`python -m mlops.compare.compare SCORES` reads the answers that mlops.compare.answer_rows wrote for the
champion, predicts with the challenger in deploy/, and prints JSON: for each metric that `gate.max_drop` of
the environment bounds, both values and the challenger's advantage with its 95 % interval; and whether every
drop is small enough. It refuses a champion whose positive class is another one, and metrics that fewer than
two rows count for.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops import errors
from mlops.errors import Incomparable
from mlops.metrics import refuse_unanswered
from mlops.params import load_configuration
from mlops.predict.predictor import Predictor
from mlops.tables.answered import answer_split

BUNDLE = Path("deploy")
Z = 1.96
"""The number of standard errors on either side of a 95 % interval."""

DIGITS = 6
"""The number of decimals that are reported and judged. Models that differ by less, as an exported model does
from its estimator, are equal."""

Losses = NDArray[np.float64]
"""The loss of each row that counts for a metric, of shape (rows,)."""


def main() -> None:
    with np.load(sys.argv[1]) as scores:
        champion = dict(scores)
    predictor = Predictor(BUNDLE)
    if (positive := str(champion["positive"])) != predictor.schema.positive:
        raise Incomparable(
            f"the champion's positive class is {positive!r}, and the challenger's is "
            f"{predictor.schema.positive!r}"
        )
    test, predictions = answer_split("test", predictor)
    predicted = (predictions.answers == predictor.schema.positive).astype(np.int8)
    before = row_losses(test.target, champion["predicted"], champion["probability"])
    after = row_losses(test.target, predicted, predictions.probabilities[:, 1])
    gate = load_configuration().environment.gate
    metrics = {
        name: compare_losses(name, before[name], after[name], max_drop)
        for name, max_drop in gate.max_drop.items()
    }
    report = {
        "passed": all(each["passed"] for each in metrics.values()),
        "stops": gate.on_failure == "stop",
        "rows": len(test),
        "metrics": metrics,
    }
    print(json.dumps(report, allow_nan=False))


def row_losses(
    target: NDArray[Any], predicted: NDArray[Any], probability: NDArray[Any]
) -> Mapping[str, Losses]:
    """Returns the losses by metric. Their mean is the metric, except that for accuracy it is 1 - accuracy, so
    that less is always better.

    Args:
        target: 1 for the truly positive rows and 0 for the others, of shape (rows,).
        predicted: 1 for the rows that were predicted positive and 0 for the others, of shape (rows,).
        probability: the predicted probability of the positive class, 0 to 1, of shape (rows,).

    Raises Unanswered if a probability is NaN.
    """
    refuse_unanswered(probability)
    wrong = (predicted != target).astype(float)
    return {
        "accuracy": wrong,
        "false_positive_percent": 100 * wrong[target == 0],
        "false_negative_percent": 100 * wrong[target == 1],
        "brier": (probability.astype(float) - target) ** 2,
    }


def compare_losses(name: str, before: Losses, after: Losses, max_drop: float) -> dict[str, Any]:
    """Returns the metric of the champion and of the challenger, the challenger's advantage, which is the mean
    of the paired differences, with its normal interval, and whether the drop is at most `max_drop`.

    Raises Incomparable if there are fewer than two rows, because there is no interval for them.
    """
    if len(before) < 2:
        raise Incomparable(
            f"{name} can be measured on {len(before)} of the test rows, and a comparison needs at least "
            "2: add rows, give the test split a larger share (prepare.split), or take the metric out of "
            "gate.max_drop"
        )
    gains = before - after
    gain = float(gains.mean())
    advantage = reported(gain)
    error = float(Z * gains.std(ddof=1) / np.sqrt(len(gains)))
    return {
        "champion": metric_value(name, before),
        "challenger": metric_value(name, after),
        "advantage": advantage,
        "interval": [reported(gain - error), reported(gain + error)],
        "max_drop": max_drop,
        "passed": -advantage <= max_drop,
    }


def metric_value(name: str, losses: Losses) -> float:
    mean = float(losses.mean())
    return reported(1 - mean if name == "accuracy" else mean)


def reported(value: float) -> float:
    return round(value, DIGITS) + 0.0  # adding 0 turns -0 into 0


if __name__ == "__main__":
    errors.report_errors(main)
