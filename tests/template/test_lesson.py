"""Runs `make lesson` and tests its eight models, three architectures, and their table."""

import csv
import io
import re
from pathlib import Path

import pytest

from baking import NAME, Run

HEADINGS = (
    "Model", "Code (architecture)", "Dataset", "Data (training)", "Data (validation)",
    "Other parameters", "Data (testing)", "Accuracy", "% False positives", "running in",
    "Gate", "Subject",
)  # fmt: skip
COLUMNS = ("architecture", "dataset", "training", "validation", "parameters", "testing")
TABLE = [
    ("linear", "adult", "1.0", "1.0", "1.0", "1.0"),
    ("random_forest", "adult", "1.0", "1.0", "1.0", "1.0"),
    ("gradient_boosting", "adult", "1.0", "1.0", "1.0", "1.0"),
    ("gradient_boosting", "adult", "1.0", "1.0", "1.1", "1.0"),
    ("gradient_boosting", "adult", "1.0", "1.0", "1.2", "1.0"),
    ("gradient_boosting", "adult", "1.1", "1.0", "1.2", "1.0"),
    ("gradient_boosting", "adult", "1.2", "1.0", "1.2", "1.0"),
    ("gradient_boosting", "adult", "1.3", "1.1", "1.2", "1.0"),
]


@pytest.fixture(scope="module")
def lesson(run: Run, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Returns the directory of the lesson's project, and the output."""
    home = tmp_path_factory.mktemp("lesson")
    printed = run("make", "lesson", f"LESSON={home}", cwd=checkout).stdout
    return home / NAME, printed


def rows(run: Run, project: Path, *options: str) -> list[dict[str, str]]:
    printed = run("mlops", "tracker", "--format", "csv", *options, cwd=project).stdout
    return list(csv.DictReader(io.StringIO(printed)))


def test_each_row_changes_what_the_lesson_changed(run: Run, lesson: tuple[Path, str]) -> None:
    models = rows(run, lesson[0])
    assert [tuple(row[column] for column in COLUMNS) for row in models] == TABLE
    assert [row["running"] for row in models] == [""] * 7 + ["dev"]
    assert [row["commit"] for row in models] == run.git(
        "rev-list", "--reverse", "-8", "dev", cwd=lesson[0]
    ).split()
    assert all(0.7 < float(row["accuracy"]) < 0.95 for row in models)


def test_the_lesson_ends_with_its_table(run: Run, checkout: Path, lesson: tuple[Path, str]) -> None:
    project, printed = lesson
    table = printed[printed.index("Print the table of the models") :]
    assert [line.split()[:3] for line in table.splitlines() if "experiment" in line] == [
        ["experiment", row["md5"][:7], row["architecture"]] for row in rows(run, project)
    ]
    markdown = run("mlops", "tracker", "--format", "markdown", cwd=project).stdout
    assert markdown.splitlines()[0] == f"| {' | '.join(HEADINGS)} |"
    again = run("make", "lesson", f"LESSON={project.parent}", cwd=checkout)
    assert "exists from an earlier lesson" in again.stdout


def test_the_best_model_for_a_dataset_by_recall(run: Run, lesson: tuple[Path, str]) -> None:
    models = rows(run, lesson[0], "--dataset", "adult", "--sort", "recall")
    recalls = [float(row["recall"]) for row in models]
    assert len(recalls) == len(TABLE)
    assert recalls == sorted(recalls, reverse=True)


def test_two_models_are_compared_row_by_row(run: Run, lesson: tuple[Path, str]) -> None:
    printed = run("mlops", "compare", "dev~1", "dev", cwd=lesson[0]).stdout
    assert "raw: 8,000 rows -> 10,000: 2,000 added, 0 removed" in printed
    assert re.search(r"validation: [\d,]+ rows -> [\d,]+: [1-9]\d* added, 0 removed", printed)
    assert not re.search(r"testing: .* added", printed)
    counts = re.search(r"(\d+) of the (\d+) test rows of dev are called another class", printed)
    assert counts
    assert 0 < int(counts[1]) < int(counts[2])
    assert "can't be compared" not in printed
