"""Tests that a text merge of dvc.lock can record a run that never happened, and that it is prevented, with
real Git, real DVC and stages of shell.

Two branches leave dev. `parameter` raises the weight from 1 to 3; `script` caps it at 2, which
changes nothing while it is 1. Together they give 10 (5 * 2), and neither branch ever ran that.
"""

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import pytest
from dvc.exceptions import ReproductionError
from dvc.repo import Repo

import tiny_pipeline
from machinery import PROJECT

DRIVER = "python3 -I mlops/release/history/lock_merge.py %O %A %B %P"
PIPELINE = """\
vars: [branch.yaml]
stages:
  train:
    cmd: sh train.sh ${environment}
    deps: [train.sh]
    params:
      - weight
      - environments/${environment}.yaml: [rows]
    outs: [models/model.txt]
  evaluate:
    cmd: cp models/model.txt reports/metrics.json
    deps: [models/model.txt]
    metrics:
      - reports/metrics.json: {cache: false}
  deploy:
    cmd:
      - python -m mlops.deploy.guard
      - cp models/model.txt deploy.txt
    deps: [models/model.txt, mlops/deploy]
    params:
      - environments/${environment}.yaml: [rows]
    outs: [deploy.txt]
"""
EXTRA = """\
  extra:
    cmd: cp models/model.txt models/extra.txt
    deps: [models/model.txt]
    outs: [models/extra.txt]
"""
TRAIN = """\
weight=$(sed -n 's/weight: //p' params.yaml)
rows=$(sed -n 's/rows: //p' environments/$1.yaml)
# the cap
echo $((weight * rows)) > models/model.txt
"""
CAPPED = TRAIN.replace("# the cap", "if [ $weight -gt 2 ]; then weight=2; fi")
ROWS = {"dev": 5, "staging": 50, "prod": 500}
FILES = {
    ".gitignore": "__pycache__/\n",
    ".dvcignore": "__pycache__/\n",
    ".dvc/config": "[core]\n    analytics = false\n    autostage = true\n",
    ".dvc/.gitignore": "/cache\n/config.local\n/tmp\n",
    "dvc.yaml": PIPELINE,
    "params.yaml": "weight: 1\n",
    "train.sh": TRAIN,
    "branch.yaml": "environment: dev\n",
    "models/.gitkeep": "",
    "reports/.gitkeep": "",
    **{f"environments/{name}.yaml": f"rows: {rows}\n" for name, rows in ROWS.items()},
}
# DVC reads pygtrie as it used to be.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value will soon:DeprecationWarning")


class Repository:
    """A small project at `root`, whose stages take milliseconds."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def git(self, arguments: str, *rest: str) -> str:
        process = self.try_git(arguments, *rest)
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    def try_git(self, arguments: str, *rest: str) -> subprocess.CompletedProcess[str]:
        command = ["git", *arguments.split(), *rest]
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        tiny_pipeline.age(path)

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def commit(self, message: str) -> None:
        self.git("add --all")
        self.git("commit --quiet --allow-empty --message", message)

    @contextmanager
    def dvc(self) -> Iterator[Repo]:
        with chdir(self.root), Repo() as repo:
            yield repo

    def run(self, message: str) -> list[str]:
        """Runs plain `dvc repro`, and commits."""
        with self.dvc() as repo:
            ran = [stage.addressing for stage in repo.reproduce()]
        self.commit(message)
        return ran

    def merge_as_text(self) -> None:
        """Merges as in a project without .gitattributes."""
        self.write(".git/info/attributes", "dvc.lock merge=text\nreports/** merge=text\n")

    def unattested(self) -> list[str]:
        attestation = importlib.import_module("mlops.release.data.attestation")
        files = [(self.root / name).read_bytes() for name in ("dvc.lock", "dvc.yaml")]
        found: list[str] = attestation.entries_without_run(*files, self.root / ".dvc/cache/runs")
        return found


@pytest.fixture(scope="module", autouse=True)
def identity() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "A. Tester")
            patch.setenv(f"GIT_{role}_EMAIL", "tester@example.org")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        patch.setenv("GIT_EDITOR", "true")
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        patch.delenv("VIRTUAL_ENV", raising=False)
        yield


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The chained environments, and the branches `parameter` (checked out) and `script`."""
    repository = Repository(tmp_path_factory.mktemp("lock") / "original")
    for name, text in FILES.items():
        repository.write(name, text)
    shutil.copy(PROJECT / ".gitattributes", repository.root)
    ignored = shutil.ignore_patterns("__pycache__", "declared.py")
    shutil.copytree(PROJECT / "mlops", repository.root / "mlops", ignore=ignored)
    repository.git("init --quiet --initial-branch dev")
    repository.git("config merge.binary.driver", DRIVER)
    repository.run("Begin")
    for branch, before in (("staging", "dev"), ("prod", "staging")):
        repository.git(f"switch --quiet --create {branch} {before}")
        repository.write("branch.yaml", f"environment: {branch}\n")
        repository.run(f"Begin {branch}")
    repository.git("switch --quiet --create script dev")
    repository.write("train.sh", CAPPED)
    repository.run("Cap the weight")
    repository.git("switch --quiet --create parameter dev")
    repository.write("params.yaml", "weight: 3\n")
    repository.run("Raise the weight")
    return repository


@pytest.fixture
def repository(original: Repository, tmp_path: Path) -> Repository:
    shutil.copytree(original.root, tmp_path / "project")
    return Repository(tmp_path / "project")


