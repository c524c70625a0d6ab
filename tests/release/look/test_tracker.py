"""Tests the tracker on histories of dvc.lock, as DVC writes it, that are made with Git alone."""

import csv
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import instant_project
from machinery import PROJECT
from mlops.cli.app import app
from mlops.errors import UNPRINTABLE, MlopsError, printable_text
from mlops.metrics import METRICS
from mlops.release.data import dvc
from mlops.release.history.git import Git
from mlops.release.history.versions import Answers, Version
from mlops.release.look import conditions, explanation, tracker
from mlops.text_table import table_text

LOCK = """\
schema: '2.0'
stages:
  prepare:
    cmd: python -m mlops.prepare
    deps:
    - path: data/raw
      hash: md5
      md5: 873bdd183fe61e575791c69c4dd07085.dir
      size: 3518606
      nfiles: 1
    params:
      params.yaml:
        prepare:
          dataset: {dataset}
          missing:
          - ''
          - '?'
      environments/dev.yaml:
        data:
          fraction: 0.3
    outs:
    - path: data/prepared/test.parquet
      hash: md5
      md5: {testing}
      size: 30647
    - path: data/prepared/train.parquet
      hash: md5
      md5: {training}
      size: 76639
    - path: data/prepared/validation.parquet
      hash: md5
      md5: {validation}
      size: 30419
  train:
    cmd: python -m mlops.train
    deps:
    - path: data/prepared/train.parquet
      hash: md5
      md5: {training}
      size: 76639
    params:
      params.yaml:
        train:
          seed: 20
          architecture: {architecture}
          architectures:
            linear:
              iterations: 500
            random_forest:
              trees: {trees}
    outs:
    - path: models/model.onnx
      hash: md5
      md5: {model}
      size: 340161
  evaluate:
    cmd: python -m mlops.evaluate
    outs:
    - path: reports/metrics.json
      hash: md5
      md5: {report}
      size: 92
  deploy:
    cmd:
    - python -m mlops.deploy.guard
    - python -m mlops.deploy
    deps:
    - path: models/model.onnx
      hash: md5
      md5: {model}
      size: 340161
    outs:
    - path: deploy
      hash: md5
      md5: {bundle}.dir
      size: 346161
      nfiles: 3
"""
USUAL = {
    "dataset": "adult",
    "training": "t1",
    "validation": "v1",
    "testing": "e1",
    "architecture": "random_forest",
    "trees": 100,
}
MADE = ("model", "architecture", "training", "validation", "parameters", "testing")


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    instant_project.speak_as_tester(monkeypatch)
    return begun(tmp_path)


def begun(folder: Path) -> Git:
    git = Git(folder)
    git.run("init", "--quiet", "--initial-branch", "dev")
    (folder / "reports").mkdir()
    return git


def commit(
    git: Git, model: str, accuracy: float = 0.8, report: str | None = None, **changed: object
) -> str:
    """Commits a run, with its metrics or with this report in their place, and returns the commit."""
    content = {**USUAL, "model": model, "bundle": f"bundle-{model}", **changed}
    metrics = {"accuracy": accuracy, "false_positive_percent": 5.0, "recall": 1 - accuracy}
    text = report or json.dumps({"test": metrics})
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    (git.root / "dvc.lock").write_text(LOCK.format(**content, report=digest))
    (git.root / "reports/metrics.json").write_text(text)
    git.run("add", "--all")
    git.run("commit", "--quiet", "--allow-empty", "--message", f"Model {model}")
    return git.run("rev-parse", "HEAD")


def release(git: Git, version: str, commit: str = "HEAD") -> None:
    answers = Answers("model", "schema", "serving", "libraries", {})
    major, minor, patch = map(int, version.removeprefix("v").split("."))
    message = Version((major, minor, patch), answers, "the first").message()
    git.run("tag", "--annotate", "--message", message, f"model@{version}", commit)


def table(git: Git, *columns: str) -> list[tuple[tracker.Cell, ...]]:
    return [tuple(map(row.get, columns)) for row in tracker.model_rows(git)]


def test_versions_of_data_and_parameters_are_numbered_as_they_come_up(git: Git) -> None:
    commit(git, "a", architecture="linear")
    commit(git, "b")
    commit(git, "c", trees=200)
    commit(git, "d", trees=200, training="t2")
    commit(git, "e", validation="v2", testing="e2")
    commit(git, "f", architecture="linear", trees=200)
    assert table(git, *MADE) == [
        ("experiment a", "linear", "1.0", "1.0", "1.0", "1.0"),
        ("experiment b", "random_forest", "1.0", "1.0", "1.0", "1.0"),
        ("experiment c", "random_forest", "1.0", "1.0", "1.1", "1.0"),
        ("experiment d", "random_forest", "1.1", "1.0", "1.1", "1.0"),
        ("experiment e", "random_forest", "1.0", "1.1", "1.0", "1.1"),
        ("experiment f", "linear", "1.0", "1.0", "1.0", "1.0"),
    ]


def test_a_model_has_one_row_by_its_version_once_it_is_released(
    git: Git, capfd: pytest.CaptureFixture[str]
) -> None:
    commit(git, "a", accuracy=0.7)
    commit(git, "b")
    commit(git, "a", accuracy=0.9)
    assert table(git, "model", "accuracy") == [("experiment a", 0.7), ("experiment b", 0.8)]
    release(git, "v1.0.0")
    git.run("tag", "--annotate", "--message", "mine", "model@v7.0.0", "HEAD~1")
    assert table(git, "model", "accuracy") == [("experiment b", 0.8), ("v1.0.0", 0.9)]
    assert "the tag model@v7.0.0 was not written by mlops" in capfd.readouterr().err


def test_a_branch_that_came_in_by_a_merge_is_part_of_the_history(git: Git) -> None:
    commit(git, "a")
    git.run("switch", "--quiet", "--create", "feature")
    commit(git, "b")
    commit(git, "c")
    git.run("switch", "--quiet", "dev")
    git.run("merge", "--quiet", "--no-ff", "feature")
    commit(git, "d")
    assert [name for (name,) in table(git, "model")] == [f"experiment {name}" for name in "abcd"]


def test_what_dvc_has_saved_as_an_experiment_is_in_the_table(on_dev: Path) -> None:
    (on_dev / "params.yaml").write_text("quality: 0.95\n")
    with dvc.open_repo(on_dev) as repo:
        repo.reproduce()
        saved = repo.experiments.save(name="better")
    git = Git(on_dev)
    git.run("reset", "--quiet", "--hard")
    assert table(git, "commit", "accuracy", "gate", "running", "subject") == [
        (git.run("rev-parse", "dev"), 0.9, "passed", "dev", "Reproduce"),
        (saved, 0.95, "passed", None, "better"),
    ]


def test_what_is_queued_is_no_model(git: Git) -> None:
    commit(git, "a")
    queued = commit(git, "b")
    git.run("reset", "--quiet", "--hard", "HEAD~1")
    git.run("update-ref", "refs/exps/celery/stash", queued)
    assert table(git, "model") == [("experiment a",)]
    git.run("update-ref", f"refs/exps/ab/{'c' * 38}/named", queued)
    assert table(git, "model") == [("experiment a",), ("experiment b",)]


def test_each_environment_runs_what_its_last_commit_has_here_or_on_origin(git: Git) -> None:
    old, new = commit(git, "a"), commit(git, "b")
    for ref, at in {"heads/staging": new, "heads/prod": old, "remotes/origin/prod": new}.items():
        git.run("update-ref", f"refs/{ref}", at)
    assert table(git, "model", "running") == [
        ("experiment a", None),
        ("experiment b", "dev, staging, prod"),
    ]
    git.run("update-ref", "refs/heads/prod", commit(git, "a"))
    assert table(git, "model", "running") == [
        ("experiment a", "dev, prod"),
        ("experiment b", "staging"),
    ]


