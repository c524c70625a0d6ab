"""Rollbacks of the instant project: a release of what an older record says, no stage run."""

from pathlib import Path

import instant_project
import pytest
from instant_project import promote, set_quality

from release import lockfile, promotion, records, rollback, status
from release.errors import Refused, ReleaseError
from release.git import Git


@pytest.fixture(scope="module")
def released_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as monkeypatch:
        instant_project.speak_as_tester(monkeypatch)
        project = instant_project.make(tmp_path_factory.mktemp("twice") / "project")
        promote(project, "staging")
        set_quality(project, 0.95)
        promote(project, "staging")
        return project


@pytest.fixture
def project(released_twice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    instant_project.speak_as_tester(monkeypatch)
    return instant_project.copied(released_twice, tmp_path / "copy")


def roll_back(project: Path, to: str | None = None) -> records.Record:
    return rollback.roll_back(Git(project), "staging", to, lambda line: None)


def test_without_an_older_record_it_is_refused(project: Path) -> None:
    with pytest.raises(Refused, match="prod has no record yet"):
        rollback.roll_back(Git(project), "prod", None, lambda line: None)
    roll_back(project)
    with pytest.raises(Refused, match="staging has no record before staging/0001"):
        roll_back(project)
    with pytest.raises(Refused, match="staging already is what staging/0003 says"):
        roll_back(project, "v1.0.0")


def test_an_unknown_record_is_refused_with_the_known(project: Path) -> None:
    with pytest.raises(
        ReleaseError, match=r"no record 'v7.0.0'; its last are staging/0001 \(v1.0.0\)"
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
    promotion.promote(git, "staging", lines.append)
    said = "\n".join(lines)
    assert "staging was rolled back to staging/0001; this brings again:" in said
    assert "Quality 0.95" in said
    models = {each.environment: each.model for each in status.of_every_environment(git)}
    assert models["staging"] == models["dev"]


def model_object(project: Path, version: str) -> Path:
    md5 = lockfile.made(lockfile.stages(Git(project), version), "models/model.onnx")
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
    with pytest.raises(ReleaseError, match=r"cannot be restored.*neither whole in the cache nor"):
        roll_back(project)
    assert Git(project).run("for-each-ref") == before
