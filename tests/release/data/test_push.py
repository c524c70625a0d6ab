"""Tests `mlops push` with a bare origin, a storage and a colleague's clone of the tiny pipeline."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from machinery import MLOPS
from mlops.errors import Away, MlopsError, Refused
from mlops.release.data import dvc, push
from mlops.release.data.repro import run_repro
from mlops.release.history.git import Git
from tiny_pipeline import ENVIRONMENT, commit, copied, git, make


@pytest.fixture(scope="module")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline, run and committed, with an empty storage and an empty origin beside it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        project = make(tmp_path_factory.mktemp("push") / "project")
        git(project.parent, "init", "--quiet", "--bare", "--initial-branch", "dev", "origin.git")
        git(project, "remote", "add", "origin", "../origin.git")
        run_repro(project)
        commit(project, "Run")
    return project


@pytest.fixture
def project(run_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return copied(run_once, tmp_path, monkeypatch)


def pushed(project: Path, *branches: str) -> str:
    said: list[str] = []
    push.push_branches(Git(project), branches, said.append)
    return "\n".join(said)


def on_origin(project: Path) -> list[str]:
    return git(project.parent / "origin.git", "for-each-ref", "--format=%(refname:short)").split()


def stored(project: Path) -> set[bytes]:
    """Returns the content of every object of the storage."""
    return {path.read_bytes() for path in (project.parent / "storage/files/md5").glob("*/*")}


def change(project: Path, weight: int) -> None:
    (project / "params.yaml").write_text(f"weight: {weight}\n")
    run_repro(project)
    commit(project, f"Weight {weight}")


def cloned(project: Path, branch: str = "dev") -> Path:
    git(project.parent, "clone", "--quiet", "--branch", branch, "origin.git", "colleague")
    return project.parent / "colleague"


def test_a_first_push_and_one_of_a_feature_branch_leave_nothing_to_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed(project)
    git(project, "switch", "--quiet", "--create", "feature", "--track", "dev")
    change(project, 2)
    assert pushed(project).endswith("pushed feature to origin")
    assert git(project, "rev-parse", "--abbrev-ref", "feature@{upstream}") == "origin/feature\n"
    assert git(project, "rev-parse", "--abbrev-ref", "dev@{upstream}") == "origin/dev\n"
    assert "has all data and run records" in pushed(project, "dev", "feature")
    colleague = cloned(project, "feature")
    capsys.readouterr()
    run_repro(colleague)
    assert capsys.readouterr().out.splitlines()[-1] == "Everything was up to date."
    assert (colleague / "models/model.txt").read_text() == "sum: 10\n"


def test_a_tag_with_the_name_of_the_branch_is_not_pushed_in_its_place(project: Path) -> None:
    git(project, "tag", "dev", "dev~1")
    pushed(project)
    assert git(project.parent / "origin.git", "rev-parse", "refs/heads/dev") == git(
        project, "rev-parse", "refs/heads/dev"
    )
    assert on_origin(project) == ["dev"]


def test_what_plain_git_push_left_behind_is_sent_afterwards(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(project, "push", "--quiet", "origin", "dev")
    change(project, 2)
    change(project, 3)
    git(project, "push", "--quiet", "origin", "dev")
    pushed(project)
    assert {b"sum: 10\n", b"sum: 15\n"} <= stored(project)
    colleague = cloned(project)
    git(colleague, "switch", "--quiet", "--detach", "dev~1")
    run_repro(colleague)
    assert capsys.readouterr().out.splitlines()[-1] == "Everything was up to date."
    assert (colleague / "models/model.txt").read_text() == "sum: 10\n"


def test_an_experiment_stays_here(project: Path) -> None:
    (project / "params.yaml").write_text("weight: 7\n")
    run_repro(project)
    git(project, "checkout", "--quiet", "HEAD", "--", ".")
    pushed(project)
    assert b"sum: 5\n" in stored(project)
    assert b"sum: 35\n" not in stored(project)


def test_files_of_data_incoming_are_sent(project: Path) -> None:
    (project / "data/incoming").mkdir()
    (project / "data/incoming/rows.csv").write_text("a\n1\n")
    with dvc.open_repo(project) as repo:
        repo.add("data/incoming/rows.csv")
    commit(project, "Rows to score")
    pushed(project)
    assert b"a\n1\n" in stored(project)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("storage", "'storage' is the directory .*/storage, which does not exist here"),
        ("full storage", "'storage', .* does not take the data"),
        ("origin.git", "origin cannot be reached"),
    ],
)
def test_out_of_reach_nothing_of_git_is_pushed(
    project: Path, fault: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "full storage":
        monkeypatch.setattr("dvc_data.hashfile.db.local.LocalHashFileDB.makedirs", refuse_space)
    else:
        (project.parent / fault).rename(project.parent / "away")
    with pytest.raises(Away, match=words):
        pushed(project)
    for origin in project.parent.glob("origin.git"):
        assert git(origin, "for-each-ref") == ""


def refuse_space(self: object, path: str) -> None:
    raise OSError(28, "No space left on device", path)


def test_data_that_are_nowhere_are_named_by_path_commit_and_author(project: Path) -> None:
    short = git(project, "rev-parse", "--short", "HEAD").strip()
    (model,) = (
        path
        for path in (project / ".dvc/cache/files/md5").glob("*/*")
        if path.read_bytes() == b"sum: 5\n"
    )
    model.chmod(0o644)
    model.write_bytes(b"sum: 6\n")
    model.chmod(0o444)  # DVC takes it for whole
    named = rf"models/model\.txt \({short} by A\. Tester\)"
    with pytest.raises(Refused, match=rf"lacks 1 parts of dev.*\n- {named}$"):
        pushed(project)
    assert on_origin(project) == []


def test_an_entry_that_nobody_ran_is_not_pushed(project: Path) -> None:
    lock = project / "dvc.lock"
    lock.write_text(lock.read_text().replace("weight: 1", "weight: 2"))
    git(project, "commit", "--quiet", "--all", "--message", "A lie")
    short = git(project, "rev-parse", "--short", "HEAD").strip()
    with pytest.raises(
        Refused, match=rf"- train: the DVC remote lacks the run record of {short} by A\. T"
    ):
        pushed(project)
    assert on_origin(project) == []


def test_commits_of_others_come_first(project: Path) -> None:
    pushed(project)
    colleague = cloned(project)
    (colleague / "note").touch()
    commit(colleague, "Note")
    pushed(colleague)
    change(project, 2)
    with pytest.raises(Refused, match="origin has commits of dev that are not here"):
        pushed(project)


def test_what_cannot_be_pushed_is_said(project: Path) -> None:
    with pytest.raises(MlopsError, match="there is no branch 'nosuch' here"):
        pushed(project, "nosuch")
    git(project, "switch", "--quiet", "--detach")
    with pytest.raises(Refused, match="no branch is checked out"):
        pushed(project)
    git(project, "remote", "remove", "origin")
    with pytest.raises(Refused, match="`git remote add origin URL`"):
        pushed(project, "dev")


def test_with_another_umask_what_is_sent_is_as_open_as_the_storage(project: Path) -> None:
    storage = project.parent / "storage"
    storage.chmod(0o775)
    subprocess.run(
        [sys.executable, "-c", MLOPS, "push"],
        cwd=project,
        check=True,
        umask=0o077,
        capture_output=True,
    )
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in storage.rglob("*")}
    assert len(modes) > 5
    for path, mode in modes.items():
        assert mode & 0o775 == 0o775 if path.is_dir() else mode & 0o444 == 0o444, path


def test_an_update_of_origin_is_as_git_says(project: Path) -> None:
    hook = project.parent / "origin.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho dev is protected >&2; exit 1\n")
    hook.chmod(0o755)
    with pytest.raises(Refused, match=r"(?s)origin did not take the branch.*dev is protected"):
        pushed(project)
    assert stored(project)