def test_two_versions_of_one_model_are_told_apart_by_their_bundle(git: Git) -> None:
    first = commit(git, "a")
    release(git, "v1.0.0")
    commit(git, "a", bundle="other code")
    release(git, "v1.0.1")
    git.run("branch", "prod", first)
    assert table(git, "model", "running") == [("v1.0.0", "prod"), ("v1.0.1", "dev")]


def test_a_conflict_that_was_committed_and_a_report_that_is_missing_are_no_obstacle(
    git: Git,
) -> None:
    commit(git, "a")
    (git.root / "dvc.lock").write_text("<<<<<<< HEAD\n" + LOCK)
    (git.root / "reports/metrics.json").unlink()
    git.run("commit", "--quiet", "--all", "--message", "Oops")
    (git.root / "dvc.lock").write_text(LOCK.format(**USUAL, model="b", bundle="b", report="r"))
    git.run("commit", "--quiet", "--all", "--message", "No report")
    assert table(git, "model", "accuracy") == [("experiment a", 0.8), ("experiment b", None)]
    rows = tracker.model_rows(git)
    assert [row["model"] for row in tracker.sorted_rows(rows, "recall")][-1] == "experiment b"


@pytest.mark.parametrize(
    "report",
    [
        "{",
        "[]",
        "[" * 100_000,
        '{"test": []}',
        '{"test": {"accuracy": "high"}}',
        '{"test": {"accuracy": true, "recall": {}}}',
        "\N{LATIN SMALL LETTER E WITH ACUTE}",
    ],
)
def test_a_report_that_can_not_be_read_costs_its_own_row(git: Git, report: str) -> None:
    commit(git, "a")
    broken = commit(git, "b", report=report)
    assert table(git, "model", "accuracy", "running") == [
        ("experiment a", 0.8, None),
        ("experiment b", None, "dev"),
    ]
    rows = tracker.model_rows(git)
    (line,) = tracker.remarks(rows)
    assert line.startswith(f"experiment b ({broken[:7]}): reports/metrics.json can't be read: ")
    for column in tracker.column_names(rows):
        assert len(tracker.sorted_rows(rows, column)) == 2


@pytest.mark.parametrize(
    "lock",
    [
        "<<<<<<< HEAD\n" + LOCK,
        "\tno: [yaml",
        "stages: {train: {outs: [{path: models/model.onnx}]}}",
        "stages: {train: {params: {params.yaml: 5}, outs: [{path: models/model.onnx, md5: 5}]}}",
        LOCK.replace("          seed: 20\n", "          seed: [\n"),
        "schema: '2.0'\nstages:\n  a:\n    params:\n      params.yaml: 5\n",
    ],
)
def test_a_branch_whose_dvc_lock_can_not_be_read_costs_its_own_row(git: Git, lock: str) -> None:
    commit(git, "a")
    git.run("branch", "staging")
    (git.root / "dvc.lock").write_text(lock)
    git.run("commit", "--quiet", "--all", "--message", "Oops")
    broken = f"unreadable {git.run('rev-parse', 'HEAD')[:7]}"
    assert table(git, "model", "running", "subject") == [
        ("experiment a", "staging", "Model a"),
        (broken, "dev", "Oops"),
    ]
    (line,) = tracker.remarks(tracker.model_rows(git))
    assert "dvc.lock" in line
    release(git, "v1.0.0")
    assert table(git, "model") == [("experiment a",), ("v1.0.0",)]


def test_a_metric_that_is_not_finite_has_no_value(git: Git) -> None:
    large = "9" * 400
    commit(git, "a", report=f'{{"test": {{"accuracy": NaN, "log_loss": {large}, "recall": null}}}}')
    assert table(git, "accuracy", "log_loss", "recall") == [(None, None, None)]


