"""Bakes a project with its first model, and converts the model to the form that its peers need."""

import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from environments import Environment
from pipeline import ENVIRONMENT, TEMPLATE, cookiecutter

PEERS = Path(__file__).with_name("peers")
MLFLOW = "mlflow==3.17.2"  # of 3.18.0 the package index lacks a part
SAME_MODEL = [f"{name}=={version(name)}" for name in ("numpy", "pandas", "scikit-learn")]


@dataclass(frozen=True)
class Project:
    """A project with a model. `folder` is the repository; `twin` holds the same trees as a scikit-learn
    pipeline."""

    folder: Path
    twin: Path

    @property
    def joblib(self) -> Path:
        return self.twin / "model.joblib"

    @property
    def mlflow(self) -> Path:
        return self.twin / "mlflow"

    @property
    def test_rows(self) -> Path:
        """Returns the Parquet file of the test rows, with the prediction and the probability of each row."""
        return self.twin / "test.parquet"


def make_project(parent: Path, mlflow: Environment) -> Project:
    print("baking and training", flush=True)
    project = Project(cookiecutter(TEMPLATE, parent), parent / "twin")
    call(sys.executable, "-m", "mlops.cli", "repro", cwd=project.folder)
    call("git", "add", "--all", cwd=project.folder)
    call("git", "commit", "--quiet", "--message", "First model", cwd=project.folder)
    project.twin.mkdir()
    code = {"PYTHONPATH": str(project.folder)}
    call(sys.executable, PEERS / "twin.py", project.twin, cwd=project.folder, variables=code)
    call(mlflow.python, PEERS / "log_mlflow.py", project.twin, cwd=parent)
    return project


def call(*command: str | Path, cwd: Path, variables: dict[str, str] | None = None) -> str:
    """Runs a command and returns its output. Exits with a message if the command fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**ENVIRONMENT, **(variables or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout
