"""Tests rollbacks of the instant project: a release of an older record, for which no stage runs."""

import re
from pathlib import Path

import pytest

from instant_project import promote, refused, set_quality
from mlops.errors import MlopsError, Refused, UsageError
from mlops.release.history import lockfile, records
from mlops.release.history.git import Git
from mlops.release.look import status
from mlops.release.promote import promotion, rollback
from tiny_pipeline import commit


@pytest.fixture
def project(twice_in_staging: Path) -> Path:
    return twice_in_staging


def roll_back(project: Path, to: str | None = None, reason: str | None = None) -> records.Record:
    return rollback.roll_back(Git(project), "staging", to, lambda line: None, reason=reason)


def rolled_back(project: Path) -> str | None:
    """Returns what `mlops status` says about the rollback of staging."""
    return status.status_of(Git(project), "staging").rolled_back


def test_without_an_older_record_it_is_refused(project: Path) -> None:
    with pytest.raises(Refused, match="prod has no record yet"):
        rollback.roll_back(Git(project), "prod", None, lambda line: None)
    roll_back(project)
    with pytest.raises(Refused, match="staging already is as in staging/0003"):
        roll_back(project, "v1.0.0")


def test_where_only_the_withdrawn_is_left_it_is_named(project: Path) -> None:
    roll_back(project, reason="too many alarms")
    with pytest.raises(
        Refused,
        match=r"(?s)staging holds v1\.0\.0 \(staging/0003\), and no record is left to go back to but "
        r"what was withdrawn:\n  staging was rolled back from v1\.1\.0 \(staging/0002\).*too many "
        r"alarms\nname the one that is meant: `mlops rollback staging --to RECORD`",
    ):
        roll_back(project)
    assert roll_back(project, "staging/0002").restored == "staging/0002"


def test_where_no_record_differs_it_says_so(in_staging: Path) -> None:
    with pytest.raises(
        Refused, match="no record is left to go back to: staging/0001 released the same content"
    ):
        roll_back(in_staging)


def test_a_version_that_was_promoted_again_is_rolled_back_again(project: Path) -> None:
    roll_back(project)
    promote(project, "staging", again=True)
    record = roll_back(project)
    assert (record.restored, record.version) == ("staging/0001", "v1.0.0")
    assert Git(project).succeeds("diff", "--quiet", "staging", "staging/0001")


def test_each_further_rollback_goes_further_back(project: Path) -> None:
    set_quality(project, 0.96)
    promote(project, "staging")
    assert [roll_back(project).restored for _ in range(2)] == ["staging/0002", "staging/0001"]
    with pytest.raises(Refused, match=r"(?s)withdrew|withdrawn:.*staging/0003.*staging/0002"):
        roll_back(project)


def test_a_commit_made_by_hand_is_undone_first(project: Path) -> None:
    git = Git(project)
    git.run("switch", "--quiet", "staging")
    (project / "notes.txt").write_text("by hand\n")
    commit(project, "By hand")
    git.run("switch", "--quiet", "dev")
    record = roll_back(project)
    assert (record.restored, record.withdrew) == ("staging/0002", None)
    assert "from commits without a release to v1.1.0" in (rolled_back(project) or "")


def test_what_was_rolled_back_is_refused_until_somebody_says_again(project: Path) -> None:
    git = Git(project)
    roll_back(project, reason="it says no to everybody")
    said = (
        r"staging was rolled back from v1\.1\.0 \(staging/0002\) to v1\.0\.0 \(staging/0001\) by "
        r"A\. Tester .*: it says no to everybody"
    )
    assert re.match(said, rolled_back(project) or "")
    refused(project, "staging", said + r"\. dev \w{7} would bring v1\.1\.0 back: .* --again`")
    record = promote(project, "staging", again=True)
    assert record
    assert (record.version, record.again) == ("v1.1.0", "staging/0003")
    assert rolled_back(project) is None
    assert promote(project, "staging") is None
    assert git.commit("staging/0004") == git.commit("staging")