def test_bytes_that_are_no_text_and_escapes_reach_no_terminal(
    git: Git, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    escape = "\N{ESCAPE}[2J\N{CONTROL SEQUENCE INTRODUCER}31m\N{RIGHT-TO-LEFT OVERRIDE}"
    commit(git, "a", dataset=json.dumps(escape))
    message = "L\xe4nger \r\x1b]0;title\x07 \x85 \u2028".encode("latin-1", "replace")
    (git.root / "message").write_bytes(message)
    git.run("commit", "--quiet", "--amend", "--file", "message")
    monkeypatch.chdir(git.root)
    for form in ("table", "markdown", "csv", "json"):
        app(["tracker", "--format", form], standalone_mode=False)
        printed = capsys.readouterr()
        text = printed.out + printed.err
        assert not UNPRINTABLE.search(text), form
        assert "[2J" in text
        assert "title" in text


def test_before_the_first_model_it_says_what_to_do(git: Git) -> None:
    git.run("commit", "--quiet", "--allow-empty", "--message", "Begin")
    with pytest.raises(MlopsError, match="no model was committed yet: `mlops repro`"):
        tracker.model_rows(git)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[tracker.Row]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        instant_project.speak_as_tester(monkeypatch)
        git = begun(tmp_path_factory.mktemp("three"))
        commit(git, "a", accuracy=0.7, dataset="adult")
        commit(git, "b", accuracy=0.9, dataset="titanic")
        commit(git, "c", accuracy=0.8, dataset="titanic", architecture="linear")
        git.run("branch", "staging")
        return tracker.model_rows(git)


@pytest.mark.parametrize(
    ("column", "order"),
    [
        ("accuracy", "bca"),
        ("recall", "acb"),
        ("architecture", "cab"),
        ("running", "cab"),
    ],
)
def test_the_best_come_first(three: list[tracker.Row], column: str, order: str) -> None:
    found = [str(row["model"])[-1] for row in tracker.sorted_rows(three, column)]
    assert "".join(found) == order


@pytest.mark.parametrize("column", ["log_loss", "brier", "false_negative_percent"])
def test_of_losses_and_faults_the_smallest_is_the_best(column: str) -> None:
    rows: list[tracker.Row] = [{column: value} for value in (0.3, 0.1, None, 0.2)]
    assert [row[column] for row in tracker.sorted_rows(rows, column)] == [0.1, 0.2, 0.3, None]


def test_version_numbers_sort_as_numbers() -> None:
    rows: list[tracker.Row] = [{"model": name} for name in ("v1.10.0", "experiment 1f", "v1.9.0")]
    found = [row["model"] for row in tracker.sorted_rows(rows, "model")]
    assert found == ["experiment 1f", "v1.9.0", "v1.10.0"]


def test_rows_are_chosen_by_any_column_and_one_of_many_environments(
    three: list[tracker.Row],
) -> None:
    for condition, expected in {
        "dataset=adult": "a",
        "running=staging": "c",
        "running = -": "ab",
        "running!=prod": "abc",
        "running!=staging": "ab",
        "Accuracy >= 0.80": "bc",
        "accuracy>0.8": "b",
        "accuracy<=.8": "ac",
        "% False positives == 5": "abc",
        "accuracy<1e-3": "",
        "data (training)=1.0": "abc",
        "model>experiment b": "c",
    }.items():
        if expected:
            found = [str(row["model"])[-1] for row in conditions.rows_where(three, condition)]
            assert "".join(found) == expected, condition
        else:
            with pytest.raises(MlopsError, match=r"there are 0.7000, 0.8000, 0.9000"):
                conditions.rows_where(three, condition)


def test_a_value_is_compared_as_it_is_shown() -> None:
    rows: list[tracker.Row] = [{"accuracy": value} for value in (0.857912, 0.85788, 0.9, None)]
    for condition, expected in {
        "accuracy=0.8579": [0.857912, 0.85788],
        "accuracy=0.857912": [0.857912],
        "accuracy>=0.8579": [0.857912, 0.85788, 0.9],
        "accuracy>0.8579": [0.9],
        "accuracy<=0.8579": [0.857912, 0.85788],
        "accuracy!=0.8579": [0.9, None],
        "accuracy=-": [None],
    }.items():
        found = [row["accuracy"] for row in conditions.rows_where(rows, condition)]
        assert found == expected, condition


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("dataset=adlut", "no such model has dataset = 'adlut'; there are adult, titanic"),
        ("recal=1", "'recal' is not a column; use one of model, architecture, .* recall"),
        ("dataset", "'dataset' is not a condition: write COLUMN, one of = !="),
        ("=adult", "'=adult' is not a condition"),
        ("accuracy>high", "accuracy holds numbers, and 'high' is none"),
    ],
)
def test_what_is_not_there_is_refused_with_the_choices(
    three: list[tracker.Row], condition: str, words: str
) -> None:
    with pytest.raises(MlopsError, match=words):
        conditions.rows_where(three, condition)


