"""Tests `mlops.notebook` and notebooks/explore.ipynb, on a project with a version in production, and on other
tables of other tasks."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

import small_project
from baking import Run
from mlops import notebook
from mlops.errors import MlopsError, UsageError
from mlops.predict.predictor import Predictor
from mlops.prepare import prepare
from mlops.tables.answered import answer_file

EXPLORE = "notebooks/explore.ipynb"
UNSEEN = ("cache", "tmp", "__pycache__")
"""Folders that may change: those of DVC, and Python's own."""

RATIO = """
@number
def {name}(age, fnlwgt):
    return age / np.maximum(fnlwgt, 1)
"""


def state(run: Run, project: Path) -> dict[str, str]:
    """Returns the hash of each file of the working tree, and what Git says of refs and changes."""
    files = {
        str(path.relative_to(project)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in project.rglob("*")
        if path.is_file() and not {*path.relative_to(project).parts} & {".git", *UNSEEN}
    }
    refs = run.git("for-each-ref", cwd=project) + run.git("symbolic-ref", "HEAD", cwd=project)
    return {**files, "refs": refs, "status": run.git("status", "--porcelain", cwd=project)}


def execute(run: Run, project: Path, *more: str, version: str = "prod") -> list[Any]:
    """Runs the notebook in its own folder, and returns the outputs of its cells; those of `more` may fail."""
    read = nbformat.read(project / EXPLORE, as_version=4)
    for cell in read.cells:
        cell.source = cell.source.replace('model("prod")', f'model("{version}")')
    read.cells += [
        nbformat.v4.new_code_cell(source, metadata={"tags": ["raises-exception"]})
        for source in more
    ]
    place = {"metadata": {"path": str(project / "notebooks")}}
    client = NotebookClient(read, timeout=300, coalesce_streams=True, resources=place)
    client.execute(env={**run.environment, "PYTHONPATH": str(project)})
    return [output for cell in read.cells for output in cell.get("outputs", ())]


def metrics_of(project: Path, part: str) -> dict[str, float]:
    found: dict[str, float] = json.loads((project / "reports/metrics.json").read_bytes())[part]
    return found


def test_the_notebook_runs_and_what_it_says_of_a_feature_comes_true(
    run: Run, in_production: Path
) -> None:
    before = state(run, in_production)
    wrong = 'notebook.model("v9.9.9")', 'notebook.try_feature("x = 1")'
    outputs = execute(run, in_production, "print(effect.to_json())", *wrong)
    assert state(run, in_production) == before
    *_, effect, unknown, nothing_new = outputs
    assert unknown.traceback == ["MlopsError: there is no version 'v9.9.9'; the last are v1.0.0"]
    assert nothing_new.traceback == [
        "UsageError: no derived column is new: write @number or @category above a function"
    ]
    assert [each for each in outputs[:-2] if each.output_type == "error"] == []
    assert sum("image/png" in each.get("data", ()) for each in outputs) == 3
    assert any("# v1.0.0" in each.get("data", {}).get("text/markdown", "") for each in outputs)
    metrics = json.loads(effect.text)
    assert metrics["now"] == pytest.approx(metrics_of(in_production, "validation"))
    text = "".join(each.text for each in outputs[:-3] if each.output_type == "stream")
    with (in_production / "science/features.py").open("a") as features:
        features.write("\n" + text[text.index("\n@number") : text.index(", 1)")] + ", 1)\n")
    run("ruff", "check", cwd=in_production)
    run("ruff", "format", "--check", cwd=in_production)
    run("python", "-m", "pytest", "tests/test_features.py", cwd=in_production)
    run("mlops", "repro", cwd=in_production)
    assert metrics["with"] == pytest.approx(metrics_of(in_production, "validation"))
    run.git("commit", "--quiet", "--all", "--message", "A feature", cwd=in_production)
    run("mlops", "check", cwd=in_production)


def test_a_version_answers_as_the_service_does_whatever_the_working_tree_is(
    run: Run, in_production: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(in_production / "docs")
    for folder in (".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(in_production / folder)
    before = state(run, in_production)
    model, rows = notebook.model("prod"), notebook.split("validation")
    assert state(run, in_production) == before
    with (in_production / "science/features.py").open("a") as features:
        features.write(RATIO.format(name="of_tomorrow"))
    with pytest.warns(UserWarning, match=r"^unlike the training rows: row \d+: "):
        answers, probabilities = model.predict(rows), model.predict_proba(rows)
    predictor = Predictor(next(in_production.glob(".dvc/tmp/deployments/*/deploy")))
    file = in_production / "data/prepared/validation.parquet"
    _, expected = answer_file(file, predictor)
    assert list(answers) == list(expected.answers)
    assert (probabilities.to_numpy() == expected.probabilities).all()
    assert (answers.name, list(probabilities)) == (model.target, list(predictor.schema.classes))
    one = predictor.schema.example()
    asked = json.loads(run("mlops", "predict", json.dumps(one), cwd=in_production).stdout)
    example = pd.DataFrame([one], index=["a row"])
    assert dict(model.predict_proba(example).loc["a row"]) == asked["probability"]
    assert model.name == "v1.0.0"
    report = run.git("show", "prod:reports/metrics.json", cwd=in_production)
    assert dict(model.metrics["test"]) == json.loads(report)["test"]
    assert "Now in staging, prod" in model.card
    with pytest.raises(
        MlopsError, match=r'^row 0: age: expected a whole number or null, got "old"'
    ):
        model.predict(example.assign(age="old"))
    with pytest.raises(MlopsError, match=r"^row 0: age: expected .*, got nothing"):
        model.predict(example.drop(columns="age"))


def test_what_is_not_there_is_said_with_the_command_that_makes_it(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "docs")
    with pytest.raises(
        MlopsError, match=r"there is no .*train.parquet: .*`mlops repro prepare`.*`dvc pull"
    ):
        notebook.split("train")
    with pytest.raises(
        UsageError, match="'valid' is no split: name one of train, validation, test"
    ):
        notebook.split("valid")  # type: ignore[arg-type]
    with pytest.raises(MlopsError, match="prod has deployed nothing yet: `mlops promote prod`"):
        notebook.model("prod")
    monkeypatch.chdir(project.parent)
    with pytest.raises(MlopsError, match="is not in a Git repository: `cd` into your project"):
        notebook.schema()


def test_a_function_of_the_notebook_is_tried_by_its_source_alone(
    run: Run, registries: None, untrained: Path
) -> None:
    run.git("init", "--quiet", cwd=untrained)
    prepare.main()
    small_project.change("params.yaml", "train.architecture", "linear")

    def unmarked(age: Any) -> Any:
        return age

    with pytest.raises(UsageError, match="write @number or @category above a function"):
        notebook.try_feature("def unmarked(age):\n    return age\n")
    with pytest.raises(NameError, match="mine"):
        notebook.try_feature("@number\ndef foreign(age):\n    return mine(age)\n")
    effect = notebook.try_feature(RATIO.format(name="first"))
    again = notebook.try_feature(RATIO.format(name="second"))
    assert dict(again["now"]) == dict(effect["now"])
    assert dict(effect["with"]) == dict(again["with"]) != dict(effect["now"])
    assert not (untrained / "models").exists()


TASKS = {"mood": "multiclass", "price": "regression"}


def table() -> pd.DataFrame:
    """Returns rows with columns of every type, names that are no names of Python, and two targets."""
    random = np.random.default_rng(5)
    rows = pd.DataFrame(
        {"size in m2": random.integers(20, 200, 400), "rooms": random.integers(1, 6, 400)}
    )
    rows["height"] = random.normal(2.5, 0.2, 400).round(3)
    rows["since"] = pd.date_range("2020-01-01", periods=400).strftime("%d.%m.%Y")
    shown = pd.date_range("2024-01-01", periods=400, freq="7h")
    rows["shown"] = shown.strftime("%Y-%m-%d %H:%M:%S")
    rows["balcony"] = random.choice(["yes", "no", ""], 400)
    rows["town"] = random.choice(["Ulm", "Bonn", ""], 400)
    price = (
        rows["size in m2"] * 10 + rows.rooms * 50 * (rows.town == "Ulm") + random.normal(0, 20, 400)
    )
    rows["price"] = price.round(2)
    rows["mood"] = pd.cut(price, [0, 800, 1400, np.inf], labels=["low", "mid", "top"])
    return rows


@pytest.mark.parametrize("target", TASKS)
def test_the_notebook_runs_on_an_adopted_table(run: Run, project: Path, target: str) -> None:
    (other,) = {*TASKS} - {target}
    table().drop(columns=other).to_csv(project.parent / "homes.csv", index=False)
    run("mlops", "adopt", "../homes.csv", "--target", target, "--yes", cwd=project)
    small_project.change(str(project / "params.yaml"), "train.architecture", "linear")
    run("mlops", "repro", cwd=project)
    run.git("commit", "--quiet", "--all", "--message", "Homes", cwd=project)
    before = state(run, project)
    outputs = execute(run, project, "print(validation.dtypes)", version="dev")
    assert state(run, project) == before
    assert [each for each in outputs if each.output_type == "error"] == []
    text = "".join(each.text for each in outputs if each.output_type == "stream")
    # The table is split by a column of dates, which is no input then.
    assert f"{TASKS[target]}: {target} is predicted from 6 columns" in text
    assert "def rooms_for_each_height(rooms, height)" in text or "def height_for_each_rooms" in text
    assert text.count("datetime64") == 2
    assert sum("image/png" in each.get("data", ()) for each in outputs) == 3
