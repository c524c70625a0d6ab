"""The exported model, measured through the predictor of production.

In: models, data/prepared. Out: reports (metrics of the validation and test rows, the same metrics
by subgroup of the test rows, plots of the test rows).
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from mlops import params
from mlops.errors import DataError
from mlops.evaluate import plots
from mlops.metrics import METRICS, measure
from mlops.predict.predictor import Predictions, Predictor
from mlops.tables import splits
from mlops.tables.splits import Split

MODELS = Path("models")
REPORTS = Path("reports")
PLOTS = REPORTS / "plots"


def main() -> None:
    options = params.load().params.evaluate
    predictor = Predictor(MODELS)
    validation, test = (
        splits.read_split(name, predictor.schema) for name in ("validation", "test")
    )
    predictions = predictor.predict(test.columns)
    metrics = {
        "validation": metrics_of(predictor, validation, predictor.predict(validation.columns)),
        "test": metrics_of(predictor, test, predictions),
    }
    REPORTS.mkdir(exist_ok=True)
    report = json.dumps(metrics, indent=1, allow_nan=False)
    (REPORTS / "metrics.json").write_text(report + "\n")
    rows = subgroups(predictor, test, predictions, options.subgroups)
    plots.write_plots(REPORTS / "subgroups.csv", ["group", "rows", *METRICS], rows)
    draw(predictor, test, predictions, options.importance_rows)
    print(f"evaluate: accuracy {metrics['test']['accuracy']} on {len(test):,} test rows")


def metrics_of(predictor: Predictor, split: Split, predictions: Predictions) -> dict[str, Any]:
    called = (predictions.labels == predictor.schema.positive).astype(np.int8)
    return measure(split.target, called, predictions.probabilities[:, 1])


def subgroups(
    predictor: Predictor, split: Split, predictions: Predictions, columns: Sequence[str]
) -> Iterator[Sequence[Any]]:
    """A row of metrics for each value of each column that prepare did not leave out."""
    for name in filter(split.columns.__contains__, columns):
        values = split.columns[name]
        for value in np.unique(values.astype(str)):
            rows = values == value
            metrics = metrics_of(predictor, split.take(rows), predictions.take(rows))
            yield [f"{name}: {value or 'missing'}", *metrics.values()]


def draw(predictor: Predictor, test: Split, predictions: Predictions, importance_rows: int) -> None:
    probability = predictions.probabilities[:, 1]
    actual = np.asarray(predictor.schema.classes, object)[test.target]
    plots.roc(PLOTS / "roc.csv", test.target, probability)
    plots.precision_recall(PLOTS / "precision_recall.csv", test.target, probability)
    plots.calibration(PLOTS / "calibration.csv", test.target, probability)
    plots.confusion(PLOTS / "confusion.csv", actual, predictions.labels)
    plots.importance(
        PLOTS / "importance.csv", importance(predictor, test.take(slice(importance_rows)))
    )


def importance(predictor: Predictor, test: Split) -> list[tuple[str, float]]:
    """How much ROC AUC drops when a column is shuffled, the most important column first.

    Raises DataError where the rows are of one class, for which there is no ROC AUC.
    """
    if len(np.unique(test.target)) < 2:
        raise DataError(
            f"the first {len(test)} test rows (evaluate.importance_rows) are all of one class, and the "
            "importance of a column needs both: raise evaluate.importance_rows in params.yaml"
        )

    def quality(columns: dict[str, NDArray[Any]]) -> float:
        return float(roc_auc_score(test.target, predictor.predict(columns).probabilities[:, 1]))

    shuffled = np.random.default_rng(0).permutation(len(test))
    whole = quality(test.columns)
    drops = [
        (name, whole - quality({**test.columns, name: values[shuffled]}))
        for name, values in test.columns.items()
    ]
    return sorted(drops, key=lambda drop: -drop[1])
