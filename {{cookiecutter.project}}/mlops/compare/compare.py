"""Compares the champion with its challenger on the same test rows.

`python -m mlops.compare.compare SCORES` reads the answers that mlops.compare.answer_rows wrote for the
champion, predicts with the challenger in deploy/, and prints JSON: for each metric that `gate.max_drop` of
the environment bounds, both values and the challenger's advantage with its 95 % interval; and whether every
drop is small enough. It refuses a champion whose positive class is another one, and metrics that fewer than
two rows count for.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops import errors
from mlops.errors import Incomparable
from mlops.metrics import metric_of_losses, reported, row_losses
from mlops.params import load_configuration
from mlops.predict.predictor import Predictor
from mlops.predict.task import Predictions, Task
from mlops.tables.answered import answer_split

BUNDLE = Path("deploy")
Z = 1.96
"""The number of standard errors on either side of a 95 % interval."""

Losses = NDArray[np.float64]
"""The loss of each row that counts for a metric, of shape (rows,)."""


def main() -> None:
    with np.load(sys.argv[1]) as scores:
        champion = dict(scores)
    predictor = Predictor(BUNDLE)
    schema = predictor.schema
    if (classes := tuple(champion["classes"].tolist())) != schema.classes:
        raise Incomparable(
            f"the champion's positive class is {classes[-1]!r}, and the challenger's is "
            f"{schema.positive!r}"
        )
    test, predictions = answer_split("test", predictor)
    answers = Predictions(champion["answers"], champion["probabilities"])
    before = row_losses(schema, test.target, answers)
    after = row_losses(schema, test.target, predictions)
    gate = load_configuration().environment.gate
    metrics = {
        name: compare_losses(name, schema.task, before[name], after[name], max_drop)
        for name, max_drop in gate.max_drop.items()
    }
    report = {
        "passed": all(each["passed"] for each in metrics.values()),
        "stops": gate.on_failure == "stop",
        "rows": len(test),
        "metrics": metrics,
    }
    print(json.dumps(report, allow_nan=False))


def compare_losses(
    name: str, task: Task, before: Losses, after: Losses, max_drop: float
) -> dict[str, Any]:
    """Returns the metric of the champion and of the challenger, the challenger's advantage, which is the mean
    of the paired differences, with its normal interval, and whether the drop is at most `max_drop`.

    `before` and `after` are the losses of each row, both of shape (rows that count for the metric,). The
    difference of two RMSE is that of their squares, divided by their sum.

    Raises Incomparable if there are fewer than two rows, because there is no interval for them.
    """
    if len(before) < 2:
        raise Incomparable(
            f"{name} can be measured on {len(before)} of the test rows, and a comparison needs at least "
            "2: add rows, give the test split a larger share (prepare.split), or take the metric out of "
            "gate.max_drop"
        )
    values = [metric_of_losses(name, task, losses) for losses in (before, after)]
    gains = (before - after) / ((sum(values) or 1) if name == "rmse" else 1)
    gain = float(gains.mean())
    advantage = reported(gain, task, values[0])
    error = float(Z * gains.std(ddof=1) / np.sqrt(len(gains)))
    return {
        "champion": reported(values[0], task),
        "challenger": reported(values[1], task),
        "advantage": advantage,
        "interval": [reported(end, task, values[0]) for end in (gain - error, gain + error)],
        "max_drop": max_drop,
        "passed": -advantage <= max_drop,
    }


if __name__ == "__main__":
    errors.report_errors(main)
