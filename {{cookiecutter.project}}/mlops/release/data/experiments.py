"""Saves experiments of DVC: runs of all stages with other parameters, beside the working tree."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops.release import child_environment
from mlops.release.errors import StageFailed
from mlops.release.history import models
from mlops.release.history.git import Git

LAST_LINES = 15


def save_experiment(root: Path, name: str, parameters: Mapping[str, Any]) -> None:
    """Runs the stages with these values of params.yaml, whose keys have dots, and saves the run as an
    experiment, unless there is one of this name. Raises StageFailed with the last lines of DVC if a stage
    fails."""
    if name in models.saved_experiments(Git(root)).values():
        return
    changes = [f"--set-param={key}={json.dumps(value)}" for key, value in parameters.items()]
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name, *changes],
        cwd=root,
        env=child_environment.for_python(root),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise StageFailed("\n".join(done.stdout.strip().splitlines()[-LAST_LINES:]))
