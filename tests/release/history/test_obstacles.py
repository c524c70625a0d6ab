"""Tests that a command names what Git has left unfinished or locked in a clone, before anything changes."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import tiny_pipeline
from instant_project import promote, state
from mlops.adopt import placing
from mlops.cli.app import app
from mlops.errors import Refused
from mlops.release.data import push
from mlops.release.data.repro import run_repro
from mlops.release.errors import GitError
from mlops.release.history import obstacles
from mlops.release.history.git import Git
from mlops.release.promote import promotion, rollback
from mlops.release.update import remote, update
from tiny_pipeline import commit, shell

UNFINISHED = {
    "merge": "git merge --quiet side",
    "rebase": "git rebase --quiet side",
    "cherry-pick": "git cherry-pick side",
    "revert": "git revert --no-edit HEAD~1",
    "am": "git format-patch --quiet --stdout dev..side > ../patch; git am --quiet ../patch",
    "bisect": "git bisect start HEAD HEAD~1",
}
COMMANDS: dict[str, Callable[[Git], object]] = {
    "adopt": placing.refuse_unfit_state,
    "promote": lambda git: promote(git.root, "staging"),
    "rollback": lambda git: rollback.roll_back(git, "staging", None, print),
    "push": lambda git: push.push_branches(git, ["dev"], print),
    "update": update.refuse_unready,
    "remote": lambda git: remote.move_remote(git, str(git.root.parent), [], print),
    "search": lambda git: app(["search"], standalone_mode=False),
}


def set_notes(project: Path, text: str) -> None:
    (project / "notes.txt").write_text(text)
    commit(project, text)


@pytest.fixture
def forked(in_staging: Path) -> Path:
    """A project whose branches dev and side have changed the same line of notes.txt."""
    set_notes(in_staging, "Begin\n")
    Git(in_staging).run("switch", "--quiet", "--create", "side")
    set_notes(in_staging, "Side\n")
    Git(in_staging).run("switch", "--quiet", "dev")
    set_notes(in_staging, "Dev\n")
    set_notes(in_staging, "Again\n")
    return in_staging


@pytest.mark.parametrize("name", UNFINISHED)
def test_what_is_unfinished_is_named_with_both_ways_out(
    forked: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = Git(forked)
    monkeypatch.chdir(forked)
    git.succeeds("-c", f"alias.try=!{UNFINISHED[name]}", "try")
    before = state(forked)
    for command, call in COMMANDS.items():
        with pytest.raises(Refused, match=f"`git {name}` is unfinished in {forked}") as refusal:
            call(git)
        assert state(forked) == before, command
    shell(forked, str(refusal.value).split("`")[-2])
    assert obstacles.unfinished(git) is None
    placing.refuse_unfit_state(git)


def test_a_promotion_is_tried_and_stages_run_while_something_is_unfinished(forked: Path) -> None:
    git = Git(forked)
    assert not git.succeeds("merge", "--quiet", "side")
    git.run("checkout", "--quiet", "--ours", "notes.txt")
    run_repro(forked)
    git.run("add", "--all")
    git.run("commit", "--quiet", "--no-edit")
    git.run("bisect", "start")
    assert promotion.promote(git, "staging", print, dry_run=True)


def test_a_lock_that_a_killed_git_has_left_is_named_with_its_cure(
    on_dev: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(obstacles, "PATIENCE", 0.2)
    git, lock = Git(on_dev), on_dev / ".git/index.lock"
    (on_dev / "params.yaml").write_text("quality: 0.8\n")
    lock.touch()
    for call in (run_repro, lambda root: placing.refuse_unfit_state(Git(root))):
        with pytest.raises(Refused, match=r"index\.lock exists, since another Git") as refusal:
            call(on_dev)
    with pytest.raises(GitError, match=r"index\.lock exists, since another Git"):
        git.run("add", "--all")
    assert git.run("diff", "--name-only") == "params.yaml"
    shell(on_dev, str(refusal.value).split("`")[1])
    run_repro(on_dev)
    (on_dev / ".git/refs/heads/staging.lock").touch()
    with pytest.raises(GitError, match=r"staging\.lock exists, since another Git"):
        git.run("branch", "--force", "staging", "dev")


def test_a_git_that_is_at_work_is_waited_for(on_dev: Path) -> None:
    lock = on_dev / ".git/index.lock"
    lock.touch()
    threading.Timer(0.3, lock.unlink).start()
    obstacles.refuse_locked_index(Git(on_dev))
    assert not lock.exists()


def test_a_project_that_is_a_part_of_a_repository_is_refused(
    on_dev: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer = on_dev.parent
    shutil.rmtree(on_dev / ".git")
    tiny_pipeline.git(outer, "init", "--quiet")
    for place in (on_dev, on_dev / "data"):
        monkeypatch.chdir(place)
        with pytest.raises(Refused, match=f"{on_dev} is a part of the Git repository {outer}"):
            Git.of_current_directory()
    monkeypatch.chdir(outer)
    assert Git.of_current_directory().root == outer


def test_a_folder_of_data_that_is_a_submodule_is_refused_and_mended_by_the_cure(
    in_staging: Path,
) -> None:
    git = Git(in_staging)
    git.run("rm", "-r", "--quiet", "--cached", "data")
    tiny_pipeline.git(in_staging / "data", "init", "--quiet")
    commit(in_staging / "data", "The data")
    commit(in_staging, "As a submodule")
    for call in (
        run_repro,
        lambda root: promote(root, "staging"),
        lambda root: placing.refuse_unfit_state(Git(root)),
    ):
        with pytest.raises(Refused, match="data is a submodule of Git") as refusal:
            call(in_staging)
    shell(in_staging, str(refusal.value).split("`")[1])
    commit(in_staging, "As a folder")
    run_repro(in_staging)
    assert git.run("status", "--porcelain") == ""
    assert "data/raw.dvc" in git.lines("ls-files")
