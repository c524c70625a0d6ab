"""Tests releases with an origin: a bare repository that refuses, moves and goes away like a real one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import instant_project
from instant_project import promote, refused, reproduce, set_quality, state
from machinery import MLOPS
from mlops.errors import Away, Refused
from mlops.release.history import records
from mlops.release.history.git import Git
from mlops.release.promote import promotion, rollback
from tiny_pipeline import commit


@pytest.fixture
def shared(on_dev: Path) -> Path:
    """A project whose three branches are on origin, a bare repository beside it."""
    instant_project.give_origin(on_dev)
    return on_dev


def clone(project: Path, name: str, *options: str) -> Path:
    """A colleague's clone with an empty DVC cache."""
    folder = project.parent / name
    Git(project).run(
        "clone", "--quiet", *options, f"file://{project.parent}/origin.git", str(folder)
    )
    return folder


def refs(folder: Path) -> set[str]:
    lines = Git(folder).lines("for-each-ref", "--format=%(refname) %(objectname)")
    return {line for line in lines if not line.startswith("refs/remotes")}


def test_branch_and_tags_reach_origin_together(shared: Path) -> None:
    promote(shared, "staging")
    there = refs(shared.parent / "origin.git")
    assert there == {line for line in refs(shared) if not line.startswith("refs/exps")}
    assert any("refs/tags/model@v1.0.0" in line for line in there)


def test_a_colleague_goes_on_in_a_clone_of_one_branch(shared: Path) -> None:
    promote(shared, "staging")
    colleague = clone(shared, "colleague", "--single-branch", "--branch", "dev")
    record = promote(colleague, "prod")
    assert record
    assert record.version == "v1.0.0"
    assert "prod" in Git(colleague).run("branch", "--list", "prod")
    assert promote(shared, "prod") is None
    assert Git(shared).commit("prod/0001")


def test_a_shallow_clone_is_told_what_to_do(shared: Path) -> None:
    refused(clone(shared, "shallow", "--depth", "1"), "staging", "git fetch --unshallow")


def test_diverged_branches_are_refused(shared: Path) -> None:
    colleague = clone(shared, "colleague")
    for folder, words in ((shared, "here"), (colleague, "there")):
        (folder / "notes.txt").write_text(words)
        commit(folder, words)
    Git(colleague).run("push", "--quiet", "origin", "dev")
    with pytest.raises(Refused, match="dev and origin/dev have diverged"):
        promote(shared, "staging")


@pytest.mark.parametrize("hook", ["pre-receive", "update"])
def test_an_origin_that_refuses_one_ref_gets_none(shared: Path, hook: str) -> None:
    origin = shared.parent / "origin.git"
    script = origin / "hooks" / hook
    script.write_text(
        "#!/bin/sh\ngrep -q model@ && exit 1\necho $* | grep -q model@ && exit 1\nexit 0\n"
    )
    script.chmod(0o755)
    before = refs(origin), refs(shared)
    with pytest.raises(Refused, match="origin did not take the release, and no branch or tag"):
        promote(shared, "staging")
    assert (refs(origin), refs(shared)) == before
    script.unlink()
    assert promote(shared, "staging")


def test_an_origin_that_cannot_be_reached_stops_the_release(shared: Path) -> None:
    before = refs(shared)
    origin = shared.parent / "origin.git"
    origin.rename(shared.parent / "gone.git")
    with pytest.raises(Away, match=r"(?s)origin cannot be reached.*does not appear to be a git"):
        promote(shared, "staging")
    assert refs(shared) == before
    (shared.parent / "gone.git").rename(origin)
    assert promote(shared, "staging")


def test_a_proposal_is_reviewed_merged_and_recorded(shared: Path) -> None:
    git, before = Git(shared), refs(shared)
    record = promotion.promote(git, "staging", lambda line: None, as_proposal=True)
    assert record
    assert refs(shared) == before
    colleague = clone(shared, "colleague", "--branch", "staging")
    Git(colleague).run("merge", "--quiet", "--no-ff", "origin/proposal/staging/0001")
    Git(colleague).run("push", "--quiet", "origin", "staging")
    assert promote(shared, "staging") == record
    (kept,) = records.records_of(git, "staging")
    assert kept.commit == git.commit("origin/staging")
    assert promote(shared, "staging") is None


