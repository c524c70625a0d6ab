"""Compares the champion with its challenger on the same test rows.

`python -m mlops.compare.compare SCORES` reads the answers that mlops.compare.answer_rows wrote for the
champion, predicts with the challenger in deploy/, and prints JSON: for each metric that `gate.max_drop` of
the environment bounds, both values and the challenger's advantage with its 95 % interval; the verdict on each
drop of a subgroup that `gate.subgroups` bounds; and whether every drop is small enough. Test rows on which
the champion was trained are left out. It refuses a champion whose positive class is another one, and rows
that are fewer than the environment requires.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops import errors
from mlops.compare.subgroup_drops import judge_drop
from mlops.errors import Incomparable
from mlops.metrics import metric_of_losses, reported, row_losses
from mlops.params import SubgroupSettings, load_configuration
from mlops.predict.predictor import Predictor
from mlops.predict.schema import Schema
from mlops.predict.task import Predictions, Task
from mlops.tables.answered import answer_split
from mlops.tables.cells import Mask
from mlops.tables.splits import Split
from mlops.tables.subgroups import subgroups

BUNDLE = Path("deploy")
Z = 1.96
"""The number of standard errors on either side of a 95 % interval."""

Losses = NDArray[np.float64]
"""The loss of each row that counts for a metric, of shape (rows,)."""


@dataclass(frozen=True)
class Contest:
    """Some test rows, and what both models predict for them."""

    schema: Schema
    test: Split
    champion: Predictions
    challenger: Predictions

    def take(self, rows: Mask) -> "Contest":
        """Returns the rows that a mask selects."""
        champion, challenger = self.champion.take(rows), self.challenger.take(rows)
        return Contest(self.schema, self.test.take(rows), champion, challenger)

    def losses(self) -> tuple[dict[str, Losses], dict[str, Losses]]:
        """Returns the losses of the champion and of the challenger, by metric."""
        schema, target = self.schema, self.test.target
        return row_losses(schema, target, self.champion), row_losses(
            schema, target, self.challenger
        )


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
    configuration = load_configuration()
    gate, columns = configuration.environment.gate, configuration.params.evaluate.subgroups
    test, predictions = answer_split("test", predictor, columns)
    answers = Predictions(champion["answers"], champion["probabilities"])
    contest = Contest(schema, test, answers, predictions).take(~champion["seen"])
    left_out = len(test) - len(contest.test)
    if len(contest.test) < gate.min_rows:
        raise Incomparable(
            f"the champion was trained on {left_out} of the {len(test)} test rows, and gate.min_rows wants "
            f"{gate.min_rows} others"
        )
    before, after = contest.losses()
    metrics = {
        name: compare_losses(
            name, schema.task, before[name], after[name], max_drop, min_rows=gate.min_rows
        )
        for name, max_drop in gate.max_drop.items()
    }
    subgroup_drops = compare_subgroups(contest, columns, gate.subgroups)
    report = {
        "passed": all(each["passed"] for each in (*metrics.values(), *subgroup_drops.values())),
        "stops": gate.on_failure == "stop",
        "rows": len(contest.test),
        "left_out": left_out,
        "metrics": metrics,
        "subgroups": subgroup_drops,
    }
    print(json.dumps(report, allow_nan=False))


def compare_losses(
    name: str, task: Task, before: Losses, after: Losses, max_drop: float, *, min_rows: int
) -> dict[str, Any]:
    """Returns the metric of the champion and of the challenger, the challenger's advantage, which is the mean
    of the paired differences, with its normal interval, and whether the drop is at most `max_drop`.

    `before` and `after` are the losses of each row, both of shape (rows that count for the metric,).

    Raises Incomparable if there are fewer rows than `min_rows`.
    """
    if len(before) < min_rows:
        raise Incomparable(
            f"{name} can be measured on {len(before)} of the test rows, and gate.min_rows is {min_rows}: add "
            "rows, give the test split a larger share (prepare.split), or take the metric out of "
            "gate.max_drop"
        )
    values = [metric_of_losses(name, task, losses) for losses in (before, after)]
    gains = paired_gains(name, task, before, after)
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


def paired_gains(name: str, task: Task, before: Losses, after: Losses) -> Losses:
    """Returns by how much the challenger is better on each row; the mean is its advantage. The difference of
    two RMSE is that of their squares, divided by their sum."""
    if name != "rmse":
        return before - after
    total = sum(metric_of_losses(name, task, losses) for losses in (before, after))
    return (before - after) / (total or 1)


def compare_subgroups(
    contest: Contest, columns: Sequence[str], settings: SubgroupSettings
) -> dict[str, dict[str, Any]]:
    """Returns the verdict on each drop, by the names of metric and subgroup. Raises Incomparable if no
    subgroup has enough rows."""
    gains: dict[tuple[str, str], Losses] = {}
    task = contest.schema.task
    for group, rows in subgroups(contest.test, columns):
        before, after = contest.take(rows).losses() if rows.sum() >= settings.min_rows else ({}, {})
        for name in settings.max_drop:
            if len(before.get(name, ())) > 1:
                gains[name, group] = paired_gains(name, task, before[name], after[name])
    if settings.max_drop and not gains:
        raise Incomparable(
            f"no subgroup has {settings.min_rows} of the {len(contest.test)} test rows that are compared "
            "(gate.subgroups): lower min_rows, or empty max_drop"
        )
    return {
        f"{name} of {group}": judge_drop(each, settings.max_drop[name], len(gains))
        for (name, group), each in gains.items()
    }


if __name__ == "__main__":
    errors.report_errors(main)
