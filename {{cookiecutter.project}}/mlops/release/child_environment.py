"""The environment variables of every process that this room starts, and of DVC inside this one.

Git tells the processes that it starts (hooks, `rebase --exec`, aliases) where its repository, working tree
and index are; in any other working tree that is wrong. PYTHONPATH, PYTHONSAFEPATH and another `python`
first on PATH put other code and other libraries in the place of the project's. None of these reaches a
process that is started here. The caller still decides who commits (GIT_AUTHOR_NAME) and how a remote is
reached (GIT_SSH_COMMAND).

No other module of release/, and no module of batch/ or cli/, passes os.environ on.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from mlops.errors import MlopsError
from mlops.release.errors import GitError

OF_PYTHON = ("PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV")
"""The variables that lead a Python to code or libraries of the caller's choice."""


def for_command() -> dict[str, str]:
    """Returns the variables for a program such as Git: all of the caller's but Git's local ones."""
    return {name: value for name, value in os.environ.items() if name not in local_to_git()}


def for_installer() -> dict[str, str]:
    """Returns the variables for a Python whose import path nothing of the caller's extends."""
    return {name: value for name, value in for_command().items() if name not in OF_PYTHON}


def for_python(code: Path, programs: Path | None = None) -> dict[str, str]:
    """Returns the variables for a Python that runs modules of the directory `code`, and for its stages.

    The first `python` on PATH is that of the directory `programs`, by default the one that runs now.
    """
    variables = for_installer()
    first = str(programs or own_programs())
    others = variables.get("PATH", os.defpath).split(os.pathsep)
    path = os.pathsep.join([first, *(other for other in others if other != first)])
    return {**variables, "PATH": path, "PYTHONPATH": str(code)}


@contextmanager
def in_this_process(code: Path) -> Iterator[None]:
    """Sets the variables of `for_python` in this process while the block runs: DVC passes them on."""
    before, wanted = dict(os.environ), for_python(code)
    replace(wanted)
    try:
        yield
    finally:
        replace(before)


def replace(variables: dict[str, str]) -> None:
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def own_programs() -> Path:
    return Path(sys.executable).parent


def require_python() -> None:
    """Raises MlopsError if a stage would run another `python` than the one that runs now."""
    if not shutil.which("python", path=str(own_programs())):
        raise MlopsError(
            f"the stages run `python`, and there is none beside {sys.executable}: run "
            "`python3 install.py`, which makes .venv, then `.venv/bin/mlops` again"
        )


def local_to_git() -> frozenset[str]:
    """Returns the names of the variables that belong to one repository; asks Git only if any is set."""
    has_variables = any(name.startswith("GIT_") for name in os.environ)
    return named_by_git() if has_variables else frozenset()


@cache
def named_by_git() -> frozenset[str]:
    try:
        listed = subprocess.run(
            ["git", "rev-parse", "--local-env-vars"],
            env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            capture_output=True,
            errors="replace",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise GitError(f"cannot run git: {error}") from error
    return frozenset(listed.stdout.split())
