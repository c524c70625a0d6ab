"""Installs the locked libraries of a commit in a virtual environment of their own.

It is stored under .dvc/tmp by the hash of the locks and the version of Python, and used again.
"""

import hashlib
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops.errors import MlopsError
from mlops.release import child_environment
from mlops.release.history.git import Git
from mlops.release.places import process, scratch

FOLDER = Path(".dvc/tmp/venvs")
LOCKS = "requirements"
INSTALL = "install.py"
COMPLETE = "complete"


@contextmanager
def venv_of_commit(git: Git, commit: str, tree: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """Yields the directory of the environment for `commit`, whose working tree is `tree`."""
    process.refuse_windows()
    folder = git.root / FOLDER / venv_name(git, commit)
    with scratch.hold_scratch(folder):
        if not (folder / COMPLETE).exists():
            install_venv(folder, tree, say)
    with scratch.hold_scratch(folder, shared=True):
        yield folder


def lock_digest(lock: str) -> str:
    """Returns the hash that install.py records for the text of a lock."""
    words = re.sub(r"(?m)(^|\s)#.*", "", lock).replace("\\\n", " ").split()
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def locks_hash(folder: Path) -> str:
    """Returns Git's hash of the locks that the environment was made from."""
    return folder.name.partition("-")[0]


def venv_name(git: Git, commit: str) -> str:
    for path in (LOCKS, INSTALL):
        if not git.succeeds("cat-file", "-e", f"{commit}:{path}"):
            raise MlopsError(
                f"{commit[:7]} has no {path}, and its libraries are unknown: choose a commit "
                "in which they are locked"
            )
    return f"{git.run('rev-parse', f'{commit}:{LOCKS}')}-{platform.python_version()}"


def install_venv(folder: Path, tree: Path, say: Callable[[str], None]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    command = (sys.executable, INSTALL, "--venv", folder, "--no-project")
    try:
        process.run_watched(command, tree, child_environment.for_installer(), say)
    except subprocess.CalledProcessError as error:
        raise MlopsError(
            f"the libraries of {tree} can't be installed with Python {platform.python_version()}: "
            f"{process.last_lines(error)}\nThey come from a package index: make sure that it is "
            "available and still has the versions of requirements/, then try again"
        ) from error
    (folder / COMPLETE).touch()


def venv_variables(folder: Path, tree: Path) -> dict[str, str]:
    """Returns the variables of a shell in `tree` that has activated the environment."""
    variables = child_environment.for_python(tree, programs=folder / "bin")
    return {**variables, "VIRTUAL_ENV": str(folder)}
