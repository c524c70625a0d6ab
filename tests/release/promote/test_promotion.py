"""Tests promotions of the instant project with real Git and real DVC; each refusal changes nothing."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from instant_project import promote, refused, set_quality
from mlops.errors import Refused, UsageError
from mlops.release.errors import GitError, StageFailed
from mlops.release.history import records
from mlops.release.history.git import Git
from mlops.release.look import status
from mlops.release.places import worktree
from mlops.release.promote import promotion
from mlops.release.promote.rollback import roll_back


def test_uncommitted_work_is_refused(on_dev: Path) -> None:
    (on_dev / "gate.py").write_text("# not committed\n")
    refused(on_dev, "staging", "dev has uncommitted work: gate.py: commit it")


def test_skipping_an_environment_is_refused(on_dev: Path) -> None:
    refused(on_dev, "prod", "staging has made no model yet: `mlops promote staging`")


RELEASES: dict[str, Callable[[Git, str], object]] = {
    "promoted": partial(promotion.promote, say=print),
    "released": partial(roll_back, to=None, say=print),
}


@pytest.mark.parametrize("done", RELEASES)
def test_what_is_no_environment_is_wrong_usage_and_dev_is_none_to_release_to(
    on_dev: Path, done: str
) -> None:
    with pytest.raises(UsageError, match="'stagin' is not an environment; use one of dev, staging"):
        RELEASES[done](Git(on_dev), "stagin")
    with pytest.raises(Refused, match=f"nothing is {done} to dev"):
        RELEASES[done](Git(on_dev), "dev")


def test_outside_a_repository_it_says_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GitError, match="is not in a Git repository: `cd` into your project"):
        Git.of_current_directory()


def test_a_target_that_is_checked_out_is_refused(on_dev: Path) -> None:
    Git(on_dev).run("switch", "--quiet", "staging")
    refused(on_dev, "staging", r"staging is checked out in .*git -C .* switch dev")


def test_a_second_release_at_the_same_time_is_refused(on_dev: Path) -> None:
    with worktree.one_release_at_a_time(Git(on_dev)):
        refused(on_dev, "staging", "another promotion or rollback is running")


def test_a_model_worse_than_the_champion_is_refused(in_staging: Path) -> None:
    set_quality(in_staging, 0.8)
    refused(in_staging, "staging", r"accuracy was 0.9 and is 0.8, a drop of 0.1 ", StageFailed)


def test_a_promotion_carries_the_bytes_and_runs_only_what_differs(in_staging: Path) -> None:
    git = Git(in_staging)
    lines: list[str] = []
    record = promotion.promote(git, "prod", lines.append)
    assert record
    assert "made anew: prepare, gate" in lines
    assert re.match("prod/0001: v1.0.0, from staging", record.title)
    names = git.lines("diff", "--name-only", "staging", "prod")
    assert names == ["branch.yaml", "dvc.lock", "reports/gate.json"]
    assert git.lines("show", "-s", "--format=%P", "prod")[0].split()[1] == git.commit("staging")
    models = {each.environment: each.model for each in status.all_statuses(git)}
    assert models["staging"] == models["prod"]
    assert promote(in_staging, "prod") is None
    nothing = "prod has all that staging has: there is nothing to promote"
    assert promotion.why_nothing(git, "prod", "staging") == nothing
    set_quality(in_staging, 0.91)
    first = f"{nothing}. dev is ahead of staging: `mlops promote staging` first"
    assert promotion.why_nothing(git, "prod", "staging") == first


def test_a_record_and_a_version_are_tags_on_the_commit(in_staging: Path) -> None:
    git = Git(in_staging)
    (kept,) = records.records_of(git, "staging")
    assert kept.commit == git.commit("staging") == git.commit("model@v1.0.0")
    assert kept.record.version == "v1.0.0"
    assert kept.record.source_commit == git.commit("dev")
    assert kept.record.comparison is None
    assert kept.record.milliseconds == 0.1
    assert kept.author == "A. Tester <tester@example.org>"
