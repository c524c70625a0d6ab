"""Tests data that were pushed to an environment's branch to be scored, and the releases around them."""

import json
from pathlib import Path

import pytest

import instant_project
from instant_project import promote, set_quality
from mlops.errors import Refused
from mlops.release.follow import deployment
from mlops.release.history import arrivals
from mlops.release.history.git import Git
from mlops.release.look import status
from mlops.release.promote import rollback
from tiny_pipeline import commit, git

POINTER = 'outs:\n- md5: "{md5}"\n  size: 3\n  hash: md5\n  path: {name}\n'


def arrive(project: Path, environment: str, name: str) -> str:
    """Pushes a file whose data are on another machine, and returns the commit."""
    git(project, "switch", "--quiet", environment)
    pointer = project / arrivals.FOLDER / f"{name}.dvc"
    pointer.parent.mkdir(exist_ok=True)
    pointer.write_text(POINTER.format(md5="0" * 32, name=name))
    commit(project, f"{name} has arrived")
    git(project, "switch", "--quiet", "dev")
    return git(project, "rev-parse", environment).strip()


def arrived(project: Path, environment: str) -> list[str]:
    listed = git(project, "ls-tree", "-r", "--name-only", environment, arrivals.FOLDER)
    return [Path(path).stem for path in listed.splitlines() if path.endswith(".dvc")]


def test_what_arrives_makes_no_other_release(in_staging: Path) -> None:
    repository = Git(in_staging)
    before = status.status_of(repository, "staging")
    commit_of_release = git(in_staging, "rev-parse", "staging").strip()
    arrive(in_staging, "staging", "november.csv")
    assert status.status_of(repository, "staging") == before
    with deployment.open_deployment(repository, "staging") as deployed:
        assert deployed.commit == commit_of_release
        content = json.loads((deployed.folder / "release.json").read_text())
        assert content["version"] == before.version


def test_a_promotion_leaves_each_branch_its_own(in_staging: Path) -> None:
    arrive(in_staging, "dev", "on dev.csv")
    arrive(in_staging, "staging", "october.csv")
    arrive(in_staging, "staging", "november.csv")
    set_quality(in_staging, 0.95)
    promote(in_staging, "staging", "prod")
    assert arrived(in_staging, "staging") == ["november.csv", "october.csv"]
    assert arrived(in_staging, "prod") == []
    assert arrived(in_staging, "dev") == ["on dev.csv"]
    assert git(in_staging, "show", "staging:params.yaml") == "quality: 0.95\n"


def test_nothing_is_to_be_promoted_because_of_arrivals(in_staging: Path) -> None:
    arrive(in_staging, "dev", "on dev.csv")
    arrive(in_staging, "staging", "november.csv")
    assert promote(in_staging, "staging") is None


def test_a_rollback_keeps_what_has_arrived_since(in_staging: Path) -> None:
    set_quality(in_staging, 0.95)
    promote(in_staging, "staging")
    arrive(in_staging, "staging", "november.csv")
    rollback.roll_back(Git(in_staging), "staging", None, lambda line: None)
    assert git(in_staging, "show", "staging:params.yaml") == "quality: 0.9\n"
    assert arrived(in_staging, "staging") == ["november.csv"]
    arrive(in_staging, "staging", "december.csv")
    with pytest.raises(Refused, match="already is as in"):
        rollback.roll_back(Git(in_staging), "staging", "staging/0001", lambda line: None)


def test_a_change_of_code_beside_the_data_is_no_arrival(in_staging: Path) -> None:
    git(in_staging, "switch", "--quiet", "staging")
    (in_staging / "gate.py").write_text("# weaker\n")
    commit(in_staging, "Weaker")
    git(in_staging, "switch", "--quiet", "dev")
    tip = arrive(in_staging, "staging", "november.csv")
    assert (
        arrivals.release_commit(Git(in_staging), tip)
        == git(in_staging, "rev-parse", "staging~1").strip()
    )
    instant_project.refused(in_staging, "staging", "Weaker")
