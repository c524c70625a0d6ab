"""A project whose model is in production, trained on a small table; its Git origin beside it."""

import json
import shutil
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
import small_project
from conftest import MLOPS, NAME, Run
from install import LOCKS, digest

TABLE = Path("data/raw/adult.csv")


@pytest.fixture(scope="session")
def production(
    run: Run, bake: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    directory = tmp_path_factory.mktemp("released")
    (directory / "storage").mkdir()
    project = bake(directory, remote_url=str(directory / "storage"))
    run.git("init", "--quiet", "--bare", "--initial-branch", "dev", "../origin", cwd=project)
    run.git("remote", "add", "origin", "../origin", cwd=project)
    run.git("push", "--quiet", "origin", "dev", "staging", "prod", cwd=project)
    small_project.table().to_csv(project / TABLE, index=False)
    for name, text in small_project.ENVIRONMENTS.items():
        (project / f"environments/{name}.yaml").write_text(text)
    release(run, project, "A small table")
    return directory


def release(run: Run, project: Path, message: str) -> None:
    """Bring what the working tree of dev holds to prod."""
    run("mlops", "repro", cwd=project)
    run.git("add", "--all", cwd=project)
    run.git("commit", "--quiet", "--message", message, cwd=project)
    for environment in ("staging", "prod"):
        run("mlops", "promote", environment, cwd=project)


@pytest.fixture
def in_production(production: Path, tmp_path: Path) -> Path:
    """A project of the test's own, and an origin; the storage is that of all."""
    shutil.copytree(production, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy" / NAME


def clone(run: Run, project: Path, branch: str) -> Path:
    """As CI has it: a branch of the project's origin, and nothing of DVC's."""
    place = project.parent / f"clone of {branch}"
    run.git("clone", "--quiet", "--branch", branch, "origin", str(place), cwd=project.parent)
    return place


def install(project: Path) -> None:
    """A .venv that sees the libraries of this one, so that install.py finds nothing to do."""
    directory = project / ".venv"
    venv.create(directory, symlinks=True)
    see = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"
    next(directory.glob("lib/*/site-packages")).joinpath("see.pth").write_text(see)
    launcher = directory / "bin/mlops"
    launcher.write_text(MLOPS)
    launcher.chmod(0o755)
    files = [*(project / "requirements" / lock.name for lock in LOCKS), project / "pyproject.toml"]
    digests = [digest(file) for file in files]
    stamp = {
        "python": "{}.{}".format(*sys.version_info),
        "directory": str(directory),
        **dict(zip(map(str, [*files[:-1], project]), digests, strict=True)),
    }
    (directory / "installed.json").write_text(json.dumps(stamp))
