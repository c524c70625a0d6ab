"""Tests that a project can be given another table, as docs/science.md says."""

from pathlib import Path

import pytest
from sklearn.datasets import load_diabetes

import small_project
from baking import Run
from cutting import cut

PREPARE: dict[str, object] = {
    "dataset": "diabetes",
    "task": "regression",
    "target": "progression",
    "positive": None,
    "columns.integer": [],
    "columns.category": [],
}
GATE: dict[str, object] = {
    "min_rows": 50,
    "bounds": {"r2": {"min": 0.1}},
    "max_drop": {"mae": 1},
    "subgroups": {"min_rows": 500, "bounds": {}, "max_drop": {}},
}


@pytest.fixture
def other(project: Path) -> Path:
    """A project with a table of 442 patients, of whom a number is to be predicted."""
    loaded = load_diabetes(as_frame=True)
    (project / "data/raw/adult.csv").unlink()
    loaded.data.assign(progression=loaded.target).to_csv(
        project / "data/raw/diabetes.csv", index=False
    )
    for key, value in {**PREPARE, "columns.number": [*loaded.data.columns]}.items():
        small_project.change(str(project / "params.yaml"), f"prepare.{key}", value)
    small_project.change(str(project / "params.yaml"), "evaluate.subgroups", [])
    small_project.change(str(project / "params.yaml"), "train.architecture", "linear")
    for file in (project / "environments").glob("*.yaml"):
        for key, value in GATE.items():
            small_project.change(str(file), f"gate.{key}", value)
    return project


def test_what_was_derived_from_the_old_table_is_named(run: Run, other: Path) -> None:
    done = run("mlops", "repro", cwd=other, check=False)
    assert done.returncode == 4
    assert "capital_net takes 'capital_gain', which is not a column" in done.stdout + done.stderr
    assert "or remove capital_net" in done.stdout + done.stderr


def test_it_is_trained_released_and_tested(run: Run, other: Path) -> None:
    for feature in ("capital_net", "hours_per_year_of_education"):
        cut(other / "science/features.py", feature)
    run("mlops", "repro", cwd=other)
    run.git("add", "--all", cwd=other)
    run.git("commit", "--quiet", "--message", "Another table", cwd=other)
    assert "v1.0.0" in run("mlops", "promote", "staging", cwd=other).stdout
    output = run("python", "-m", "pytest", cwd=other).stdout
    assert "science/features.py derives no capital_net any more: delete its examples" in output
    assert "there is no table" not in output