def test_a_rollback_in_a_clone_fetches_what_it_restores(shared: Path) -> None:
    promote(shared, "staging")
    set_quality(shared, 0.95)
    promote(shared, "staging")
    colleague = clone(shared, "colleague")
    record = rollback.roll_back(Git(colleague), "staging", None, lambda line: None)
    assert record.restored == "staging/0001"
    with pytest.raises(Refused, match=r"staging was rolled back from v1\.1\.0"):
        promote(shared, "staging")
    assert promote(shared, "staging", again=True)


def test_two_who_roll_back_at_once_mean_one_step(shared: Path) -> None:
    promote(shared, "staging")
    for quality in (0.95, 0.96):
        set_quality(shared, quality)
        promote(shared, "staging")
    colleague = clone(shared, "colleague")
    assert rollback.roll_back(Git(colleague), "staging", None, print).restored == "staging/0002"
    with pytest.raises(
        Refused, match=r"rolled back to staging/0002: A\. Tester .* has just done this"
    ):
        rollback.roll_back(Git(shared), "staging", None, print)
    assert rollback.roll_back(Git(shared), "staging", None, print).restored == "staging/0001"


def test_a_detached_head_and_another_working_tree_are_no_obstacle(shared: Path) -> None:
    git = Git(shared)
    git.run("switch", "--quiet", "--detach", "dev")
    git.run("worktree", "add", "--quiet", "../elsewhere", "prod")
    assert promote(shared, "staging")
    refused(shared, "prod", "prod is checked out in .*elsewhere")


def test_hotfix_from_prod_to_dev(shared: Path) -> None:
    """The hotfix takes the path that the documents describe, with plain Git."""
    git = Git(shared)
    promote(shared, "staging", "prod")
    git.run("switch", "--quiet", "-c", "hotfix", "prod")
    (shared / "gate.py").write_text(instant_project.GATE + "# mended\n")
    commit(shared, "Mend the gate")
    fix = git.run("rev-parse", "HEAD")
    reproduce(shared, "Reproduce on prod")
    git.run("switch", "--quiet", "prod")
    git.run("merge", "--quiet", "--ff-only", "hotfix")
    git.run("push", "--quiet", "origin", "prod")
    git.run("switch", "--quiet", "dev")
    set_quality(shared, 0.91)
    promote(shared, "staging")
    refused(shared, "prod", "prod has changes that staging lacks")
    git.run("cherry-pick", "-x", fix)
    reproduce(shared, "Reproduce on dev")
    assert promote(shared, "staging")
    assert promote(shared, "prod")


def test_no_training_survives_its_promotion(shared: Path) -> None:
    """A promotion is killed with kill -9 during a stage: nothing has moved, nothing runs on, and the next one
    succeeds."""
    dvc_yaml = shared / "dvc.yaml"
    slow = "cmd: test -z $SLOW || sleep 61; mkdir -p data/prepared"
    dvc_yaml.write_text(dvc_yaml.read_text().replace("cmd: mkdir -p data/prepared", slow))
    reproduce(shared, "A stage that can take its time")
    before = state(shared)[:2], refs(shared.parent / "origin.git")
    process = subprocess.Popen(
        [sys.executable, "-c", MLOPS, "promote", "staging"],
        cwd=shared,
        env={**os.environ, "SLOW": "1"},
    )
    wait_for(["sleep", "61"], there=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(["sleep", "61"], there=False)
    assert (state(shared)[:2], refs(shared.parent / "origin.git")) == before
    assert promote(shared, "staging")


def wait_for(command: list[str], *, there: bool) -> None:
    """Waits until a process with this command line runs, or until none does."""
    for _ in range(300):
        running = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
        if (command in running) == there:
            return
        time.sleep(0.1)
    pytest.fail(f"{command} {'does not run' if there else 'still runs'} after 30 s")
