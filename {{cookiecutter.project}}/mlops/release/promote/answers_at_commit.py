"""Computes what the bundle of a commit answers for given rows, with the code of that commit.

A module that fails raises CalledProcessError; the last line of its standard error is the reason.
"""

import subprocess
import sys
from pathlib import Path

from mlops.release import child_environment
from mlops.release.data import store
from mlops.release.data.dvc import Repo
from mlops.release.history import lockfile
from mlops.release.history.git import Git
from mlops.release.history.outputs import BUNDLE, TRAINING

CODE = ("mlops", "science")


def export_commit(repo: Repo, commit: str, place: Path) -> None:
    """Writes the commit's code, its bundle and the rows that it was trained on to `place`."""
    git = Git(Path(repo.root_dir))
    lock = lockfile.read_lock(git, commit)
    git.export(commit, CODE, place)
    for path in (BUNDLE, TRAINING):
        store.copy_object(repo, lock.required_hash(path), place / path, path=path, commit=commit)


def answer_test_rows(place: Path, test: Path, group: str | None = None) -> Path:
    """Writes what the bundle in `place` answers for the rows of `test`, and on which of them or of their
    groups, by the column `group`, it was trained; returns the file."""
    file = place / "scores.npz"
    groups = [group] if group else []
    run_module("mlops.compare.answer_rows", BUNDLE, TRAINING, test, file, *groups, cwd=place)
    return file


def run_module(module: str, *arguments: object, cwd: Path) -> str:
    """Runs a module of another room and returns what it printed. Raises CalledProcessError."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    process = subprocess.run(
        command,
        cwd=cwd,
        env=child_environment.for_python(cwd),
        capture_output=True,
        errors="replace",
        check=True,
    )
    return process.stdout


def failure_reason(error: subprocess.CalledProcessError) -> str:
    lines = error.stderr.strip().splitlines() or [f"exit {error.returncode}"]
    return str(lines[-1])
