"""Tests that the last commit of an environment without a record is named, by its reason."""

from pathlib import Path

import pytest

from instant_project import give_origin, promote, set_quality
from mlops.release.history import records, unrecorded
from mlops.release.history.git import Git
from mlops.release.promote import promotion, rollback
from mlops.release.prove import check


@pytest.fixture
def git(twice_in_staging: Path) -> Git:
    return Git(twice_in_staging)


def line(git: Git, environment: str = "staging") -> str:
    tagged = records.records_of(git, environment)
    return unrecorded.unrecorded_tip(git, environment, tagged) or ""


def commit_on(git: Git, branch: str, message: str = "By hand") -> str:
    """Commits the tree of dev on the branch, without a release, and returns the commit."""
    made = git.run("commit-tree", "dev^{tree}", "-p", branch, "-m", message)
    git.run("update-ref", f"refs/heads/{branch}", made)
    return made


def test_a_release_and_what_no_model_was_made_on_are_well(git: Git) -> None:
    assert [line(git, name) for name in ("dev", "staging", "prod")] == ["", "", ""]
    rollback.roll_back(git, "staging", None, print)
    assert line(git) == ""


def test_a_direct_push_is_named_until_a_release_takes_its_place(
    git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    made = commit_on(git, "staging")
    short = git.run("rev-parse", "--short", made)
    assert line(git).startswith(
        f"no record stands behind the last commit of staging, {short} (By hand, by A. Tester): somebody has "
        "committed there since staging/0002. `mlops rollback staging` goes back to it"
    )
    told = unrecorded.unrecorded_tip(git, "prod", [], made) or ""
    assert "nothing was released there yet" in told
    check.check_tree(git.root)
    assert f"staging: {line(git)}" in capsys.readouterr().out
    assert rollback.roll_back(git, "staging", None, print).restored == "staging/0002"
    assert line(git) == ""


def test_a_forced_push_is_named(git: Git) -> None:
    git.run("update-ref", "refs/heads/staging", "staging/0001^{commit}")
    assert "it does not contain staging/0002, the latest record" in line(git)
    assert "`mlops rollback staging --to staging/0002` releases that again" in line(git)
    rollback.roll_back(git, "staging", "staging/0002", print)
    assert line(git) == ""


def test_a_deleted_record_is_named_and_brought_back_from_origin(git: Git) -> None:
    give_origin(git.root, "--tags")
    git.run("tag", "--delete", "staging/0002")
    assert "it was released as staging/0002, and that tag is missing here" in line(git)
    git.run(*line(git).split("`")[1].split()[1:])
    assert line(git) == ""


def test_a_merged_proposal_waits_for_its_record(
    git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    give_origin(git.root)
    set_quality(git.root, 0.92)
    promotion.promote(git, "staging", print, as_proposal=True)
    git.run("update-ref", "refs/heads/staging", "refs/remotes/origin/proposal/staging/0003")
    assert "a proposal was merged, and `mlops promote staging` writes its record" in line(git)
    promote(git.root, "staging")
    assert "no record stands behind" not in capsys.readouterr().err
    assert line(git) == ""
