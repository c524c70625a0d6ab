import subprocess
import sys
from pathlib import Path

import pytest

from release import environments, promotion, repro, status, worktree
from release.errors import Refused, StageFailed
from release.git import Git

PIPELINE = f"""
vars: [environment.yaml]
stages:
  train:
    cmd: {sys.executable} train.py
    deps: [train.py]
    params: [train]
    outs: [models/model.onnx]
  gate:
    cmd: {sys.executable} gate.py
    deps: [gate.py, models/model.onnx]
    params:
      - environments/${{environment}}.yaml: [gate]
    metrics:
      - reports/gate.json: {{cache: false}}
"""

TRAIN = """
import pathlib
pathlib.Path("models").mkdir(exist_ok=True)
quality = pathlib.Path("params.yaml").read_text().split()[-1]
pathlib.Path("models/model.onnx").write_text(quality)
"""

GATE = """
import json, pathlib, sys
quality = float(pathlib.Path("models/model.onnx").read_text())
name = pathlib.Path("environment.yaml").read_text().split()[-1]
bound = float(pathlib.Path(f"environments/{name}.yaml").read_text().split()[-1])
if quality < bound:
    sys.exit(f"quality is {quality} and must be at least {bound}")
pathlib.Path("reports").mkdir(exist_ok=True)
pathlib.Path("reports/gate.json").write_text(json.dumps({"passed": True, "bound": bound}))
"""

FILES = {
    "dvc.yaml": PIPELINE,
    "train.py": TRAIN,
    "gate.py": GATE,
    "params.yaml": "train: 0.9\n",
    "environment.yaml": "environment: dev\n",
    ".dvc/config": "[core]\n    analytics = false\n    autostage = true\n",
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".gitignore": "/models\n",
    "reports/.gitignore": "",
    **{f"environments/{name}.yaml": f"gate: {bound}\n" for name, bound in
       {"dev": 0.1, "staging": 0.7, "prod": 0.8}.items()},
}


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project on dev, whose pipeline has run; staging and prod are its first commit."""
    root = tmp_path_factory.mktemp("tiny")
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    git = Git(root)
    git.run("init", "--quiet", "-b", "dev")
    commit(git, "The project")
    for environment in ("staging", "prod"):
        git.run("switch", "--quiet", "-c", environment)
        (root / environments.FILE).write_text(f"environment: {environment}\n")
        commit(git, f"This is {environment}")
    git.run("switch", "--quiet", "dev")
    repro.repro(root)
    commit(git, "Reproduce")
    return root


@pytest.fixture
def git(reproduced: Path, tmp_path: Path) -> Git:
    root = tmp_path / "project"
    subprocess.run(["cp", "-r", reproduced, root], check=True)
    return Git(root)


def commit(git: Git, message: str) -> str:
    git.run("add", "--all")
    git.run("commit", "--quiet", "--message", message)
    return git.run("rev-parse", "HEAD")


def change(git: Git, name: str, content: str) -> None:
    (git.root / name).write_text(content)


def state(git: Git) -> tuple[str, str, str]:
    return git.run("for-each-ref"), git.run("status", "--porcelain"), git.run("worktree", "list")


def promote(git: Git, environment: str) -> promotion.Promoted:
    return promotion.promote(git, environment, lambda line: None)


def refused(git: Git, environment: str, words: str, error: type[Exception] = Refused) -> None:
    """The promotion is refused with these words, and nothing has changed."""
    before = state(git)
    with pytest.raises(error, match=words):
        promote(git, environment)
    assert state(git) == before


def test_uncommitted_work_is_refused(git: Git) -> None:
    change(git, "train.py", TRAIN + "# not committed\n")
    refused(git, "staging", "dev has uncommitted work: train.py: commit it")


def test_unreproduced_work_is_refused(git: Git) -> None:
    change(git, "params.yaml", "train: 0.95\n")
    commit(git, "Another parameter, not run")
    refused(git, "staging", "dev is not reproduced; not up to date: train")


def test_a_record_without_a_run_is_refused(git: Git) -> None:
    lock = git.root / "dvc.lock"
    lock.write_text(lock.read_text().replace("train: 0.9", "train: 0.95"))
    change(git, "params.yaml", "train: 0.95\n")
    commit(git, "A lie")
    refused(git, "staging", "no run attests dvc.lock's train")


def test_an_environment_without_a_model_is_refused(git: Git) -> None:
    refused(git, "prod", "staging has made no model yet: `mlops promote staging`")


def test_a_checked_out_target_is_refused(git: Git) -> None:
    git.run("switch", "--quiet", "staging")
    refused(git, "staging", r"staging is checked out in .*git -C .* switch dev")


def test_changes_that_the_source_lacks_are_refused_until_they_are_picked(git: Git) -> None:
    git.run("switch", "--quiet", "staging")
    change(git, "gate.py", GATE + "# mended\n")
    fix = commit(git, "Mend the gate")
    git.run("switch", "--quiet", "dev")
    refused(git, "staging", f"(?s)Mend the gate.*git cherry-pick -x {fix[:7]}")
    git.run("cherry-pick", "-x", fix)
    repro.repro(git.root)
    commit(git, "Reproduce with the mended gate")
    assert promote(git, "staging").made is not None


def test_a_second_release_at_the_same_time_is_refused(git: Git) -> None:
    with worktree.one_release_at_a_time(git):
        refused(git, "staging", "another promotion or rollback is running")


def test_a_worse_model_is_refused(git: Git) -> None:
    change(git, "params.yaml", "train: 0.6\n")
    repro.repro(git.root)
    commit(git, "A worse model")
    refused(git, "staging", "gate", StageFailed)


def test_a_promotion_carries_the_model_and_runs_only_what_differs(git: Git) -> None:
    staging, prod = promote(git, "staging"), promote(git, "prod")
    assert staging.made == prod.made == ["gate"]
    assert git.run("diff", "--name-only", "staging", "prod").split() == [
        "dvc.lock", "environment.yaml", "reports/gate.json",
    ]  # fmt: skip
    assert git.lines("show", "-s", "--format=%P", "prod") == [
        f"{git.commit('prod^1')} {git.commit('staging')}"
    ]
    models = {each.environment: each.model for each in status.of_every_environment(git)}
    assert models["dev"] == models["staging"] == models["prod"]
    assert promote(git, "prod").made is None
    assert state(git)[1] == ""
