"""Tests mlops.compare.compare on real models: one is better by each metric, one is worse, and two are
equal."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyarrow import compute, parquet

from contenders import (
    PAIRED,
    answer_test_rows,
    metrics_of,
    parse_strict_json,
    run_compare,
    run_main,
)
from mlops.compare import compare
from mlops.compare.subgroup_drops import judge_drop
from mlops.errors import Incomparable
from mlops.predict import schema
from mlops.predict.errors import Unanswered
from mlops.predict.predictor import Predictor
from mlops.tables import splits
from small_project import change

NO_DROP = dict.fromkeys(PAIRED, 0.0)
EVERY_DROP = dict.fromkeys(PAIRED, 1000.0)
Capture = pytest.CaptureFixture[str]


def keep_positives(rows: int) -> None:
    """Leaves only that many test rows of the positive class."""
    input_schema = schema.read_schema(splits.SCHEMA)
    test = parquet.read_table(splits.split_file("test"))
    positive = compute.equal(test[input_schema.target], input_schema.positive)
    remaining = [test.filter(positive).slice(0, rows), test.filter(compute.invert(positive))]
    parquet.write_table(pa.concat_tables(remaining), splits.split_file("test"))


def write_answers(answers: Mapping[str, NDArray[Any]]) -> None:
    """Writes the answers of a champion."""
    np.savez("scores.npz", allow_pickle=False, **answers)


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_of_a_class_are_refused_for_its_metric_alone(
    contenders: Path, capsys: Capture, rows: int
) -> None:
    answers = answer_test_rows("sound")
    keep_positives(rows)
    count = len(parquet.read_table(splits.split_file("test")))
    shorter = {name: answers[name][:count] for name in ("answers", "probabilities", "seen")}
    write_answers({**answers, **shorter})
    change("environments/dev.yaml", "gate.max_drop", {"false_negative_percent": 1000})
    with pytest.raises(Incomparable) as refused:
        run_main(compare.main, "scores.npz")
    assert str(refused.value).startswith(
        f"false_negative_percent can be measured on {rows} of the test rows, and gate.min_rows is "
        "2: add rows"
    )
    change("environments/dev.yaml", "gate.max_drop", {"accuracy": 1})
    capsys.readouterr()
    run_main(compare.main, "scores.npz")
    assert parse_strict_json(capsys.readouterr().out)["metrics"].keys() == {"accuracy"}


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("name", PAIRED)
def test_no_metric_is_judged_on_fewer_than_two_rows(name: str, rows: int) -> None:
    with pytest.raises(Incomparable, match=f"{name} can be measured on {rows} of the test rows"):
        compare.compare_losses(name, "binary", np.zeros(rows), np.zeros(rows), 1000, min_rows=2)


def test_two_rows_of_a_class_are_enough(contenders: Path, capsys: Capture) -> None:
    keep_positives(2)
    report = run_compare("sound", "misled", EVERY_DROP, capsys)
    low, high = report["metrics"]["false_negative_percent"]["interval"]
    assert low <= high


def test_another_positive_class_is_refused_though_the_classes_are_the_same(
    contenders: Path, capsys: Capture
) -> None:
    answers = answer_test_rows("sound")
    write_answers({**answers, "classes": np.array([">50K", "other"])})
    with pytest.raises(Incomparable) as refused:
        run_main(compare.main, "scores.npz")
    positive = schema.read_schema(splits.SCHEMA).positive
    assert str(refused.value) == (
        f"the champion's positive class is 'other', and the challenger's is {positive!r}"
    )


def test_rows_on_which_the_champion_was_trained_are_left_out(
    contenders: Path, capsys: Capture
) -> None:
    answers = answer_test_rows("sound")
    whole = run_compare("sound", "misled", EVERY_DROP, capsys)
    rows = len(answers["seen"])
    seen = np.arange(rows) % 2 == 0
    write_answers({**answers, "seen": seen})
    run_main(compare.main, "scores.npz")
    report = parse_strict_json(capsys.readouterr().out)
    assert (report["rows"], report["left_out"]) == (rows - seen.sum(), seen.sum())
    assert report["metrics"]["brier"] != whole["metrics"]["brier"]
    change("environments/dev.yaml", "gate.min_rows", int(rows - seen.sum()) + 1)
    with pytest.raises(Incomparable) as refused:
        run_main(compare.main, "scores.npz")
    assert str(refused.value).startswith(
        f"the champion was trained on {seen.sum()} of the {rows} test"
    )


def bound_subgroups(column: str, max_drop: dict[str, float], min_rows: int) -> None:
    change("params.yaml", "evaluate.subgroups", [column])
    settings = {"min_rows": min_rows, "bounds": {}, "max_drop": max_drop}
    change("environments/dev.yaml", "gate.subgroups", settings)


def test_the_drop_of_each_large_subgroup_is_judged(contenders: Path, capsys: Capture) -> None:
    column = schema.read_schema(splits.SCHEMA).names("category")[0]
    rows = (
        pa.table(parquet.read_table(splits.split_file("test")))[column].value_counts().to_pylist()
    )
    sizes = {each["values"] or "missing": each["counts"] for each in rows}
    least = sorted(sizes.values())[-3]
    bound_subgroups(column, {"accuracy": 0.3, "false_positive_percent": 1}, least)
    worse = run_compare("sound", "misled", {}, capsys)
    named = {f"accuracy of {column}: {name}": n for name, n in sizes.items() if n >= least}
    assert {k: drop["rows"] for k, drop in worse["subgroups"].items() if k in named} == named
    assert len(worse["subgroups"]) == 2 * len(named)
    assert worse["passed"] is all(drop["passed"] for drop in worse["subgroups"].values())
    assert {name for name, drop in worse["subgroups"].items() if "needed_rows" in drop}
    same = run_compare("sound", "twin", {}, capsys)
    assert same["passed"]
    assert not [drop for drop in same["subgroups"].values() if "needed_rows" in drop]
    bound_subgroups(column, {"accuracy": 0.3}, max(sizes.values()) + 1)
    with pytest.raises(Incomparable, match=f"no subgroup has {max(sizes.values()) + 1} of the"):
        run_compare("sound", "misled", {}, capsys)


def gains(worse: int, better: int, rows: int) -> NDArray[np.float64]:
    return np.repeat([-1.0, 1.0, 0.0], [worse, better, rows - worse - better])


@pytest.mark.parametrize(
    ("worse", "better", "rows", "verdict"),
    [
        (0, 0, 500, "passed"),
        (12, 10, 5000, "passed"),
        (120, 60, 5000, "passed"),  # a drop of 1.2 points, which is neither 0 nor 3
        (40, 5, 1000, "failed"),
        (17, 1, 500, "failed"),
        (8, 8, 500, "passed"),
        (25, 17, 500, "not decided"),
        (1, 0, 2, "not decided"),
        (2, 0, 2, "not decided"),
    ],
)
def test_a_subgroup_passes_or_fails_or_has_too_few_rows_to_tell(
    worse: int, better: int, rows: int, verdict: str
) -> None:
    for unit in (1, 100):
        drop = judge_drop(unit * gains(worse, better, rows), 0.03 * unit, 8)
        found = "not decided" if "needed_rows" in drop else "passed" if drop["passed"] else "failed"
        assert found == verdict
        assert drop["interval"][0] < drop["drop"] <= drop["interval"][1] or not worse + better
        if verdict == "not decided":
            assert drop["passed"]
            assert drop["needed_rows"] > rows


@pytest.mark.parametrize("who", ["champion", "challenger"])
def test_an_answer_that_is_nan_is_refused_whoever_gives_it(
    contenders: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    answers = answer_test_rows("sound")
    change("environments/dev.yaml", "gate.max_drop", EVERY_DROP)
    if who == "champion":
        write_answers({**answers, "probabilities": answers["probabilities"] * np.nan})
    else:
        predict = Predictor.predict

        def predict_with_nan(self: Predictor, columns: dict[str, np.ndarray]) -> object:
            answers = predict(self, columns)
            answers.probabilities[0] = np.nan
            return answers

        monkeypatch.setattr(Predictor, "predict", predict_with_nan)
    with pytest.raises(Unanswered, match=r"the model answers \d+ of \d+ rows with NaN"):
        run_main(compare.main, "scores.npz")


@pytest.mark.parametrize("name", PAIRED)
def test_a_worse_model_does_not_pass_and_a_better_one_does(
    contenders: Path, capsys: Capture, name: str
) -> None:
    worse = run_compare("sound", "misled", {name: 0}, capsys)
    assert worse["passed"] is worse["metrics"][name]["passed"] is False
    better = run_compare("misled", "sound", {name: 0}, capsys)
    assert better["passed"] is better["metrics"][name]["passed"] is True
    assert list(better["metrics"]) == [name]


@pytest.mark.parametrize("name", PAIRED)
def test_a_drop_may_be_as_large_as_allowed_and_no_larger(
    contenders: Path, capsys: Capture, name: str
) -> None:
    drop = -run_compare("sound", "misled", {name: 0}, capsys)["metrics"][name]["advantage"]
    assert drop > 0
    assert run_compare("sound", "misled", {name: drop}, capsys)["passed"]
    assert not run_compare("sound", "misled", {name: round(drop - 1e-6, 6)}, capsys)["passed"]


def test_one_drop_that_is_too_large_is_enough(contenders: Path, capsys: Capture) -> None:
    for name in PAIRED:
        report = run_compare("sound", "misled", {**EVERY_DROP, name: 0}, capsys)
        assert not report["passed"]
        assert [each for each in PAIRED if not report["metrics"][each]["passed"]] == [name]


def test_the_same_predictions_in_other_bytes_pass_where_no_drop_is_allowed(
    contenders: Path, capsys: Capture
) -> None:
    assert Path("sound/model.onnx").read_bytes() != Path("twin/model.onnx").read_bytes()
    report = run_compare("sound", "twin", NO_DROP, capsys)
    assert report["passed"]
    for drop in report["metrics"].values():
        assert (drop["advantage"], drop["interval"]) == (0, [0, 0])
        assert drop["champion"] == drop["challenger"]


def test_a_difference_that_is_not_reported_is_none() -> None:
    before = np.array([0.2, 0.4, 0.6])
    assert compare.compare_losses("brier", "binary", before, before + 4e-7, 0, min_rows=2)["passed"]
    assert not compare.compare_losses("brier", "binary", before, before + 6e-7, 0, min_rows=2)[
        "passed"
    ]
    assert (
        str(
            compare.compare_losses("brier", "binary", before, before + 4e-7, 0, min_rows=2)[
                "advantage"
            ]
        )
        == "0.0"
    )


def test_what_is_reported_is_what_evaluate_measures(contenders: Path, capsys: Capture) -> None:
    champion, challenger = metrics_of("sound"), metrics_of("misled")
    report = run_compare("sound", "misled", EVERY_DROP, capsys)
    assert report["passed"]
    assert report["rows"] == len(parquet.read_table(splits.split_file("test")))
    for name, drop in report["metrics"].items():
        gain = champion[name] - challenger[name]
        assert drop["champion"] == pytest.approx(champion[name], abs=2e-6)
        assert drop["challenger"] == pytest.approx(challenger[name], abs=2e-6)
        assert drop["advantage"] == pytest.approx(-gain if name == "accuracy" else gain, abs=2e-6)
        assert drop["max_drop"] == 1000


@pytest.mark.parametrize("gains", [[1, 0, 0, -1, 1, 1], [0, 0, -1]])
def test_the_interval_is_that_of_the_mean_of_the_paired_differences(gains: Sequence[int]) -> None:
    mean = statistics.mean(gains)
    error = 1.96 * statistics.stdev(gains) / len(gains) ** 0.5
    before = np.array([2.0] * len(gains))
    report = compare.compare_losses("accuracy", "binary", before, before - gains, 0, min_rows=2)
    assert report["advantage"] == pytest.approx(mean, abs=1e-6)
    assert report["interval"] == pytest.approx([mean - error, mean + error], abs=1e-6)


@pytest.mark.parametrize(("on_failure", "stops"), [("stop", True), ("report", False)])
def test_the_environment_says_whether_a_drop_stops(
    contenders: Path, capsys: Capture, on_failure: str, stops: bool
) -> None:
    change("environments/dev.yaml", "gate.on_failure", on_failure)
    assert run_compare("sound", "misled", NO_DROP, capsys)["stops"] is stops


def test_where_no_metric_is_bounded_nothing_fails(contenders: Path, capsys: Capture) -> None:
    report = run_compare("sound", "misled", {}, capsys)
    assert (report["passed"], report["metrics"]) == (True, {})


def test_the_difference_of_two_rmse_has_the_interval_of_its_resamples() -> None:
    random = np.random.default_rng(6)
    before, after = random.normal(0, 2e9, 500) ** 2, random.normal(0, 1e9, 500) ** 2
    report = compare.compare_losses("rmse", "regression", before, after, 0, min_rows=2)
    assert report["advantage"] == pytest.approx(
        np.sqrt(before.mean()) - np.sqrt(after.mean()), rel=1e-5
    )
    drawn = random.integers(0, 500, (2000, 500))
    resampled = np.sqrt(before[drawn].mean(axis=1)) - np.sqrt(after[drawn].mean(axis=1))
    low, high = np.quantile(resampled, [0.025, 0.975])
    assert report["interval"] == pytest.approx([low, high], rel=0.1)


def test_numbers_that_differ_in_the_seventh_digit_are_equal() -> None:
    before = np.array([2e9, 4e9, 6e9])
    for name in ("mae", "rmse"):
        report = compare.compare_losses(
            name, "regression", before, before * (1 + 1e-8), 0, min_rows=2
        )
        assert (report["advantage"], report["passed"]) == (0, True)
        assert not compare.compare_losses(name, "regression", before, before * 1.01, 0, min_rows=2)[
            "passed"
        ]
