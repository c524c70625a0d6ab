"""Tests mlops.compare.agreement on answers of real models, and on answers that differ by just the
tolerance."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from contenders import answer_test_rows, run_agreement
from mlops.compare import agreement
from mlops.errors import Incomparable
from mlops.predict.errors import Unanswered
from mlops.tables import splits

Capture = pytest.CaptureFixture[str]


def write_answers(
    file: str, probability: list[float], predicted: list[int], positive: str = "yes"
) -> None:
    classes = ["other", positive]
    np.savez(
        file,
        classes=classes,
        answers=np.array(classes)[predicted],
        probabilities=np.column_stack([probability, probability]),
        scale=[0, 1],
        seen=np.zeros(len(predicted), bool),
    )


def write_numbers(file: str, numbers: list[float]) -> None:
    nothing = np.empty((len(numbers), 0))
    np.savez(
        file,
        classes=np.array([], str),
        answers=numbers,
        probabilities=nothing,
        scale=[1e9, 2.0],
        seen=np.zeros(len(numbers), bool),
    )


def write_pair(one: list[float], other: list[float], predicted: tuple[int, int] = (0, 0)) -> None:
    for file, probability, each in zip(("1.npz", "2.npz"), (one, other), predicted, strict=True):
        write_answers(file, probability, [each] * len(probability))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_answers_that_are_nan_are_refused(here: None, capsys: Capture) -> None:
    write_pair([0.1, np.nan], [0.1, np.nan])
    with pytest.raises(Unanswered, match="the model answers 1 of 2 rows with NaN"):
        run_agreement("1.npz", "2.npz", capsys)
    for one, other in (([0.1, 0.2], [np.nan, np.nan]), ([np.nan, np.nan], [0.1, 0.2])):
        write_pair(one, other)
        with pytest.raises(Unanswered, match="the model answers 2 of 2 rows with NaN"):
            run_agreement("1.npz", "2.npz", capsys)


def test_rows_on_which_one_model_was_trained_are_left_out(here: None, capsys: Capture) -> None:
    write_pair([0.1, 0.2, 0.3], [0.1, 0.9, 0.3])
    for seen in ([False, True, False], [True, True, True]):
        with np.load("1.npz") as answers:
            np.savez("seen.npz", **{**answers, "seen": seen})
        if not all(seen):
            report = run_agreement("seen.npz", "2.npz", capsys)
            assert (report["rows"], report["left_out"], report["agree"]) == (2, 1, True)
    with pytest.raises(
        Incomparable, match="each of the 3 test rows was one to train on for one of"
    ):
        run_agreement("seen.npz", "2.npz", capsys)


def test_models_of_other_positive_classes_are_refused(here: None, capsys: Capture) -> None:
    write_answers("1.npz", [0.1], [0], "yes")
    write_answers("2.npz", [0.1], [0], "no")
    with pytest.raises(
        Incomparable,
        match=r"classes of one model are \['other', 'yes'\], of the other \['other', 'no'\]",
    ):
        run_agreement("1.npz", "2.npz", capsys)


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [(0.0, 1e-5, True), (1e-5, 0.0, True), (0.0, 1.1e-5, False), (1.1e-5, 0.0, False)],
)
def test_probabilities_agree_up_to_the_tolerance(
    here: None, capsys: Capture, one: float, other: float, agree: bool
) -> None:
    write_pair([0.3, one], [0.3, other])
    report = run_agreement("1.npz", "2.npz", capsys)
    assert report == {
        "rows": 2,
        "left_out": 0,
        "flipped": 0,
        "apart": max(one, other),
        "words": "are called another class, and probabilities are up to "
        f"{max(one, other):.2g} apart",
        "tolerance": agreement.TOLERANCE,
        "agree": agree,
    }


def test_numbers_agree_by_the_spread_of_the_target_and_not_by_its_size(
    here: None, capsys: Capture
) -> None:
    write_numbers("1.npz", [1e9, 1e9 + 1000])
    write_numbers("2.npz", [1e9 + 1e-5, 1e9 + 1000.005])
    assert run_agreement("1.npz", "2.npz", capsys)["agree"]
    write_numbers("2.npz", [1e9 + 1, 1e9 + 1000])
    report = run_agreement("1.npz", "2.npz", capsys)
    assert (report["flipped"], report["apart"], report["agree"]) == (1, 0.5, False)
    assert "get another number, and numbers are up to 0.5 standard dev" in report["words"]


def test_another_class_does_not_agree_however_near_the_probabilities(
    here: None, capsys: Capture
) -> None:
    write_pair([0.5], [0.5], predicted=(0, 1))
    report = run_agreement("1.npz", "2.npz", capsys)
    assert (report["flipped"], report["agree"]) == (1, False)


def test_real_models_agree_with_their_twins_alone(contenders: Path, capsys: Capture) -> None:
    for name in ("sound", "twin", "misled"):
        answer_test_rows(name, f"{name}.npz")
    twins = run_agreement("sound.npz", "twin.npz", capsys)
    assert (twins["flipped"], twins["apart"], twins["agree"]) == (0, 0, True)
    rows = splits.split_file("test")
    others = run_agreement("sound.npz", "misled.npz", capsys, rows)
    assert others["flipped"] > others["gained"] + others["lost"] - 1 > 0
    assert not others["agree"]
    table = parquet.read_table(rows).to_pylist()
    with np.load("sound.npz") as sound, np.load("misled.npz") as misled:
        apart = np.abs(sound["probabilities"] - misled["probabilities"]).max(axis=1)
        for example in others["examples"]:
            place = example["row"] - 1
            answers = (example["old"], example["new"], example["actual"])
            target = str(sound["target"])
            assert answers == (
                sound["answers"][place], misled["answers"][place], table[place].pop(target)
            )  # fmt: skip
            assert example["inputs"] == json.loads(json.dumps(table[place], default=str))
        flipped = apart[sound["answers"] != misled["answers"]]
        shown = [apart[example["row"] - 1] for example in others["examples"]]
        assert shown == sorted(flipped, reverse=True)[: len(shown)]


def test_rows_that_only_one_model_answers_rightly_are_counted_and_shown_by_their_place(
    here: None, capsys: Capture
) -> None:
    rows = {"n": [1, 2, 3, 4], "bought": ["yes", "yes", "other", "yes"]}
    parquet.write_table(pa.table(rows), "test.parquet")
    for name, probability, predicted in (
        ("1.npz", [0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1]),
        ("2.npz", [0.1, 0.9, 0.6, 0.4], [0, 1, 1, 1]),
    ):
        write_answers(name, probability, predicted)
        with np.load(name) as answers:
            seen = [True, False, False, False]
            np.savez(name, **{**answers, "target": "bought", "seen": seen})
    report = run_agreement("1.npz", "2.npz", capsys, Path("test.parquet"))
    assert (report["flipped"], report["gained"], report["lost"]) == (2, 1, 1)
    assert report["examples"] == [
        {"row": 2, "old": "other", "new": "yes", "actual": "yes", "inputs": {"n": 2}},
        {"row": 3, "old": "other", "new": "yes", "actual": "other", "inputs": {"n": 3}},
    ]
