"""Tests `mlops score`, `labels`, `monitor` and `predict` in a project whose model is in production."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import small_batch
import small_project
from baking import Process, Run
from mlops.cli.batches import refuse_project_files
from production import release

TO = "sqlite:///predictions.db"


@pytest.fixture
def project(in_production: Path) -> Path:
    small_batch.table().to_csv(in_production / "rows.csv", index=False)
    (in_production / ".git/info/exclude").write_text("rows.csv\n")
    return in_production


def score(run: Run, project: Path, *options: str, check: bool = True) -> Process:
    return run("mlops", "score", "rows.csv", *options, "--to", TO, cwd=project, check=check)


def versions(project: Path) -> list[str]:
    """Returns the version of each batch in order, and then that of the latest predictions."""
    latest = "SELECT DISTINCT model_version FROM latest_predictions WHERE environment = 'prod'"
    with closing(sqlite3.connect(project / "predictions.db")) as database:
        every = database.execute("SELECT model_version FROM batches ORDER BY batch").fetchall()
        return [version for (version,) in [*every, *database.execute(latest)]]


def test_each_batch_is_scored_with_what_the_branch_has_then(run: Run, project: Path) -> None:
    assert "model v1.0.0 (prod)" in score(run, project).stdout
    assert "already scored" in score(run, project, "--version", "v1.0.0").stdout
    trees = "train.architectures.gradient_boosting.iterations"
    small_project.change(str(project / "params.yaml"), trees, 20)
    release(run, project, "Fewer trees")
    assert "model v1.1.0 (prod)" in score(run, project).stdout
    run("mlops", "rollback", "prod", cwd=project)
    again = score(run, project).stdout
    assert "is scored again: v1.1.0 has scored it since" in again
    assert "model v1.0.0 (prod)" in again
    assert versions(project) == ["v1.1.0", "v1.0.0", "v1.0.0"]
    assert "already scored: rows.csv with v1.0.0 (prod)" in score(run, project).stdout
    assert run.git("status", "--porcelain", cwd=project) == ""


def test_an_environment_without_a_version_is_known_by_its_commit(run: Run, project: Path) -> None:
    commit = run.git("rev-parse", "--short=7", "dev", cwd=project)
    assert f"model {commit} (dev)" in score(run, project, "--environment", "dev").stdout


def test_labels_tell_how_right_the_live_model_is(run: Run, project: Path) -> None:
    score(run, project, "--key", "id")
    loaded = run("mlops", "labels", "rows.csv", "--to", TO, "--key", "id", cwd=project).stdout
    assert f"{small_batch.ROWS} labels are of rows that were scored" in loaded
    right = "SELECT avg(prediction = label) FROM latest_predictions JOIN labels USING (row_key)"
    with closing(sqlite3.connect(project / "predictions.db")) as database:
        ((accuracy,),) = database.execute(right).fetchall()
    bounds = ("--max-psi", "100", "--min-accuracy")
    output = run("mlops", "monitor", TO, *bounds, f"{accuracy - 0.01}", cwd=project).stdout
    assert f"{accuracy:.4f}" in output
    failed = run("mlops", "monitor", TO, *bounds, "1", cwd=project, check=False)
    assert failed.returncode == 4
    assert "the live accuracy of v1.0.0" in failed.stderr


def test_one_answer_is_of_the_released_code_whatever_is_being_written_here(
    run: Run, project: Path
) -> None:
    before = run("mlops", "predict", cwd=project).stdout
    with (project / "science/features.py").open("a") as features:
        features.write("\n\n@number\ndef half_finished(age):\n    return age / 2\n")
    assert run("mlops", "predict", cwd=project).stdout == before


def test_rejects_lie_in_the_project_and_git_sees_none(run: Run, project: Path) -> None:
    with (project / "rows.csv").open("a") as rows:
        rows.write("one cell\n" * 3)
    done = score(run, project, check=False)
    assert done.returncode == 4
    assert "nothing was stored: rejects/" in done.stderr
    assert len([*(project / "rejects").iterdir()]) == 1
    score(run, project, "--max-rejects", "2%")
    assert run.git("status", "--porcelain", cwd=project) == ""


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--environment", "dev", "--version", "v1.0.0"], 2, "not both"),
        (["--version", "v9.0.0"], 1, "v9.0.0"),
        (["--key", "nothing"], 1, "no column 'nothing'"),
    ],
)
def test_a_wrong_option_is_refused_with_a_message(
    run: Run, project: Path, options: list[str], code: int, words: str
) -> None:
    done = score(run, project, *options, check=False)
    assert done.returncode == code
    assert words in done.stderr


@pytest.mark.parametrize("folder", [".", "data/raw", "science", "mlops/batch"])
def test_no_watch_begins_where_it_would_move_files_of_the_project(
    run: Run, project: Path, folder: str
) -> None:
    words = ("mlops", "watch", folder, "--to", "sqlite:///n.db")
    done = run(*words, cwd=project, check=False)
    assert (done.returncode, "Git or DVC tracks what is here" in done.stderr) == (3, True)


def test_a_watch_may_begin_where_files_arrive_in_dvc_or_outside_of_the_project(
    run: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = project / "data/incoming/Köln.csv.dvc"
    arrived.write_text("outs: []\n")
    run("git", "add", "--force", str(arrived), cwd=project)
    monkeypatch.chdir(project)
    for folder in (arrived.parent, tmp_path, Path("/"), Path("nowhere")):
        refuse_project_files(folder)
    run("git", "rm", "--quiet", "--force", str(arrived), cwd=project)


def test_a_password_is_refused_before_anything_is_deployed(run: Run, project: Path) -> None:
    url = "postgresql://ann:hunter2@host/db"
    done = run("mlops", "score", "rows.csv", "--to", url, cwd=project, check=False)
    assert done.returncode == 3
    assert "hunter2" not in done.stdout + done.stderr
    assert not (project / ".dvc/tmp/deployments").exists()
