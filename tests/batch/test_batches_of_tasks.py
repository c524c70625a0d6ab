"""Tests the batches of a model with three classes and of one that predicts a number, from the rows to the
verdict of the monitor."""

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet
from redis import Redis

from mlops.batch.destinations import destinations
from mlops.batch.monitoring import labels, monitor
from mlops.batch.monitoring.labels import LabelsOrder
from mlops.batch.monitoring.live_metrics import errors_of, live_of
from mlops.batch.monitoring.monitor import MonitorOrder, OutOfBounds
from mlops.errors import UsageError
from mlops.predict.errors import Unanswered
from mlops.predict.predictor import Predictor
from mlops.tables.errors import SourceError
from small_batch import DATABASE, release, run, stored
from three_tasks import CLASSES, SCHEMAS, rows, write_unanswering

URL = f"sqlite:///{DATABASE}"
ALL = """SELECT row_key, prediction, probability_negative, probability_positive, probability, probabilities,
    number, target FROM latest_predictions ORDER BY CAST(row_key AS INTEGER)"""
SHARES = """SELECT CAST(probabilities ->> 'cat' AS REAL) AS cat FROM predictions
    ORDER BY CAST(row_key AS INTEGER)"""


@pytest.fixture
def animals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray[Any, Any]]:
    """The columns of rows.csv in the current directory."""
    monkeypatch.chdir(tmp_path)
    columns = rows()
    csv.write_csv(pa.table({"id": np.arange(200), **columns}), "rows.csv")
    return columns


def deploy(bundles: dict[str, Path], task: str, version: str = "v1.0.0") -> Path:
    folder = Path(f"{task} {version}")
    folder.mkdir()
    return release(bundles[task], folder, version)


def load(folder: Path, target: str, values: list[Any], name: str = "truth.csv") -> None:
    csv.write_csv(pa.table({"row_key": np.arange(len(values)), target: values}), name)
    labels.load_labels(LabelsOrder(name, URL, str(folder)))


def judge(folder: Path, **bounds: Any) -> None:
    monitor.monitor(MonitorOrder(URL, str(folder), min_labels=10, **bounds))