def test_once_released_again_a_version_is_withdrawn_no_more(project: Path) -> None:
    roll_back(project)
    promote(project, "staging", again=True)
    (project / "notes.txt").write_text("no part of the model\n")
    commit(project, "Notes")
    record = promote(project, "staging")
    assert record
    assert (record.version, record.again) == ("v1.1.0", None)


def test_the_withdrawn_version_is_refused_also_from_another_commit(project: Path) -> None:
    roll_back(project)
    (project / "notes.txt").write_text("no part of the model\n")
    commit(project, "Notes")
    refused(project, "staging", r"rolled back from v1\.1\.0 .* to v1\.0\.0 .* v1\.1\.0 back")


def test_another_version_is_promoted_after_a_rollback_as_ever(project: Path) -> None:
    roll_back(project)
    set_quality(project, 0.97)
    record = promote(project, "staging")
    assert record
    assert (record.version, record.again) == ("v1.2.0", None)
    set_quality(project, 0.95)
    refused(project, "staging", "rolled back from v1.1.0")


def test_a_rollback_within_a_version_withdraws_its_source_alone(project: Path) -> None:
    (project / "notes.txt").write_text("no part of the model\n")
    commit(project, "Notes")
    assert promote(project, "staging")
    assert roll_back(project).version == "v1.1.0"
    refused(project, "staging", "rolled back from v1.1.0 .staging/0003. to v1.1.0 .staging/0002.")
    (project / "notes.txt").write_text("other notes\n")
    commit(project, "Other notes")
    assert promote(project, "staging")


@pytest.mark.parametrize("reason", ["", " ", "two\nlines", "a \x1b[31mcolour"])
def test_a_reason_is_one_line_of_plain_text(project: Path, reason: str) -> None:
    with pytest.raises(UsageError, match="give it one line of plain text"):
        roll_back(project, reason=reason)


def test_an_unknown_record_is_refused_with_the_known(project: Path) -> None:
    with pytest.raises(
        MlopsError, match=r"no record 'v7.0.0'; its last are staging/0001 \(v1.0.0\)"
    ):
        roll_back(project, "v7.0.0")


def test_it_restores_the_tree_and_keeps_history(project: Path) -> None:
    git = Git(project)
    before = git.commit("staging")
    record = roll_back(project)
    assert record.title == "staging/0003: v1.0.0, rolled back to staging/0001"
    assert git.succeeds("diff", "--quiet", "staging", "staging/0001")
    assert git.commit("staging^1") == before
    assert git.commit("staging/0003") == git.commit("staging")
    assert git.run("status", "--porcelain") == ""


def test_the_next_promotion_restores_the_source_and_says_what_it_brings_again(
    project: Path,
) -> None:
    git = Git(project)
    roll_back(project, "staging/0001")
    lines: list[str] = []
    promotion.promote(git, "staging", lines.append, again=True)
    said = "\n".join(lines)
    assert "staging was rolled back to staging/0001; this brings again:" in said
    assert "Quality 0.95" in said
    models = {each.environment: each.model for each in status.all_statuses(git)}
    assert models["staging"] == models["dev"]


def model_object(project: Path, version: str) -> Path:
    md5 = lockfile.read_lock(Git(project), version).model
    return project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


@pytest.mark.parametrize("damage", ["corrupted", "missing"])
def test_damaged_objects_come_from_the_remote(project: Path, damage: str) -> None:
    broken = model_object(project, "model@v1.0.0")
    whole = broken.read_bytes()
    broken.chmod(0o644)
    broken.write_bytes(b"quality: 9") if damage == "corrupted" else broken.unlink()
    roll_back(project)
    assert broken.read_bytes() == whole


def test_what_is_lost_everywhere_cannot_be_restored(project: Path) -> None:
    broken = model_object(project, "model@v1.0.0")
    broken.unlink()
    for copy in (project.parent / "storage").rglob(broken.name):
        copy.unlink()
    before = Git(project).run("for-each-ref")
    with pytest.raises(MlopsError, match=r"cannot be restored.*neither whole in the cache nor"):
        roll_back(project)
    assert Git(project).run("for-each-ref") == before
