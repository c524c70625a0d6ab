"""Tests the owner's half of a project: its size, what it may contain, and its tests on every branch."""

import json
from pathlib import Path

import pytest

import small_project
from baking import TEMPLATE, Run

LINES = 700
ENTRIES = 24
MADE = {"deploy", "dvc.lock", "mlops_project.egg-info"}
"""What running and installing add to the top of a project."""

FEATURE = """

@category
def name_of_class(workclass):
    X = np.array([name.lower() for name in workclass], dtype=object)
    return X
"""
ARCHITECTURE = """

@architecture
def single_tree(inputs, seed, depth):
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier(max_depth=depth, random_state=seed)
    return make_pipeline(one_hot(inputs, SimpleImputer()), model)
"""
TEST = """import numpy as np

from science.features import name_of_class


def test_the_name_is_in_lower_case():
    assert list(name_of_class(np.array(["Private", ""], dtype=object))) == ["private", ""]
"""
CELLS = [
    ["import pandas as pd\n", "import os, json\n", "df = pd.read_csv('../data/raw/adult.csv')"],
    ["df.head()"],
    ["from science.features import capital_net\n", "X = capital_net(df['capital_gain'], 0)\n", "X"],
]


def notebook() -> str:
    cells = [
        {"cell_type": "code", "execution_count": n, "metadata": {}, "outputs": [], "source": source}
        for n, source in enumerate(CELLS)
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})


@pytest.fixture
def written(project: Path) -> Path:
    """A project with an architecture, a feature, a test and a notebook without types."""
    with (project / "science/features.py").open("a") as file:
        file.write(FEATURE)
    with (project / "science/architectures.py").open("a") as file:
        file.write(ARCHITECTURE)
    params = str(project / "params.yaml")
    small_project.change(params, "train.architectures.single_tree", {"depth": 4})
    small_project.change(params, "train.architecture", "single_tree")
    (project / "tests/test_name_of_class.py").write_text(TEST)
    (project / "notebooks/mine.ipynb").write_text(notebook())
    return project


def own_tests(run: Run, project: Path) -> str:
    """Runs the project's own tests, checks that they pass, and returns the output of pytest."""
    return run("python", "-m", "pytest", "-p", "no:cacheprovider", cwd=project).stdout


def test_what_is_written_without_types_passes_make_check_and_make_test(
    run: Run, written: Path
) -> None:
    run.git("add", "--all", cwd=written)
    run.git("commit", "--quiet", "--message", "Mine", cwd=written)
    installed = ("INSTALL=:", "ACTIVATE=:")
    run("make", "check", *installed, cwd=written)
    output = run("make", "test", *installed, cwd=written).stdout
    assert "passed" in output
    assert "skipped" not in output


def test_what_is_wrong_in_the_owners_python_is_named_all_the_same(run: Run, written: Path) -> None:
    with (written / "science/features.py").open("a") as features:
        features.write("\n\nhalf = numpy.half\n")
    done = run("ruff", "check", cwd=written, check=False)
    assert done.returncode == 1
    assert "Undefined name `numpy`" in done.stdout


@pytest.mark.parametrize("branch", ["dev", "staging", "prod"])
def test_the_owners_tests_pass_on_every_branch(run: Run, project: Path, branch: str) -> None:
    run.git("switch", "--quiet", branch, cwd=project)
    output = own_tests(run, project)
    assert "passed" in output
    assert "skipped" not in output
    assert run.git("status", "--porcelain", cwd=project) == ""


def test_without_the_table_the_life_is_left_out_and_says_so(run: Run, project: Path) -> None:
    (project / "data/raw/adult.csv").unlink()
    assert "there is no table in data/raw: `dvc pull data/raw` brings it" in own_tests(run, project)


def test_a_derived_column_that_looks_at_other_rows_fails_them(run: Run, project: Path) -> None:
    with (project / "science/features.py").open("a") as features:
        features.write("\n\n@number\ndef relative_age(age):\n    return age - age.mean()\n")
    done = run("python", "-m", "pytest", "tests/test_features.py", cwd=project, check=False)
    assert done.returncode == 1
    assert "relative_age" in done.stdout


def test_the_owners_python_is_small(run: Run, baked: Path) -> None:
    files = run.git("ls-files", "*.py", ":!mlops", ":!install.py", cwd=baked).splitlines()
    lines = {name: len((baked / name).read_text().splitlines()) for name in files}
    assert {"science/features.py", "tests/test_life.py"} <= lines.keys()
    assert sum(lines.values()) <= LINES, lines


def test_every_file_of_the_owner_begins_with_what_it_is_for(baked: Path) -> None:
    begin = {
        path.name: path.read_text().split("\n", 1)[0]
        for folder in ("science", "tests")
        for path in (baked / folder).glob("*.py")
    }
    assert [name for name, line in begin.items() if not line.startswith('"""')] == []
    for name in ("features.py", "architectures.py", "test_features.py"):
        assert "To add" in begin[name]


def test_the_top_of_a_project_can_be_seen_at_a_glance(baked: Path) -> None:
    entries = {path.name for path in baked.iterdir() if not path.name.startswith(".")} | MADE
    assert len(entries) <= ENTRIES, sorted(entries)


def test_the_machinery_of_another_project_is_tested_by_its_name(run: Run, project: Path) -> None:
    command = ("python", "-m", "pytest", "-p", "no:cacheprovider", f"--project={project}")
    assert "passed" in run(*command, "tests/predict", cwd=TEMPLATE).stdout
    apart = (*command[:-1], "--project", project, "tests/predict")
    assert f"write --project={project}" in run(*apart, cwd=TEMPLATE, check=False).stderr
    (project / "mlops/predict/cells.py").write_text("1 / 0\n")
    failed = run(*command, "tests/predict/test_predictor.py", cwd=TEMPLATE, check=False)
    assert failed.returncode != 0
    assert "division by zero" in failed.stdout + failed.stderr
