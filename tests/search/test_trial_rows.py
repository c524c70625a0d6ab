"""Tests that the tracker shows the trials of searches beside the models of the history."""

import shutil
from pathlib import Path

import pytest

import instant_project
from mlops import trials
from mlops.errors import MlopsError
from mlops.release.history.git import Git
from mlops.release.look import explanation, tracker
from mlops.trials import Search, Trial

TRAIN = {"seed": 1, "architecture": "b", "architectures": {"a": {"x": 1, "y": 2}, "b": {}}}


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    instant_project.speak_as_tester(monkeypatch)
    git = Git(tmp_path)
    git.run("init", "--quiet", "--initial-branch", "dev")
    return git


def test_trials_are_shown_with_what_was_tried(git: Git, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MlopsError, match="no model was committed yet"):
        tracker.model_rows(git, with_trials=True)
    made = {"data/prepared/train.parquet": "t1", "science/features.py": "f1"}
    search = Search("rmse", "9 validation rows", ("a", "b"), {"dataset": "cars"}, TRAIN, made)
    done = [Trial(n, "a", {"x": n, "y": 2}, "done", (n / 2, n / 4), 1.0) for n in (2, 1)]
    stopped = Trial(3, "b", {}, "stopped", (9.0,), 1.0)
    failed = Trial(4, "a", {"x": 0, "y": 2}, "failed", (), 1.0, "ValueError: x is 0")
    file = git.root / trials.FOLDER / "20260101-000000.jsonl"
    trials.write_search(file, search, done)
    for trial in (stopped, failed):
        trials.add_trial(file, trial)
    shutil.copy(file, file.with_name("20260102-000000.jsonl"))
    file.with_name("20260103-000000.jsonl").write_text("more\n")

    numbers = tracker.Numbers()
    rows = tracker.model_rows(git, numbers, with_trials=True)
    assert "20260103-000000.jsonl is not the record of a search" in capfd.readouterr().err
    columns = ("model", "dataset", "parameters", "search_rmse", "subject", "training", "testing")
    assert [tuple(row[column] for column in columns) for row in rows[:4]] == [
        ("trial 20260101-000000/2", "cars", "1.0", 0.75, "x 2, y 2", "1.0", None),
        ("trial 20260101-000000/1", "cars", "1.1", 0.375, "x 1, y 2", "1.0", None),
        ("trial 20260101-000000/3", "cars", "1.0", None, " (stopped)", "1.0", None),
        (
            "trial 20260101-000000/4",
            *("cars", "1.2", None),
            "x 0, y 2 (failed: ValueError: x is 0)",
            *("1.0", None),
        ),
    ]
    assert [row["parameters"] for row in rows[4:]] == [row["parameters"] for row in rows[:4]]
    best = tracker.sorted_rows(rows, "search_rmse")
    assert [row["subject"] for row in best[:3]] == ["x 1, y 2", "x 1, y 2", "x 2, y 2"]
    assert "search_rmse" in tracker.headings(rows)
    explained = list(explanation.explanation_lines(rows, rows, numbers))
    assert "  1.0  MD5 t1, first of trial 20260101-000000/2" in explained
    assert "  1.1  as 1.0, but train.architectures.x: 2 -> 1" in explained
