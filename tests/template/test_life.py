"""Tests one short life of a project: its own code on a few hundred rows, from dev to staging."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import instant_project
import small_project
from machinery import PROJECT
from tiny_pipeline import commit, git

IGNORED = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", "cache", "tmp", "raw", "prepared", "*.egg-info", ".*_cache"
)


@pytest.fixture
def newborn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project with a small table, all of which every environment sees."""
    instant_project.speak_as_tester(monkeypatch)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # on a table this small threads wait for each other
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=IGNORED)
    (project / "data/raw").mkdir(parents=True)
    small_project.table().to_csv(project / small_project.TABLE, index=False)
    for name in small_project.ENVIRONMENTS:
        text = small_project.ENVIRONMENT.format(fraction=1.0, on_failure="stop")
        (project / f"environments/{name}.yaml").write_text(text)
    (project / ".dvc/config").write_text("[core]\n    analytics = false\n    autostage = true\n")
    for made in ("dvc.lock", "data/raw.dvc", "reports/metrics.json", "reports/gate.json"):
        (project / made).unlink(missing_ok=True)
    git(project, "init", "--quiet", "--initial-branch", "dev")
    run(project, "dvc", "add", "--quiet", "data/raw")
    instant_project.chain(project, "A small table")
    return project


def run(project: Path, *command: str) -> str:
    process = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def mlops(project: Path, *arguments: str) -> str:
    return run(project, sys.executable, "-m", "mlops.cli", *arguments)


def predict(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlops.cli", "predict", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_life(newborn: Path) -> None:
    mlops(newborn, "repro")
    commit(newborn, "First model")
    mlops(newborn, "promote", "staging")
    status = {line.split()[0]: line.split() for line in mlops(newborn, "status").splitlines()[2:]}
    dev, staging = status["dev"], status["staging"]
    assert staging[1] == "v1.0.0"
    assert dev[3] == staging[3]
    answer = json.loads(mlops(newborn, "predict", "--environment", "staging"))
    assert sum(answer["probability"].values()) == pytest.approx(1)
    unseen = {name: "new" for name, value in answer["row"].items() if isinstance(value, str)}
    warned = predict(newborn, json.dumps({**answer["row"], **unseen}), "--environment", "staging")
    assert warned.returncode == 0
    assert warned.stderr.count("warning: ") == warned.stderr.count(', got "new"') == len(unseen)
    assert git(newborn, "status", "--porcelain") == ""
    refused = predict(newborn, "--environment", "prod")
    assert refused.returncode == 1
    assert refused.stderr == "mlops: prod has deployed nothing yet: `mlops promote prod`\n"
