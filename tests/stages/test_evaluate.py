import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mlops import params
from mlops.evaluate import evaluate
from mlops.metrics import METRICS
from mlops.predict import schema
from mlops.predict.predictor import Predictor
from mlops.tables import splits
from mlops.tables.splits import Split
from small_project import change, contents


def rows_of(name: str) -> list[dict[str, str]]:
    with Path("reports", name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def metrics() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path("reports/metrics.json").read_text())
    return content


def test_metrics_are_those_of_the_model_on_both_splits(trained: Path) -> None:
    predictor = Predictor(Path("models"))
    for name in ("validation", "test"):
        split = splits.read_split(name, predictor.schema)
        predictions = predictor.predict(split.columns)
        right = (predictions.answers == predictor.schema.positive) == split.target
        area = roc_auc_score(split.target, predictions.probabilities[:, 1])
        measured = metrics()[name]
        assert measured["rows"] == len(split)
        assert measured["accuracy"] == pytest.approx(right.mean(), abs=1e-6)
        assert measured["roc_auc"] == pytest.approx(area, abs=1e-6)
        assert list(measured) == ["rows", *METRICS["binary"]]


def test_the_subgroups_of_each_column_hold_every_test_row_once(trained: Path) -> None:
    columns = params.load_configuration().params.evaluate.subgroups
    for column in columns:
        rows = [row for row in rows_of("subgroups.csv") if row["group"].startswith(f"{column}: ")]
        assert len(rows) > 1
        assert sum(int(row["rows"]) for row in rows) == metrics()["test"]["rows"]
    hits = sum(float(row["accuracy"]) * int(row["rows"]) for row in rows_of("subgroups.csv"))
    whole = metrics()["test"]
    assert hits == pytest.approx(len(columns) * whole["accuracy"] * whole["rows"], abs=1e-3)


def test_a_subgroup_of_one_class_has_empty_cells_and_no_error(trained: Path) -> None:
    predictor = Predictor(Path("models"))
    test = splits.read_split("test", predictor.schema)
    predictions = predictor.predict(test.columns)
    by_class = Split({"class": np.where(test.target, "positive", "")}, test.target)
    rows = list(evaluate.subgroup_metrics(predictor.schema, by_class, predictions, ["class"]))
    assert [row[0] for row in rows] == ["class: missing", "class: positive"]
    place = ["group", "rows", *METRICS["binary"]].index("roc_auc")
    assert [row[place] for row in rows] == [None, None]


def test_a_subgroup_of_a_column_that_was_left_out_is_skipped(trained: Path) -> None:
    predictor = Predictor(Path("models"))
    test = splits.read_split("test", predictor.schema)
    predictions = predictor.predict(test.columns)
    assert list(evaluate.subgroup_metrics(predictor.schema, test, predictions, ["left_out"])) == []


def test_plots_say_what_the_metrics_say(trained: Path) -> None:
    confusion = rows_of("plots/confusion.csv")
    right = np.mean([row["actual"] == row["predicted"] for row in confusion])
    assert right == pytest.approx(metrics()["test"]["accuracy"], abs=1e-6)
    curve = rows_of("plots/roc.csv")
    x, y = (
        [float(row[axis]) for row in curve]
        for axis in ("false_positive_rate", "true_positive_rate")
    )
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(metrics()["test"]["roc_auc"], abs=0.01)
    for name in ("precision_recall.csv", "calibration.csv"):
        assert all(
            0 <= float(cell) <= 1 for row in rows_of(f"plots/{name}") for cell in row.values()
        )


def test_every_column_has_its_importance_the_greatest_first(trained: Path) -> None:
    rows = rows_of("plots/importance.csv")
    rises = [float(row["importance"]) for row in rows]
    assert rises == sorted(rises, reverse=True)
    columns = [column.name for column in schema.read_schema(splits.SCHEMA).columns]
    assert sorted(row["column"] for row in rows) == sorted(columns)
    assert rises[0] > 0


def test_reports_repeat(trained: Path) -> None:
    before = contents("reports")
    evaluate.main()
    assert contents("reports") == before | {"gate.json": before["gate.json"]}


def test_fewer_rows_for_the_importance_are_enough(trained: Path) -> None:
    change("params.yaml", "evaluate.importance_rows", 30)
    evaluate.main()
    assert rows_of("plots/importance.csv")
