"""The champion and its challenger on the same test rows.

`python -m mlops.compare.compare SCORES` reads what mlops.compare.answer_rows wrote for the champion, predicts
with deploy/, and prints JSON: for each metric that the environment's `gate.max_drop` bounds, both values
and the challenger's advantage with its 95 % interval, and whether all drops are small enough.
It refuses a champion whose positive class is another one, and metrics with fewer than two rows.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops import errors, params
from mlops.errors import Incomparable
from mlops.metrics import refuse_unanswered
from mlops.predict.predictor import Predictor
from mlops.tables import splits

BUNDLE = Path("deploy")
Z = 1.96
"""Standard errors on either side of a 95 % interval."""

DIGITS = 6
"""Decimals of what is reported. What is reported is what is judged: models that differ by less, as an
exported one does from its estimator, are equal."""

Losses = NDArray[np.float64]


def main() -> None:
    with np.load(sys.argv[1]) as scores:
        champion = dict(scores)
    predictor = Predictor(BUNDLE)
    if (positive := str(champion["positive"])) != predictor.schema.positive:
        raise Incomparable(
            f"the champion's positive class is {positive!r}, and the challenger's is "
            f"{predictor.schema.positive!r}"
        )
    test = splits.read_split("test", predictor.schema)
    predictions = predictor.predict(test.columns)
    called = (predictions.labels == predictor.schema.positive).astype(np.int8)
    before = losses(test.target, champion["called"], champion["probability"])
    after = losses(test.target, called, predictions.probabilities[:, 1])
    gate = params.load().environment.gate
    allowed = gate.max_drop
    drops = {name: drop(name, before[name], after[name], allowed[name]) for name in allowed}
    passed = all(each["passed"] for each in drops.values())
    stops = gate.on_failure == "stop"
    found = {"passed": passed, "stops": stops, "rows": len(test), "metrics": drops}
    print(json.dumps(found, allow_nan=False))


def losses(
    target: NDArray[Any], called: NDArray[Any], probability: NDArray[Any]
) -> Mapping[str, Losses]:
    """What each row adds to the mean that is the metric, turned so that less is better.

    Raises Unanswered where a probability is NaN.
    """
    refuse_unanswered(probability)
    wrong = (called != target).astype(float)
    return {
        "accuracy": wrong,
        "false_positive_percent": 100 * wrong[target == 0],
        "false_negative_percent": 100 * wrong[target == 1],
        "brier": (probability.astype(float) - target) ** 2,
    }


def drop(name: str, before: Losses, after: Losses, allowed: float) -> dict[str, Any]:
    """The paired difference, with the normal interval of its mean.

    Raises Incomparable where there are fewer than two rows, for which there is no interval.
    """
    if len(before) < 2:
        raise Incomparable(
            f"{name} can be measured on {len(before)} of the test rows, and a comparison needs at least "
            "2: add rows, give the test split a larger share (prepare.split), or take the metric out of "
            "gate.max_drop"
        )
    gains = before - after
    gain = float(gains.mean())
    advantage = rounded(gain)
    error = float(Z * gains.std(ddof=1) / np.sqrt(len(gains)))
    return {
        "champion": metric(name, before),
        "challenger": metric(name, after),
        "advantage": advantage,
        "interval": [rounded(gain - error), rounded(gain + error)],
        "max_drop": allowed,
        "passed": -advantage <= allowed,
    }


def metric(name: str, losses: Losses) -> float:
    mean = float(losses.mean())
    return rounded(1 - mean if name == "accuracy" else mean)


def rounded(value: float) -> float:
    """Adding 0 makes -0 the 0 that it equals."""
    return round(value, DIGITS) + 0.0


if __name__ == "__main__":
    errors.report_errors(main)