def test_a_model_that_never_says_yes_is_not_the_best(git: Git) -> None:
    for model, wrong in {"never": (0, 100), "good": (4, 30), "always": (100, 0)}.items():
        measured = {
            "accuracy": 0.8,
            "false_positive_percent": wrong[0],
            "recall": 1 - wrong[1] / 100,
        }
        measured["false_negative_percent"] = wrong[1]
        commit(git, model, report=json.dumps({"test": measured}))
    rows = tracker.model_rows(git)
    for column in ("false_positive_percent", "false_negative_percent", "recall"):
        assert tracker.sorted_rows(rows, column)[0]["model"] == "experiment good"
    assert [line.partition(":")[0].split(" answers ")[1] for line in tracker.remarks(rows)] == [
        "every test row with negative",
        "every test row with positive",
    ]


def test_a_history_of_several_tasks_shows_the_metrics_of_each(git: Git) -> None:
    measured = {
        "trees": {"accuracy": 0.8, "worst_recall": 0.5, "macro_f1": 0.7},
        "prices": {"mae": 123_456.789, "rmse": 2e5, "r2": 0.71},
        "better": {"mae": 99_999.5, "rmse": 2e5, "r2": 0.75},
    }
    for model, metrics in measured.items():
        commit(git, model, report=json.dumps({"test": metrics}))
    rows = tracker.model_rows(git)
    shown = {"accuracy": "Accuracy", "worst_recall": "Worst recall", "mae": "MAE", "r2": "R2"}
    assert shown.items() <= tracker.headings(rows).items()
    assert "false_positive_percent" not in tracker.headings(rows)
    assert tracker.shown_cells(rows, shown) == [
        ["0.8000", "0.5000", "-", "-"],
        ["-", "-", "123457", "0.7100"],
        ["-", "-", "99999.5", "0.7500"],
    ]
    for column in ("mae", "r2"):
        assert [row["model"] for row in tracker.sorted_rows(rows, column)] == [
            "experiment better", "experiment prices", "experiment trees",
        ]  # fmt: skip
    assert list(tracker.remarks(rows)) == []


def test_a_metric_is_sorted_in_the_direction_of_its_definition() -> None:
    for name, metric in (pair for each in METRICS.values() for pair in each.items()):
        assert bool(tracker.LESS_IS_BETTER.fullmatch(name)) == (metric.better == "lower"), name


