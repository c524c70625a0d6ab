"""The stage evaluate measures the exported model with the predictor that production uses.

It reads models and data/prepared, and writes reports: metrics of the validation and test rows; for the test
rows also their 95 % intervals, the metrics of a model that has learnt nothing, the number of rows of each
class, and metrics by subgroup; and plots of the test rows.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.errors import say
from mlops.evaluate import plots
from mlops.evaluate.intervals import intervals
from mlops.metrics import METRICS, loss, measure
from mlops.params import load_configuration
from mlops.predict.predictor import Predictor
from mlops.predict.schema import Schema
from mlops.predict.task import Predictions
from mlops.tables import splits
from mlops.tables.answered import answer_split
from mlops.tables.splits import Split
from mlops.tables.subgroups import subgroups

MODELS = Path("models")
REPORTS = Path("reports")
PLOTS = REPORTS / "plots"


def main() -> None:
    params = load_configuration().params.evaluate
    predictor = Predictor(MODELS)
    schema = predictor.schema
    validation, validated = answer_split("validation", predictor)
    test, predictions = answer_split("test", predictor, params.subgroups)
    measured = measure(schema, test.target, predictions)
    metrics: dict[str, dict[str, Any]] = {
        "validation": measure(schema, validation.target, validated),
        "test": measured,
        "baseline": measure(schema, test.target, baseline(schema, len(test))),
        "interval": intervals(schema, measured, test.target, predictions),
        "class_rows": class_rows(schema, test.target),
    }
    REPORTS.mkdir(exist_ok=True)
    report = json.dumps(metrics, indent=1, allow_nan=False)
    (REPORTS / "metrics.json").write_text(report + "\n", encoding="utf-8", newline="\n")
    rows = subgroup_metrics(schema, test, predictions, params.subgroups)
    plots.write_csv(REPORTS / "subgroups.csv", ["group", "rows", *METRICS[schema.task]], rows)
    plots.write_plots(PLOTS, schema, test.target, predictions)
    file = splits.split_file("test")
    few = next(splits.split_pieces(file, schema, params.importance_rows))
    plots.write_importance(PLOTS / "importance.csv", column_importance(predictor, few))
    first = next(iter(METRICS[schema.task]))
    values = [f"{metrics[part][first]}" for part in ("test", "baseline")]
    found = f"{first} {values[0]} (baseline {values[1]}) on {len(test):,} test rows"
    say(f"evaluate: {found}")


def class_rows(schema: Schema, target: NDArray[Any]) -> dict[str, int]:
    """Returns the number of rows of each class; there are none if the target is a number."""
    return {name: int((target == number).sum()) for number, name in enumerate(schema.classes)}


def baseline(schema: Schema, rows: int) -> Predictions:
    """Returns the predictions of a model that has learnt nothing but how often each class occurs in the
    training rows, or what the mean of the numbers is: it answers the same for every row."""
    target = splits.target_of(splits.read_column("train", schema.target), schema)
    if not schema.classes:
        return Predictions(np.full(rows, target.mean()), np.empty((rows, 0), np.float32))
    shares = np.bincount(target, minlength=len(schema.classes)) / len(target)
    likeliest = np.full(rows, schema.classes[shares.argmax()], object)
    return Predictions(likeliest, np.tile(shares.astype(np.float32), (rows, 1)))


def subgroup_metrics(
    schema: Schema, split: Split, predictions: Predictions, columns: Sequence[str]
) -> Iterator[Sequence[Any]]:
    """Yields a row for each subgroup: its name and its metrics."""
    for name, rows in subgroups(split, columns):
        metrics = measure(schema, split.target[rows], predictions.take(rows))
        yield [name, *metrics.values()]


def column_importance(predictor: Predictor, test: Split) -> list[tuple[str, float]]:
    """Returns how much the loss of the model, log loss or RMSE, rises if a column is shuffled, by column, the
    most important one first (permutation importance: Breiman, Random Forests, 2001)."""

    def loss_of(columns: dict[str, NDArray[Any]]) -> float:
        return loss(predictor.schema, test.target, predictor.predict(columns))

    shuffled = np.random.default_rng(0).permutation(len(test))
    unshuffled = loss_of(test.columns)
    rises = [
        (name, loss_of({**test.columns, name: values[shuffled]}) - unshuffled)
        for name, values in test.columns.items()
    ]
    return sorted(rises, key=lambda rise: -rise[1])
