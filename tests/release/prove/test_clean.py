"""Tests `mlops clean` on a tiny project: each branch has its own data, and data that no branch names are
deleted."""

import shutil
from pathlib import Path

import pytest

import tiny_pipeline
from mlops.cli.app import app
from mlops.errors import Away, Refused, UsageError
from mlops.release.data import dvc
from mlops.release.data.repro import run_repro
from mlops.release.errors import GitError
from mlops.release.history.git import Git
from mlops.release.places import scratch, worktree
from mlops.release.prove import clean
from tiny_pipeline import commit, copied, git, reproduced

PIPELINE = """\
stages:
  train:
    cmd: mkdir models && sh train.sh
    deps: [data/raw.txt, train.sh]
    params: [weight]
    outs: [models]
"""
FILES = {**tiny_pipeline.FILES, "dvc.yaml": PIPELINE, ".gitignore": "/models\n"}
del FILES["models/.gitignore"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with weight 1 on dev, 2 on prod, 3 in a version, 4 as an experiment, and 5 for a while; all
    of it is pushed."""
    project = reproduced(tmp_path_factory.mktemp("clean") / "project", FILES)
    for branch, weight in {"prod": 2, "version": 3, "experiment": 4, "gone": 5}.items():
        git(project, "switch", "--quiet", "-c", branch, "dev")
        environment = "prod" if branch == "prod" else "dev"
        (project / "branch.yaml").write_text(f"environment: {environment}\n")
        (project / "params.yaml").write_text(f"weight: {weight}\n")
        run_repro(project)
        commit(project, f"Weight {weight}")
        with dvc.open_repo(project) as repo:
            repo.push()
    git(project, "tag", "-a", "model@v1.0.0", "version", "-m", "version")
    git(project, "update-ref", "refs/exps/12/34/try", "experiment")
    git(project, "switch", "--quiet", "dev")
    git(project, "branch", "-D", "version", "experiment", "gone")
    return project


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return copied(made, tmp_path, monkeypatch)


def cleaned(project: Path, *, cloud: bool = False, agreed: bool = True) -> list[str]:
    said: list[str] = []
    clean.clean_project(Git(project), said.append, lambda: agreed, cloud=cloud)
    return said


def sums(store: Path) -> set[str]:
    """Returns the models that a cache or a remote holds: 5 times their weight."""
    texts = [path.read_text() for path in (store / "files/md5").glob("*/*")]
    return {text.split()[1] for text in texts if text.startswith("sum:")}


def test_only_what_nothing_names_goes_and_the_remote_stays(project: Path) -> None:
    runs = sorted((project / ".dvc/cache/runs").rglob("*"))
    said = cleaned(project)
    assert said[0] == "keeping what 2 branches, 1 tag, 1 experiment and the working trees name"
    assert said[1].startswith("nothing names 2 objects of the cache")
    assert sums(project / ".dvc/cache") == {"5", "10", "15", "20"}
    assert sums(project.parent / "storage") == {"5", "10", "15", "20", "25"}
    assert sorted((project / ".dvc/cache/runs").rglob("*")) == runs
    assert cleaned(project)[1:] == ["nothing to delete"]


def test_with_the_cloud_the_remote_too(project: Path) -> None:
    cleaned(project, cloud=True)
    assert sums(project.parent / "storage") == {"5", "10", "15", "20"}


def test_nothing_goes_without_consent(project: Path) -> None:
    assert not any("freed" in line for line in cleaned(project, agreed=False))
    assert sums(project / ".dvc/cache") == {"5", "10", "15", "20", "25"}


def test_without_a_terminal_nobody_is_asked_and_nothing_goes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(UsageError, match=r"no terminal to ask at \(Delete them\?\): add --yes"):
        app(["clean"], standalone_mode=False)
    assert sums(project / ".dvc/cache") == {"5", "10", "15", "20", "25"}


def test_what_is_not_committed_stays(project: Path) -> None:
    (project / "params.yaml").write_text("weight: 6\n")
    run_repro(project)
    cleaned(project)
    assert "30" in sums(project / ".dvc/cache")


def test_in_a_clone_of_dev_alone_the_models_of_other_branches_and_tags_stay(project: Path) -> None:
    git(project, "branch", "--move", "prod", "feature/of-a-colleague")
    url = f"file://{project}"
    git(project.parent, "clone", "--quiet", "--single-branch", "--no-tags", url, "clone")
    clone = project.parent / "clone"
    git(clone, "tag", "model@v1.0.0")
    git(clone, "update-ref", "refs/remotes/origin/feature", "HEAD")
    shutil.move(project / ".dvc/cache", clone / ".dvc/cache")
    assert "freed" in cleaned(clone, cloud=True)[-1]
    for store in (clone / ".dvc/cache", project.parent / "storage"):
        assert sums(store) == {"5", "10", "15"}  # experiments are not cloned


def test_an_origin_out_of_reach_stops_only_the_cleaning_of_the_remote(project: Path) -> None:
    git(project, "remote", "add", "origin", "/nowhere")
    with pytest.raises(GitError, match="/nowhere"):
        cleaned(project, cloud=True)
    assert "25" in sums(project.parent / "storage")
    assert "as they were last fetched" in cleaned(project)[0]
    assert "25" not in sums(project / ".dvc/cache")


def test_a_running_promotion_is_not_disturbed(project: Path) -> None:
    with (
        worktree.one_release_at_a_time(Git(project)),
        pytest.raises(Refused, match="another promotion"),
    ):
        cleaned(project)


def test_a_cache_that_others_may_use_is_refused(project: Path) -> None:
    shutil.move(project / ".dvc/cache", project.parent / "shared")
    (project / ".dvc/config.local").write_text(f"[cache]\n    dir = {project.parent / 'shared'}\n")
    with pytest.raises(Refused, match=r"shared.* lies outside .*dvc gc .*--projects"):
        cleaned(project)


def test_a_storage_out_of_reach_is_named_before_anything_is_deleted(project: Path) -> None:
    (project.parent / "storage").rename(project.parent / "away")
    before = sorted((project / ".dvc/cache").rglob("*"))
    with pytest.raises(Away, match="/storage, which does not exist here"):
        cleaned(project, cloud=True)
    assert sorted((project / ".dvc/cache").rglob("*")) == before


def test_leftovers_go_and_what_is_in_use_stays(project: Path) -> None:
    tmp = project / ".dvc/tmp"
    for leftover in ("release", "trees/1", "trees/2", "deployments/ff", "venvs/ff-3.11"):
        git(project, "worktree", "add", "--quiet", "--detach", str(tmp / leftover))
    with scratch.hold_scratch(tmp / "trees/2"):
        said = cleaned(project)
    assert [line.split(",")[0] for line in said[2:-1]] == [
        "nothing names 1 deployment",
        "nothing names 1 set of libraries",
        "nothing names 1 leftover of a reproduction or check",
        "nothing names 1 leftover of a promotion",
    ]
    assert [path.parent.name for path in tmp.rglob(".git")] == ["2"]
    assert git(project, "worktree", "list").count("\n") == 2
