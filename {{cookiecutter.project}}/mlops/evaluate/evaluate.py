"""The stage evaluate measures the exported model with the predictor that production uses.

It reads models and data/prepared, and writes reports: metrics of the validation and test rows, the same
metrics by subgroup of the test rows, and plots of the test rows.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from mlops.errors import DataError, printable_text
from mlops.evaluate import plots
from mlops.metrics import METRICS, measure
from mlops.params import load_configuration
from mlops.predict.predictor import Predictor
from mlops.predict.task import Predictions
from mlops.tables import splits
from mlops.tables.answered import answer_split
from mlops.tables.splits import Split

MODELS = Path("models")
REPORTS = Path("reports")
PLOTS = REPORTS / "plots"


def main() -> None:
    params = load_configuration().params.evaluate
    predictor = Predictor(MODELS)
    validation = metrics_of(predictor, *answer_split("validation", predictor))
    test, predictions = answer_split("test", predictor, params.subgroups)
    metrics = {"validation": validation, "test": metrics_of(predictor, test, predictions)}
    REPORTS.mkdir(exist_ok=True)
    report = json.dumps(metrics, indent=1, allow_nan=False)
    (REPORTS / "metrics.json").write_text(report + "\n", encoding="utf-8", newline="\n")
    rows = subgroup_metrics(predictor, test, predictions, params.subgroups)
    plots.write_csv(REPORTS / "subgroups.csv", ["group", "rows", *METRICS], rows)
    write_plots(predictor, test, predictions)
    file = splits.split_file("test")
    few = next(splits.split_pieces(file, predictor.schema, params.importance_rows))
    plots.write_importance(PLOTS / "importance.csv", column_importance(predictor, few))
    measured = f"accuracy {metrics['test']['accuracy']} on {len(test):,} test rows"
    print(printable_text(f"evaluate: {measured}"))


def metrics_of(predictor: Predictor, split: Split, predictions: Predictions) -> dict[str, Any]:
    predicted = (predictions.answers == predictor.schema.positive).astype(np.int8)
    return measure(split.target, predicted, predictions.probabilities[:, 1])


def subgroup_metrics(
    predictor: Predictor, split: Split, predictions: Predictions, columns: Sequence[str]
) -> Iterator[Sequence[Any]]:
    """Yields a row for each value of each column that prepare did not leave out: its name and its metrics."""
    for name in filter(split.columns.__contains__, columns):
        values = group_texts(split.columns[name])
        for value in np.unique(values.astype(str)):
            rows = values == value
            metrics = metrics_of(predictor, split.take(rows), predictions.take(rows))
            yield [f"{name}: {value or 'missing'}", *metrics.values()]


def group_texts(values: NDArray[Any]) -> NDArray[Any]:
    """Returns the values of a category or boolean column as text, "" for missing: shape (rows,)."""
    if values.dtype != float:
        return values
    return np.select([values == 1, values == 0], ["true", "false"], "")


def write_plots(predictor: Predictor, test: Split, predictions: Predictions) -> None:
    probability = predictions.probabilities[:, 1]
    actual = np.asarray(predictor.schema.classes, object)[test.target]
    plots.write_roc(PLOTS / "roc.csv", test.target, probability)
    plots.write_precision_recall(PLOTS / "precision_recall.csv", test.target, probability)
    plots.write_calibration(PLOTS / "calibration.csv", test.target, probability)
    plots.write_confusion(PLOTS / "confusion.csv", actual, predictions.answers)


def column_importance(predictor: Predictor, test: Split) -> list[tuple[str, float]]:
    """Returns how much ROC AUC drops if a column is shuffled, by column, the most important one first
    (permutation importance: Breiman, Random Forests, 2001).

    Raises DataError if the rows are of one class, because ROC AUC is not defined for them.
    """
    if len(np.unique(test.target)) < 2:
        raise DataError(
            f"the first {len(test)} test rows (evaluate.importance_rows) are all of one class, and the "
            "importance of a column needs both: raise evaluate.importance_rows in params.yaml"
        )

    def roc_auc(columns: dict[str, NDArray[Any]]) -> float:
        return float(roc_auc_score(test.target, predictor.predict(columns).probabilities[:, 1]))

    shuffled = np.random.default_rng(0).permutation(len(test))
    unshuffled = roc_auc(test.columns)
    drops = [
        (name, unshuffled - roc_auc({**test.columns, name: values[shuffled]}))
        for name, values in test.columns.items()
    ]
    return sorted(drops, key=lambda drop: -drop[1])