def test_every_number_of_data_and_parameters_is_explained(git: Git) -> None:
    commit(git, "a")
    second = commit(git, "b", training="t2", trees=200)
    commit(git, "c", architecture="linear")
    numbers = tracker.Numbers()
    rows = tracker.model_rows(git, numbers)
    lines = [*explanation.explanation_lines(rows, rows, numbers)]
    assert (
        f"  1.1  MD5 t2, first of experiment b: `dvc get . data/prepared/train.parquet --rev "
        f"{second[:7]}`"
    ) in lines
    forest = lines.index("Other parameters of random_forest")
    assert "train.architectures.trees: 100" in lines[forest + 1]
    assert lines[forest + 2] == "  1.1  as 1.0, but train.architectures.trees: 100 -> 200"
    assert "train.architectures.iterations: 500" in lines[-1]
    chosen = conditions.rows_where(rows, "training=1.1")
    few = [*explanation.explanation_lines(chosen, rows, numbers)]
    assert [line for line in few if line.startswith("  ")] == [
        line
        for line in lines[: forest + 3]
        if line.startswith("  1.1 ")
        or "MD5 v1" in line
        or "MD5 e1" in line
        or line == lines[forest + 1]
    ]


def test_every_format_shows_the_same_rows(three: list[tracker.Row]) -> None:
    columns = tracker.headings(three, "recall")
    assert list(columns)[-4:] == ["recall", "running", "gate", "subject"]
    read = list(csv.DictReader(io.StringIO(tracker.as_csv(three))))
    assert [row["model"] for row in read] == [row["model"] for row in three]
    assert read[0].keys() == three[0].keys()
    printed = table_text([*columns.values()], tracker.shown_cells(three, columns))
    table = [line.split() for line in printed.splitlines()]
    assert [line[:2] for line in table[3:]] == [["experiment", name] for name in "abc"]
    lines = tracker.as_markdown(three, columns).splitlines()
    assert len(lines) == 2 + len(three)
    assert lines[2] == (
        r"| experiment a | random\_forest | adult | 1.0 | 1.0 | 1.0 | 1.0 | 0.7000 | 5.00 | 0.3000 | - "
        "| - | Model a |"
    )


HOSTILE = "<b> |x| `y` *z* _u_ ~v~ [w](a) $m$ &amp; \\ \x07\x9b\u200f\u061c\u2028"


def test_names_from_the_data_stay_text_in_markdown(git: Git) -> None:
    commit(git, "a", report=json.dumps({"test": {f"a\n{HOSTILE}": 0.5}}))
    rows = [{**tracker.model_rows(git)[0], "dataset": HOSTILE, "subject": "two\nlines"}]
    written = tracker.as_markdown(rows, tracker.headings(rows, f"a\n{HOSTILE}"))
    assert written.isascii()
    shown = MarkdownIt().enable(["table", "strikethrough"]).parse(written)
    cells = [each for each in shown if each.type == "inline"]
    assert [each.type for each in shown].count("th_open") * 2 == len(cells)
    assert {part.type for cell in cells for part in cell.children or ()} == {"text"}
    texts = ["".join(part.content for part in cell.children or ()) for cell in cells]
    assert {f"a {printable_text(HOSTILE)}", printable_text(HOSTILE), "two lines"} <= {*texts}


def test_json_is_json_whatever_the_data_hold(
    git: Git, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(git, "a", dataset=json.dumps(HOSTILE))
    monkeypatch.chdir(git.root)
    app(["tracker", "--format", "json"], standalone_mode=False)
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed)[0]["dataset"] == HOSTILE


def test_nothing_heavy_is_loaded(git: Git) -> None:
    commit(git, "a")
    commands = ("status", "tracker", "tracker --explain", "show HEAD")
    calls = "; ".join(f"app({command.split()}, standalone_mode=False)" for command in commands)
    script = f"import sys; from mlops.cli.app import app; {calls}"
    heavy = {"dvc", "jinja2", "pandas", "sklearn", "numpy"}
    loaded = f"print({heavy | {'rich'}} & {{*sys.modules}})"
    helped = f"app(['--help'], standalone_mode=False); print({heavy} & {{*sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}; {loaded}; {helped}"],
        cwd=git.root,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "experiment a" in done.stdout
    assert done.stdout.endswith("set()\n")
    assert done.stdout.count("set()\n") == 2
