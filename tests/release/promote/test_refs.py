"""Tests that a release fetches and judges refs of its own alone, and that no number is used twice."""

from pathlib import Path

import pytest
from test_publication import clone, refs, shared

from instant_project import give_origin, promote, refused, set_quality
from mlops.errors import MlopsError, Refused
from mlops.release.data import dvc
from mlops.release.history import models, records, tags, versions
from mlops.release.history.git import Git
from mlops.release.look import status, timeline
from mlops.release.promote import promotion, rollback

__all__ = ["shared"]


@pytest.fixture
def released(in_staging: Path) -> Path:
    """A project with a release in staging from before there was an origin, which has its branches alone."""
    give_origin(in_staging)
    return in_staging


def origin_of(project: Path) -> Git:
    return Git(project.parent / "origin.git")


def record_names(git: Git) -> list[str]:
    return git.lines("for-each-ref", "--format=%(refname:strip=2)", "refs/tags")


def test_tags_of_others_cost_a_line_and_no_number(
    released: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    git, origin = Git(released), origin_of(released)
    git.run("tag", "prod/0002", "dev")
    git.run("tag", "--annotate", "--message", 'Good\n\n{"a": 1}', "model@v1.1.0", "dev")
    git.run("tag", "staging/0007", "staging/0001")
    git.run("tag", "staging/0009/mine", "dev")
    git.run("push", "--quiet", "origin", "prod/0002", "model@v1.1.0")
    git.run("tag", "model@v1.2.0", f"{git.run('rev-parse', 'dev')}:params.yaml")
    origin.run("tag", "latest", "dev")
    git.run("tag", "latest", "dev~1")
    origin.run("branch", "feature/x", "dev")
    git.run("update-ref", "refs/remotes/origin/feature", "dev")
    set_quality(released, 0.91)

    assert [each.record for each in status.all_statuses(git)] == [None, "staging/0001", None]
    assert models.all_models(git)
    for environment, name, version in (
        ("staging", "staging/0010", "v1.3.0"),
        ("prod", "prod/0003", "v1.3.0"),
    ):
        record = promote(released, environment)
        assert record
        assert (record.name, record.version) == (name, version)
    assert rollback.roll_back(git, "staging", None, print).name == "staging/0011"
    assert git.run("rev-parse", "latest") != origin.run("rev-parse", "latest")

    told = capfd.readouterr().err
    for name in ("prod/0002", "model@v1.1.0", "staging/0007", "model@v1.2.0"):
        assert told.count(f"the tag {name} was not written by mlops") == 1
    assert "git tag NAME prod/0002 && git tag --delete prod/0002" in told
    assert "latest" not in told


def test_what_was_released_before_there_was_an_origin_comes_to_it(
    released: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    colleague = clone(released, "colleague")
    assert record_names(Git(colleague)) == []
    assert promote(released, "staging") is None
    assert {*record_names(origin_of(released))} == {"staging/0001", "model@v1.0.0"}
    assert "origin lacked model@v1.0.0, staging/0001, which are here" in capfd.readouterr().err
    record = promote(colleague, "prod")
    assert record
    assert (record.name, record.version) == ("prod/0001", "v1.0.0")
    assert [each.record.name for each in records.records_of(Git(colleague), "staging")] == [
        "staging/0001"
    ]


def test_numbers_of_deleted_tags_are_not_used_again(released: Path) -> None:
    set_quality(released, 0.91)
    promote(released, "staging")
    for folder in (Git(released), origin_of(released)):
        folder.run("tag", "--delete", *record_names(folder))
    with pytest.raises(MlopsError, match=r"released as staging/0002, and that tag is missing here"):
        timeline.events_of(Git(released), "staging")
    colleague = clone(released, "colleague")
    set_quality(released, 0.92)
    with dvc.open_repo(released) as repo, dvc.quiet_dvc():
        repo.push(run_cache=True)
    Git(released).run("push", "--quiet", "origin", "dev")
    record = promote(colleague, "staging")
    assert record
    assert (record.name, record.version) == ("staging/0003", "v1.2.0")


def test_a_rollback_without_its_tag_still_holds(
    released: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    set_quality(released, 0.91)
    promote(released, "staging")
    rollback.roll_back(Git(released), "staging", None, print)
    for deleted in (["staging/0003"], ["staging/0002", "model@v1.1.0"]):
        for folder in (Git(released), origin_of(released)):
            folder.run("tag", "--delete", *deleted)
        refused(
            released,
            "staging",
            r"rolled back from v1\.1\.0 \(staging/0002\) to v1\.0\.0 \(staging/0001",
        )
    assert "released as staging/0003, and that tag is missing here" in capfd.readouterr().err
    record = promote(released, "staging", again=True)
    assert record
    assert (record.name, record.version, record.again) == ("staging/0004", "v1.2.0", "staging/0003")
    set_quality(released, 0.92)
    assert promote(released, "staging")


def test_a_record_or_branch_that_origin_has_lost_comes_back(released: Path) -> None:
    promote(released, "staging")
    origin = origin_of(released)
    origin.run("tag", "--delete", "staging/0001")
    origin.run("branch", "--delete", "--force", "prod")
    assert promote(released, "prod")
    assert refs(released) - refs(origin.root) <= {
        line for line in refs(released) if line.startswith("refs/exps")
    }


def test_a_record_that_is_another_on_origin_stops_its_environment_alone(
    released: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    promote(released, "staging")
    git, origin = Git(released), origin_of(released)
    message = git.run("for-each-ref", "--format=%(contents)", "refs/tags/staging/0001")
    origin.run("tag", "--force", "--annotate", "--message", message, "staging/0001", "dev")
    set_quality(released, 0.91)
    refused(
        released, "staging", r"git tag staging/0001-here staging/0001 && git fetch origin \+refs"
    )
    with pytest.raises(Refused, match="the tag staging/0001 here is not the one on origin"):
        rollback.roll_back(git, "staging", None, print)
    assert promote(released, "prod")
    origin.run("tag", "--force", "staging/0001", "dev")
    assert promote(released, "staging")
    assert "the tag staging/0001 here is not the one on origin" in capfd.readouterr().err


def test_a_tag_with_the_name_of_an_environment_is_found_before_a_stage_runs(
    released: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    origin_of(released).run("tag", "prod", "dev")
    refused(released, "prod", "git push origin refs/tags/NAME :refs/tags/prod")
    Git(released).run("tag", "prod", "dev")
    refused(released, "prod", "git tag NAME refs/tags/prod && git tag --delete prod")
    assert "Running stage" not in capfd.readouterr().out


def test_a_proposal_whose_number_was_taken_is_recorded_under_the_next(released: Path) -> None:
    set_quality(released, 0.91)
    git = Git(released)
    promotion.promote(git, "staging", print, as_proposal=True)
    git.run("tag", "staging/0002", "dev")
    git.run("update-ref", "refs/heads/staging", "refs/remotes/origin/proposal/staging/0002")
    record = promote(released, "staging")
    assert record
    assert record.name == "staging/0003"
    assert promote(released, "staging") is None
    found = versions.readable_versions(git, tags.tags_matching(git, "model@v*"))
    assert [each.name for each in found] == ["v1.0.0", "v1.1.0"]


def test_a_tag_called_dev_hides_no_uncommitted_work(released: Path) -> None:
    Git(released).run("tag", "dev", "dev~1")
    (released / "params.yaml").write_text("quality: 0.99\n")
    refused(released, "staging", "dev has uncommitted work: params.yaml")
    Git(released).run("checkout", "--quiet", "params.yaml")
    set_quality(released, 0.91)
    record = promote(released, "staging")
    assert record
    assert record.source_commit == Git(released).commit("refs/heads/dev")


def test_a_branch_in_the_way_of_an_environments_is_named_before_the_work(released: Path) -> None:
    colleague = clone(released, "colleague")
    Git(colleague).run("branch", "prod/0001", "dev")
    refused(colleague, "prod", "a branch is called prod/0001.*`git branch -m prod/0001 NAME`")
    Git(colleague).run("branch", "-m", "prod/0001", "mine")
    assert promote(colleague, "prod")
