"""Tests that a clone of one branch, or of the last commits alone, claims nothing about what it lacks."""

import shlex
from pathlib import Path

import pytest

import instant_project
from instant_project import promote, set_quality
from mlops.errors import MlopsError, Refused
from mlops.release.data import push
from mlops.release.follow import deployment
from mlops.release.history import branches, records, revisions, unrecorded
from mlops.release.history.git import Git
from mlops.release.look import card, comparison, timeline, tracker
from mlops.release.promote import rollback
from tiny_pipeline import commit

FEW = ("--single-branch", "--branch", "dev")


@pytest.fixture
def released(in_staging: Path) -> Path:
    """A project with a release in staging, all of it on origin."""
    instant_project.give_origin(in_staging, "--tags")
    return in_staging


def cloned(project: Path, *options: str) -> Git:
    folder = project.with_name("clone")
    url = project.with_name("origin.git").as_uri()
    Git(project).run("clone", "--quiet", *options, url, str(folder))
    return Git(folder)


def cure(git: Git, sentence: str) -> None:
    for step in sentence.split("`")[1].split(" && "):
        git.run(*shlex.split(step)[1:])


def test_a_clone_of_one_branch_says_what_it_does_not_fetch(released: Path) -> None:
    git = cloned(released, *FEW)
    (gap,) = branches.gaps(git)
    assert gap.startswith(
        "this clone does not fetch staging, prod, so that their models and records"
    )
    absent = "no branch staging in this clone.*`git remote set-branches --add origin staging"
    for call in (
        lambda: revisions.commit_of(git, "staging"),
        lambda: [*comparison.compare_states(git, "staging", "dev")],
        lambda: card.card_of(git, "staging"),
    ):
        with pytest.raises(Refused, match=absent):
            call()
    for name in ("v1.0.0", "staging/0001"):
        with pytest.raises(MlopsError, match="this clone does not fetch staging, prod"):
            revisions.commit_of(git, name)
    with pytest.raises(MlopsError, match="no release to staging is known here; this clone does"):
        timeline.events_of(git, "staging")
    (row,) = tracker.model_rows(git)
    assert str(row["model"]).startswith("experiment ")
    cure(git, gap)
    assert [*branches.gaps(git)] == []
    assert revisions.commit_of(git, "v1.0.0") == revisions.commit_of(git, "staging")
    assert len(timeline.events_of(git, "staging")) == 1
    assert [row["model"] for row in tracker.model_rows(git)] == ["v1.0.0"]


def test_a_clone_of_a_branch_of_nobody_has_no_models_for_that_reason(released: Path) -> None:
    Git(released).run("push", "--quiet", "origin", "dev:feature")
    git = cloned(released, "--single-branch", "--branch", "feature")
    with pytest.raises(MlopsError, match="this clone does not fetch dev, staging, prod"):
        tracker.model_rows(git)


@pytest.mark.parametrize("options", [FEW, ("--single-branch", "--branch", "prod")])
def test_what_asks_origin_fetches_the_branches_of_the_environments(
    released: Path, options: tuple[str, ...]
) -> None:
    git = cloned(released, *options)
    with deployment.open_deployment(git, "v1.0.0") as deployed:
        assert deployed.commit == Git(released).commit("refs/heads/staging")
    if options != FEW:
        git.run("switch", "--quiet", "--detach")
    assert promote(git.root, "prod")
    assert [*branches.gaps(git)] == []


def test_a_shallow_clone_does_not_judge_what_it_does_not_know(released: Path) -> None:
    set_quality(released, 0.95)
    promote(released, "staging")
    git = cloned(released, "--depth", "1", "--no-single-branch")
    (gap,) = branches.gaps(git)
    assert gap == branches.SHALLOW
    with pytest.raises(MlopsError, match="no release to prod is known here; this clone is shallow"):
        timeline.events_of(git, "prod")
    git.run("switch", "--quiet", "staging")
    commit_of_hand = git.run("commit-tree", "HEAD^{tree}", "-m", "By hand")
    git.run("reset", "--quiet", "--hard", commit_of_hand)
    tagged = records.records_of(git, "staging")
    assert unrecorded.unrecorded_tip(git, "staging", tagged, commit_of_hand) is None
    shallow = r"this clone is shallow.*`git fetch --unshallow`"
    with pytest.raises(Refused, match=shallow):
        promote(git.root, "prod")
    with pytest.raises(Refused, match=shallow):
        rollback.roll_back(git, "staging", None, print)


def test_a_shallow_clone_is_pushed_unless_it_can_not_tell_what_is_newer(released: Path) -> None:
    git = cloned(released, "--depth", "1")
    (git.root / "notes.txt").write_text("A note\n")
    commit(git.root, "A note")
    push.push_branches(git, ["dev"], print)
    origin = Git(released.with_name("origin.git"))
    tip = origin.run("rev-parse", "dev")
    origin.run(
        "update-ref",
        "refs/heads/dev",
        origin.run("commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", "More"),
    )
    git.run("fetch", "--quiet", "--depth", "1")
    with pytest.raises(Refused, match="this clone is shallow and does not know which") as refusal:
        push.push_branches(git, ["dev"], print)
    cure(git, str(refusal.value))
    with pytest.raises(Refused, match="origin has commits of dev that are not here"):
        push.push_branches(git, ["dev"], print)
