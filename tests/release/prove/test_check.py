"""Tests that each fault in a tiny pipeline, which was run, committed and pushed, is found, and that its
remedy works."""

import os
from pathlib import Path

import pytest

import tiny_pipeline
from mlops.errors import Refused
from mlops.release.data import dvc
from mlops.release.data.repro import run_repro
from mlops.release.prove.check import check_tree
from tiny_pipeline import commit, copied, git, make, reproduced, shell

FILES = {
    **tiny_pipeline.FILES,
    "dvc.yaml": tiny_pipeline.PIPELINE
    + """\
  split:
    cmd: mkdir -p models/split && cp data/raw.txt models/split/a && cp data/raw.txt models/split/b
    deps: [data/raw.txt]
    outs: [models/split]
""",
}


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reproduced(tmp_path_factory.mktemp("check") / "project", FILES)


@pytest.fixture
def project(pushed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return copied(pushed, tmp_path, monkeypatch)


def findings(project: Path) -> list[str]:
    with pytest.raises(Refused) as refused:
        check_tree(project)
    return str(refused.value).split("\n- ")[1:]


def rot(path: Path) -> None:
    """Writes other bytes of the same size and time, as a failing disk does."""
    status = path.stat()
    path.chmod(0o644)
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def believe(project: Path) -> None:
    """Lets DVC check all files and cache their hashes, which it looks up by size and time."""
    with dvc.open_repo(project) as repo:
        assert repo.status() == {}


def objects(project: Path) -> list[Path]:
    """Returns all objects except the lists of files of directories."""
    found = (project / ".dvc/cache/files/md5").glob("*/*")
    return [path for path in found if path.suffix != ".dir"]


def test_a_true_project_is_well_and_so_is_its_clone(project: Path) -> None:
    assert check_tree(project).startswith("all well in dev")
    git(project.parent, "clone", "--quiet", "project", "clone")
    assert check_tree(project.parent / "clone").startswith("all well in dev")


def test_data_that_nobody_sent_are_named_by_path_commit_and_author(project: Path) -> None:
    (project / "params.yaml").write_text("weight: 22\n")
    run_repro(project)
    commit(project, "Weight 22")
    with dvc.open_repo(project) as repo:
        repo.stage_cache.push(None)  # the run records alone
    made = git(project, "rev-parse", "--short", "HEAD").strip()
    git(project.parent, "clone", "--quiet", "project", "clone")
    named = rf"models/model\.txt \({made} by A\. Tester\), deploy\.txt \({made} by A\. Tester\)"
    with pytest.raises(
        Refused, match=rf"1\n- the data of {named} are neither whole in the cache nor"
    ):
        check_tree(project.parent / "clone")


@pytest.mark.parametrize("name", ["models/model.txt", "models/split/a"])
def test_a_rotten_output_is_found_though_dvc_believes_it(project: Path, name: str) -> None:
    believe(project)
    rot(project / name)
    believe(project)
    [finding] = findings(project)
    shell(project, finding.split("`")[1])
    assert check_tree(project).startswith("all well")


def test_with_a_rotten_cache_the_cure_takes_the_bytes_of_the_remote(project: Path) -> None:
    believe(project)
    for path in [project / "models/split/b", *objects(project)]:
        rot(path)
    [finding] = findings(project)
    assert "dvc pull" in finding
    shell(project, finding.split("`")[1])
    assert (project / "models/split/b").read_text() == "5\n"
    assert check_tree(project).startswith("all well")


def test_all_faults_are_listed_at_once_each_once(project: Path) -> None:
    for name, text in {
        "branch.yaml": "environment: prod\n",
        "environments/prod.yaml": "label: dev\n",
        "params.yaml": "weight: 2\n",
        "data/raw.txt": "6\n",
        "reports/metrics.yaml": "sum: 99\n",
    }.items():
        (project / name).write_text(text)
    lock = (project / "dvc.lock").read_text()
    (project / "dvc.lock").write_text(lock.replace("weight: 1", "weight: 2"))
    found = findings(project)
    assert [line.partition(":")[0].partition(" ")[0] for line in found] == [
        "branch.yaml",
        "train",
        "reports/metrics.yaml",
        "data/raw.txt",
        "deploy",
        "split",
    ]


def test_a_stage_that_is_not_up_to_date_is_found(project: Path) -> None:
    (project / "params.yaml").write_text("weight: 2\n")
    assert findings(project) == ["train: not up to date: `mlops repro`"]
    run_repro(project)
    assert check_tree(project).startswith("all well")


def test_results_without_the_record_of_a_run_are_found(project: Path) -> None:
    (project / "dvc.lock").unlink()
    commit(project, "No lock")
    assert any(
        "reports/ has results, and there is no dvc.lock" in line for line in findings(project)
    )


def test_where_ci_has_checked_out_no_branch_its_name_is_given(project: Path) -> None:
    git(project, "checkout", "--quiet", "--detach")
    assert check_tree(project, "dev").startswith("all well")
    with pytest.raises(Refused, match="says dev, but this is the branch prod"):
        check_tree(project, "prod")


def test_a_back_merge_is_found(project: Path) -> None:
    for branch, text in {"prod": "environment: prod\n", "dev": "environment: dev\n"}.items():
        git(project, "switch", "--quiet", "--force-create", branch, "dev")
        (project / "branch.yaml").write_text(text)
        (project / branch).touch()
        commit(project, f"This is {branch}")
    git(project, "merge", "--quiet", "--no-edit", "prod")
    assert any("merges prod into dev" in finding for finding in findings(project))


def test_a_project_of_which_nothing_was_run_is_well(tmp_path: Path) -> None:
    make(tmp_path / "project")
    assert check_tree(tmp_path / "project") == "all well in dev: nothing was run yet"