@pytest.mark.parametrize("how", ["merge --no-edit", "rebase --quiet", "cherry-pick"])
class TestTwoBranchesOfOneStage:
    def test_text_merge_lies(self, repository: Repository, how: str) -> None:
        repository.merge_as_text()
        repository.git(f"{how} script")
        with repository.dvc() as repo:
            assert repo.status() == {}
            assert repo.reproduce() == []
            assert repository.read("reports/metrics.json") == "15\n"
            repo.reproduce(force=True)
        assert repository.read("reports/metrics.json") == "10\n"

    def test_the_driver_ends_it_for_plain_dvc(self, repository: Repository, how: str) -> None:
        repository.git(f"{how} script")
        assert repository.run("Both") == ["train", "evaluate", "deploy"]
        assert repository.read("reports/metrics.json") == "10\n"
        assert repository.unattested() == []

    def test_attestation_ends_it_for_a_text_merge(self, repository: Repository, how: str) -> None:
        repository.merge_as_text()
        repository.git(f"{how} script")
        assert repository.unattested() == ["train"]
        importlib.import_module("mlops.release.data.repro").run_repro(repository.root)
        assert repository.read("reports/metrics.json") == "10\n"
        assert repository.unattested() == []


class TestDriver:
    @pytest.mark.parametrize("how", ["merge --no-edit", "rebase --quiet", "cherry-pick"])
    @pytest.mark.parametrize("fault", ["not configured", "no python3", "no script"])
    def test_where_it_cannot_run_git_sees_a_conflict(
        self, repository: Repository, how: str, fault: str
    ) -> None:
        if fault == "not configured":
            repository.git("config --unset merge.binary.driver")
        elif fault == "no python3":
            repository.git("config merge.binary.driver", DRIVER.replace("python3", "python-none"))
        else:
            repository.git("config merge.binary.driver", DRIVER.replace("lock_merge", "lost"))
        before = [repository.git(f"show {branch}:dvc.lock") for branch in ("parameter", "script")]
        assert repository.try_git(f"{how} script").returncode != 0
        assert "dvc.lock" in repository.git("diff --name-only --diff-filter=U").split()
        assert repository.read("dvc.lock") in before

    def test_reports_changed_on_both_sides_do_not_conflict_and_are_made_anew(
        self, repository: Repository
    ) -> None:
        repository.git("switch --quiet script")
        repository.write("train.sh", CAPPED.replace("* rows", "* rows * 2"))
        repository.run("Count the rows twice")
        repository.git("switch --quiet parameter")
        repository.git("merge --no-edit script")
        assert repository.read("reports/metrics.json") == "15\n"
        repository.run("Both")
        assert repository.read("reports/metrics.json") == "20\n"

    def test_both_directions_of_a_merge_leave_the_same_lock(self, repository: Repository) -> None:
        repository.git("branch ours")
        repository.git("merge --no-edit script")
        one = repository.read("dvc.lock")
        repository.git("switch --quiet script")
        repository.git("merge --no-edit ours")
        assert repository.read("dvc.lock") == one

    def test_two_histories_without_a_common_lock(self, repository: Repository) -> None:
        repository.git("switch --quiet --orphan begun-anew")
        repository.git("checkout script -- .")
        repository.commit("Begin anew")
        repository.git("merge --no-edit --allow-unrelated-histories -X theirs parameter")
        repository.git("checkout parameter -- params.yaml")
        repository.git("checkout script -- train.sh")
        repository.run("Both")
        assert repository.read("reports/metrics.json") == "10\n"
        assert repository.unattested() == []


class TestEnvironments:
    def merge_down(self, repository: Repository, weight: int) -> None:
        """Merges downstream with plain Git and DVC, so that every branch then holds the results of its own
        run."""
        for source, target in (("dev", "staging"), ("staging", "prod")):
            repository.git(f"switch --quiet {target}")
            repository.git(f"merge --no-edit {source}")
            repository.run(f"Merge {source}")
            assert repository.read("branch.yaml") == f"environment: {target}\n"
            assert repository.read("deploy.txt") == f"{weight * ROWS[target]}\n"
            assert repository.unattested() == []
            with repository.dvc() as repo:
                assert repo.status() == {}
        repository.git("switch --quiet dev")

    def test_round_after_round_with_stages_added_renamed_and_removed(
        self, repository: Repository
    ) -> None:
        repository.git("switch --quiet dev")
        repository.write("params.yaml", "weight: 2\n")
        repository.write("dvc.yaml", PIPELINE + EXTRA)
        repository.run("Add a stage, raise the weight")
        self.merge_down(repository, 2)

        renamed = PIPELINE.replace("evaluate:", "measure:") + EXTRA.replace("extra:", "more:")
        repository.write("dvc.yaml", renamed)
        repository.write("train.sh", CAPPED)
        repository.run("Rename two stages, cap the weight")
        self.merge_down(repository, 2)

        repository.write("params.yaml", "weight: 1\n")
        with repository.dvc() as repo:
            repo.remove("more")
        repository.run("Remove a stage")
        self.merge_down(repository, 1)
        for branch in ROWS:
            assert "more:" not in repository.git(f"show {branch}:dvc.lock")

    @pytest.mark.parametrize("history", ["fast-forward", "back-merge"])
    def test_a_flipped_environment_is_caught_before_it_deploys(
        self, repository: Repository, history: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        repository.git("switch --quiet dev")
        if history == "back-merge":
            repository.write("params.yaml", "weight: 4\n")
            repository.run("Go on")
        repository.git("merge --no-edit staging")
        assert repository.read("branch.yaml") == "environment: staging\n"
        with repository.dvc() as repo, pytest.raises(ReproductionError):
            repo.reproduce(force=True)
        cure = re.search("`(echo .*)`, and commit it", capfd.readouterr().err)
        assert cure is not None
        subprocess.run(["sh", "-c", cure[1]], check=True, cwd=repository.root)
        repository.run("This is dev")
        weight = 4 if history == "back-merge" else 1
        assert repository.read("deploy.txt") == f"{weight * 5}\n"
