"""Tests every stage with each task: a model of three classes, and models of a number in any unit."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contenders import run_compare
from mlops.architectures import ARCHITECTURES
from mlops.deploy import deploy
from mlops.errors import DataError
from mlops.evaluate import evaluate
from mlops.gate import gate
from mlops.metrics import METRICS
from mlops.predict import derived
from mlops.predict.predictor import Predictor
from mlops.predict.task import Task
from mlops.prepare import prepare
from mlops.tables import splits
from mlops.train import train
from small_project import change, use

Capture = pytest.CaptureFixture[str]
ROWS = 600
UNITS = {"tiny": (0.0, 1e-3), "plain": (0.0, 1.0), "far from 0": (1e9, 1.0)}
"""What is added to the target, and the unit of it."""


def table() -> pd.DataFrame:
    """Returns rows with two numbers, a colour, and a score that depends on all three."""
    random = np.random.default_rng(4)
    rows = pd.DataFrame(random.normal(size=(ROWS, 2)).round(3), columns=["a", "b"])
    rows["colour"] = random.choice(["red", "green", "blue"], ROWS)
    rows["score"] = rows.a + rows.b * (rows.colour == "red") + random.normal(0, 0.3, ROWS)
    return rows


def use_task(rows: pd.DataFrame, task: str, bounds: dict[str, Any]) -> None:
    """Makes `rows` the raw table, whose target is called score."""
    derived.DERIVED.clear()
    use(rows, number=["a", "b"], category=["colour"])
    for key, value in {"task": task, "target": "score", "positive": None}.items():
        change("params.yaml", f"prepare.{key}", value)
    change("params.yaml", "evaluate.subgroups", ["colour"])
    for name in ("dev", "staging", "prod"):
        change(f"environments/{name}.yaml", "gate.bounds", bounds)
    change("branch.yaml", "environment", "staging")


def metrics() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path("reports/metrics.json").read_text())
    return content


def rows_of(name: str) -> list[dict[str, str]]:
    with Path("reports", name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def run_stages(*architectures: str) -> Predictor:
    prepare.main()
    for booster in ("gradient_boosting", "lightgbm", "xgboost"):
        change("params.yaml", f"train.architectures.{booster}.iterations", 30)
    for name in architectures:
        change("params.yaml", "train.architecture", name)
        train.main()
        shutil.copytree("models", name)
    evaluate.main()
    gate.main()
    with pytest.MonkeyPatch.context() as monkeypatch:
        # A process of its own would find the features that this test leaves out.
        monkeypatch.setattr(deploy, "refuse_costly", lambda *_: None)
        deploy.main()
    return Predictor(Path("models"))


def check_comparison(task: Task, champion: str, challenger: str, capsys: Capture) -> None:
    """Checks that the comparison with a champion says what evaluate has measured for the challenger."""
    paired = [name for name, metric in METRICS[task].items() if metric.is_paired]
    change("branch.yaml", "environment", "dev")  # whose drops `run_compare` allows
    report = run_compare(champion, challenger, dict.fromkeys(paired, 1000.0), capsys)
    assert report["passed"]
    for name in paired:
        found = report["metrics"][name]
        assert found["challenger"] == pytest.approx(metrics()["test"][name], abs=2e-6, rel=2e-6)
        assert found["interval"][0] < found["advantage"] < found["interval"][1]


def check_reports(task: Task) -> None:
    """Checks what holds for the reports of every task."""
    found = metrics()
    assert found.keys() >= {"validation", "test", "baseline", "interval"}
    for part in ("validation", "test", "baseline"):
        assert list(found[part]) == ["rows", *METRICS[task]]
    for name, (low, high) in found["interval"].items():
        assert low < found["test"][name] < high
    groups = rows_of("subgroups.csv")
    assert [row["group"] for row in groups] == ["colour: blue", "colour: green", "colour: red"]
    assert list(groups[0]) == ["group", "rows", *METRICS[task]]
    importance = {
        row["column"]: float(row["importance"]) for row in rows_of("plots/importance.csv")
    }
    assert max(importance, key=importance.__getitem__) == "a"


def test_three_classes_are_learnt_measured_and_judged(
    untrained: Path, registries: None, capsys: Capture
) -> None:
    rows = table()
    rows["score"] = pd.cut(rows.score, [-np.inf, -1, 1, np.inf], labels=["low", "mid", "top"])
    use_task(rows, "multiclass", {"worst_recall": {"min": 0.5}})
    predictor = run_stages(*ARCHITECTURES)
    assert predictor.schema.classes == ("low", "mid", "top")
    check_reports("multiclass")
    check_comparison("multiclass", "linear", "xgboost", capsys)
    test = splits.read_split("test", predictor.schema)
    predictions = predictor.predict(test.columns)
    assert predictions.probabilities.shape == (len(test), 3)
    right = predictions.answers == np.array(predictor.schema.classes)[test.target]
    assert right.mean() == pytest.approx(metrics()["test"]["accuracy"], abs=1e-6)
    shares = np.bincount(test.target) / len(test)
    assert metrics()["baseline"]["accuracy"] == pytest.approx(shares[1], abs=1e-6)
    assert {row["predicted"] for row in rows_of("plots/confusion.csv")} == {"low", "mid", "top"}
    assert rows_of("plots/calibration.csv")
    assert not rows_of("plots/roc.csv")


@pytest.mark.parametrize("unit", UNITS)
def test_a_number_is_learnt_alike_in_any_unit(
    untrained: Path, registries: None, capsys: Capture, unit: str
) -> None:
    rows, (offset, factor) = table(), UNITS[unit]
    rows["score"] = offset + factor * rows.score
    use_task(rows, "regression", {"r2": {"min": 0.7}})
    predictor = run_stages(*ARCHITECTURES if unit == "far from 0" else ["linear"])
    assert predictor.schema.classes == ()
    check_reports("regression")
    if unit == "far from 0":
        check_comparison("regression", "linear", "xgboost", capsys)
    test = splits.read_split("test", predictor.schema)
    answers = predictor.predict(test.columns).answers
    assert answers.dtype == np.float64
    assert np.sqrt(np.mean((answers - test.target) ** 2)) == pytest.approx(
        metrics()["test"]["rmse"], rel=1e-5
    )
    assert metrics()["baseline"]["r2"] == pytest.approx(0, abs=0.1)
    assert len(rows_of("plots/predicted.csv")) == len(rows_of("plots/residuals.csv")) == len(test)
    assert not rows_of("plots/confusion.csv")


@pytest.mark.parametrize(
    ("task", "target", "message"),
    [
        ("regression", ["5"] * 9, "column 'score' is 5 in all rows: there is nothing to predict"),
        ("regression", ["5e-200", "6e-200"], "differ by 1e-200 at most, .*: write them in another unit"),
        ("regression", ["5", "six", "7"], r"column 'score' .to predict a class, set prepare.task"),
        ("regression", ["5", "", "7"], "column 'score': missing, and it is the target"),
        ("multiclass", ["a"] * 9, "column 'score' is 'a' in all rows: there is nothing to predict"),
        ("multiclass", ["a", "b", "b"], r"2 classes \('a', 'b'\), .*: set it to binary in params"),
        ("multiclass", [*"abcdef"], r"6 classes .*, \.\.\.\) in 6 rows: no two rows have the same"),
        ("multiclass", ["1.5", "2", "3"], "they are numbers; .* set prepare.task to regression"),
        ("multiclass", [*"aab" * 20, "rare"], "of the class 'rare'"),
    ],
)  # fmt: skip
def test_a_target_that_does_not_fit_the_task_is_refused_with_the_cure(
    untrained: Path, registries: None, task: str, target: list[str], message: str
) -> None:
    rows = pd.DataFrame({"a": np.arange(float(len(target))), "b": 1.0, "colour": "red"})
    use_task(rows.assign(score=target), task, {})
    with pytest.raises(DataError, match=message):
        prepare.main()
    assert not Path("data/prepared").exists()
