"""Does `make lesson` and tests what its steps leave and show: the table, better models, releases, answers."""

import csv
import io
import json
import re
import time
from pathlib import Path

import pytest

import lesson as lesson_steps
import production
import soak
from baking import NAME, TEMPLATE, Run

COLUMNS = ("model", "architecture", "dataset", "training", "validation", "parameters", "testing")
TABLE = [
    ("v1.0.0", "linear", "adult", "1.0", "1.0", "1.0", "1.0"),
    ("v1.1.0", "linear", "adult", "1.0", "1.0", "1.0", "1.0"),
    ("v1.2.0", "random_forest", "adult", "1.0", "1.0", "1.0", "1.0"),
    ("v1.3.0", "gradient_boosting", "adult", "1.0", "1.0", "1.0", "1.0"),
    ("v1.4.0", "gradient_boosting", "adult", "1.1", "1.0", "1.0", "1.0"),
    ("v1.5.0", "gradient_boosting", "adult", "1.1", "1.0", "1.1", "1.0"),
    ("v1.6.0", "gradient_boosting", "adult", "1.2", "1.1", "1.1", "1.0"),
    ("v1.7.0", "lightgbm", "adult", "1.2", "1.1", "1.0", "1.0"),
]
pytestmark = pytest.mark.skipif(not soak.LOG, reason="`make soak` runs it: it takes five minutes")

INSTALL = ("cookiecutter", "bake", "libraries", "reproduce", "container")
"""The steps that install libraries, which tests of the READMEs and of the image do."""


@pytest.fixture(scope="module")
def lesson(
    run: Run, baked: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """Returns the project of the lesson, which needs no libraries installed, and what each step has shown."""
    home = tmp_path_factory.mktemp("lesson")
    project = home / NAME
    run("cp", "-R", baked, project, cwd=home)
    production.install(project)
    (home / f"{NAME}-storage").mkdir()
    walk = lesson_steps.lesson(project, [])
    for step in walk.steps:
        if step.name in INSTALL:
            walk.memory.write(step, {"refs": [], "seconds": 1.0, "output": ""})
    printed = run("make", "lesson", f"LESSON={home}", "FROM=data", cwd=TEMPLATE).stdout
    assert "Done in" in printed
    return project, {step.name: str(walk.memory.of(step)["output"]) for step in walk.steps}


def rows(run: Run, project: Path, *options: str) -> list[dict[str, str]]:
    printed = run("mlops", "tracker", "--format", "csv", *options, cwd=project).stdout
    return list(csv.DictReader(io.StringIO(printed)))


def test_each_model_is_better_than_the_one_before_it(
    run: Run, lesson: tuple[Path, dict[str, str]]
) -> None:
    models = rows(run, lesson[0])
    assert [tuple(row[column] for column in COLUMNS) for row in models] == TABLE
    accuracies = [float(row["accuracy"]) for row in models]
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] > accuracies[0] + 0.02
    assert [row["running"] for row in models] == [""] * 4 + ["prod", "", "", "dev, staging"]
    assert [row["subject"].split(":")[0] for row in models] == [f"Model 1.{n}" for n in range(8)]
    recalls = [float(row["recall"]) for row in rows(run, lesson[0], "--sort", "recall")]
    assert recalls == sorted(recalls, reverse=True)


def test_the_steps_show_what_they_are_about(run: Run, lesson: tuple[Path, dict[str, str]]) -> None:
    project, shown = lesson
    assert "prod refuses staging" in shown["gate"]
    assert "nothing has moved" in shown["gate"]
    assert re.search(r"prod +v1\.7\.0", shown["release"])
    assert re.search(r"prod +v1\.4\.0", shown["rollback"])
    assert len(re.findall(r"^ +v1[.0-9]+ 0[.]8\d+ [.|]*o[.|]* \w", shown["1.7"], re.MULTILINE)) == 8
    answer = json.loads(shown["realtime"].splitlines()[-2])
    assert answer["predictions"][0]["prediction"] in ("<=50K", ">50K")
    assert (project / "predictions.db").exists()
    assert (project / "site/index.html").exists()
    assert "gradient_boosting -> lightgbm" in shown["table"]


def test_a_lesson_that_was_prepared_is_shown_in_seconds(
    run: Run, lesson: tuple[Path, dict[str, str]]
) -> None:
    project, shown = lesson
    before, began = run.git("for-each-ref", cwd=project), time.monotonic()
    printed = run("make", "lesson", f"LESSON={project.parent}", "FROM=table", cwd=TEMPLATE).stdout
    assert time.monotonic() - began < 60
    assert shown["table"] in printed
    assert shown["1.7"] not in printed
    assert run.git("for-each-ref", cwd=project) == before
    listed = run("make", "lesson", f"LESSON={project.parent}", "LIST=1", cwd=TEMPLATE).stdout
    assert listed.count("(done)") == len(shown)


def test_a_step_is_done_again_before_a_lecture_hall(
    run: Run, lesson: tuple[Path, dict[str, str]]
) -> None:
    """It begins from the branches and tags of that time."""
    project, _ = lesson
    command = ["make", "lesson", f"LESSON={project.parent}", "FROM=rollback", "LIVE=1"]
    assert "prod/0003" in run(*command, cwd=TEMPLATE).stdout
    assert "prod/0004" not in run.git("tag", cwd=project)
