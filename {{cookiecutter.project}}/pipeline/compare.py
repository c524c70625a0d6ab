"""The champion and its challenger on the same test rows.

`python -m pipeline.compare SCORES` reads what pipeline.rescore wrote for the champion, predicts with
deploy/, and prints JSON: for each metric that the environment's `gate.max_drop` bounds, both values
and the challenger's advantage with its 95 % interval, and whether all drops are small enough.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import errors, params, splits
from serving.predictor import Predictor

BUNDLE = Path("deploy")
Z = 1.96
"""Standard errors on either side of a 95 % interval."""

Losses = NDArray[np.float64]


def main() -> None:
    champion = np.load(sys.argv[1])
    predictor = Predictor(BUNDLE)
    test = splits.read("test", predictor.schema)
    predictions = predictor.predict(test.columns)
    called = (predictions.labels == predictor.schema.positive).astype(np.int8)
    before = losses(test.target, champion["called"], champion["probability"])
    after = losses(test.target, called, predictions.probabilities[:, 1])
    gate = params.load().environment.gate
    allowed = gate.max_drop
    drops = {name: drop(name, before[name], after[name], allowed[name]) for name in allowed}
    passed = all(each["passed"] for each in drops.values())
    stops = gate.on_failure == "stop"
    print(json.dumps({"passed": passed, "stops": stops, "rows": len(test), "metrics": drops}))


def losses(
    target: NDArray[Any], called: NDArray[Any], probability: NDArray[Any]
) -> Mapping[str, Losses]:
    """What each row adds to the mean that is the metric, turned so that less is better."""
    wrong = (called != target).astype(float)
    return {
        "accuracy": wrong,
        "false_positive_percent": 100 * wrong[target == 0],
        "false_negative_percent": 100 * wrong[target == 1],
        "brier": (probability - target) ** 2,
    }


def drop(name: str, before: Losses, after: Losses, allowed: float) -> dict[str, Any]:
    """The paired difference, with the normal interval of its mean."""
    gains = before - after
    gain = float(gains.mean())
    error = float(Z * gains.std(ddof=1) / np.sqrt(len(gains)))
    return {
        "champion": metric(name, before),
        "challenger": metric(name, after),
        "advantage": round(gain, 6),
        "interval": [round(gain - error, 6), round(gain + error, 6)],
        "max_drop": allowed,
        "passed": -gain <= allowed,
    }


def metric(name: str, losses: Losses) -> float:
    mean = float(losses.mean())
    return round(1 - mean if name == "accuracy" else mean, 6)


if __name__ == "__main__":
    errors.run(main)