def test_classes_are_stored_with_the_probability_of_each_and_judged_by_the_worst(
    bundles: dict[str, Path],
    animals: dict[str, np.ndarray[Any, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = deploy(bundles, "multiclass")
    run(folder, key="id")
    expected = Predictor(bundles["multiclass"]).predict(animals)
    answers = stored(ALL)
    assert [row[1] for row in answers] == expected.answers.tolist()
    assert [row[4] for row in answers] == expected.probabilities.max(axis=1).tolist()
    assert {(row[2], row[3], row[6], row[7]) for row in answers} == {(None, None, None, "animal")}
    for row, probabilities in zip(answers, expected.probabilities, strict=True):
        named = json.loads(row[5])
        assert [*named] == [*CLASSES]
        assert np.array([*named.values()], np.float32).tolist() == probabilities.tolist()
    np.testing.assert_allclose(stored(SHARES), expected.probabilities[:, 2], rtol=1e-7)
    with pytest.raises(SourceError, match="holds 'dog', but the classes of the model are 'ape'"):
        load(folder, "animal", ["dog"])
    truth = expected.answers.tolist()
    load(folder, "animal", [*["cat"] * 40, *truth[40:]])
    capsys.readouterr()
    judge(folder, min_accuracy=0.7, min_worst_recall=0.4)
    said = capsys.readouterr().out
    assert "predictions of animal" in said
    assert "0.8000 (0.7391 to 0.8495)" in said
    with pytest.raises(OutOfBounds, match=r"worst recall of v1\.0\.0: .* 0\.9 is required"):
        judge(folder, min_worst_recall=0.9)
    with pytest.raises(UsageError, match="--max-mae has no meaning for the task multiclass"):
        judge(folder, max_mae=1)


def test_numbers_are_stored_with_all_digits_and_judged_by_their_errors(
    bundles: dict[str, Path],
    animals: dict[str, np.ndarray[Any, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    old, new = deploy(bundles, "multiclass", "v1.0.0"), deploy(bundles, "regression", "v2.0.0")
    run(old, key="id")
    run(new, key="id")
    expected = Predictor(bundles["regression"]).predict(animals)
    answers = stored(ALL)
    assert [row[6] for row in answers] == expected.answers.tolist()
    assert {row[1:6] + row[7:] for row in answers} == {(None,) * 5 + ("weight",)}
    with pytest.raises(SourceError, match="holds 'heavy', but the model predicts numbers"):
        load(new, "weight", ["1000000000", "heavy"])
    load(old, "animal", ["cat"] * 200)
    errors = np.tile([1.0, -3.0], 100)
    load(new, "weight", (expected.answers + errors).tolist())
    judge(new, max_mae=2.5, max_rmse=2.5, report="report.json")
    said = capsys.readouterr().out
    assert re.search(r"v2\.0\.0 +200 +- +- +2 \(", said)
    live = json.loads(Path("report.json").read_text())["live"]
    assert [(each["version"], each["labelled"]) for each in live] == [
        ("v2.0.0", 200),
        ("v1.0.0", 200),
    ]
    assert [[*each["metrics"]] for each in live] == [["mae", "rmse"], ["accuracy", "worst_recall"]]
    mae, rmse = live[0]["metrics"].values()
    assert [mae["value"], *mae["interval"]] == pytest.approx([2, 1.86106, 2.13894], abs=1e-5)
    assert [rmse["value"], *rmse["interval"]] == pytest.approx([5**0.5, 2.10814, 2.35707], abs=1e-5)
    with pytest.raises(OutOfBounds, match=r"MAE of v2\.0\.0: 2 .*, at most 1 is allowed"):
        judge(new, max_mae=1)
    with pytest.raises(UsageError, match="--min-accuracy has no meaning for the task regression"):
        judge(new, min_accuracy=1)


def test_the_same_answers_in_every_destination(
    bundles: dict[str, Path],
    animals: dict[str, np.ndarray[Any, Any]],
    database: str,
    redis: str,
) -> None:
    for task, bundle in bundles.items():
        expected = Predictor(bundle).predict(animals)
        folder = deploy(bundles, task)
        for to in (database, redis, "folder"):
            run(folder, key="id", to=to)
        with closing(destinations.open_relational(database)) as opened:
            found, shares = (opened.query(sql).to_pylist() for sql in (ALL, SHARES))
        in_folder = parquet.read_table("folder", filters=[("target", "=", found[0]["target"])])
        with Redis.from_url(redis, decode_responses=True) as client:
            names = [f"predictions:prod:{row}" for row in range(200)]
            in_redis = [json.loads(str(value)) for value in client.mget(names)]
        column = "prediction" if expected.probabilities.size else "number"
        for answers in (
            [row[column] for row in found],
            in_folder[column].to_pylist(),
            [each["prediction"] for each in in_redis],
        ):
            assert answers == expected.answers.tolist()
        assert {"probability" in each for each in in_redis} == {column == "prediction"}
        if column == "prediction":
            given = np.array([[*each["probability"].values()] for each in in_redis], np.float32)
            assert given.tolist() == expected.probabilities.tolist()
            np.testing.assert_allclose(
                [row["cat"] for row in shares], expected.probabilities[:, 2], rtol=1e-6
            )


def test_the_errors_of_numbers_are_those_of_the_rows() -> None:
    errors = np.abs(np.random.default_rng(1).normal(size=1000))
    found = errors_of(1000, errors.sum(), (errors**2).sum(), (errors**4).sum())
    half = 1.96 * errors.std(ddof=1) / np.sqrt(1000)
    assert found["mae"].value == pytest.approx(errors.mean())
    assert found["mae"].interval == pytest.approx((errors.mean() - half, errors.mean() + half))
    assert found["rmse"].value == pytest.approx(np.sqrt((errors**2).mean()))
    low, high = found["rmse"].interval
    assert low < np.sqrt((errors**2).mean()) < high


def test_a_class_with_few_labels_hides_none_that_is_surely_recognized_badly() -> None:
    pairs = [("cat", "ape", 2), ("bee", "ape", 80), ("bee", "bee", 20), ("ape", "ape", 500)]
    counts = [
        {"model_version": "v1", "task": "multiclass", "label": label, "prediction": prediction}
        | {"labelled": labelled}
        for label, prediction, labelled in pairs
    ]
    worst = live_of(counts).metrics["worst_recall"]
    assert (worst.value, worst.rows) == (0.2, 100)


@pytest.mark.parametrize("task", SCHEMAS)
@pytest.mark.usefixtures("animals")
def test_an_answer_that_is_no_number_is_not_stored(
    bundles: dict[str, Path], tmp_path: Path, task: str
) -> None:
    bundle = write_unanswering(bundles[task], tmp_path / "bundle")
    with pytest.raises(
        Unanswered, match=r"answers \d+ of 200 rows with NaN or infinity: change the"
    ):
        run(release(bundle, tmp_path), "rows.csv")
    assert not stored("SELECT * FROM batches WHERE finished_at IS NOT NULL")
