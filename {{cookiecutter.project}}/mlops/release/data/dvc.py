"""DVC in this process: opened once, its errors told as this room's own."""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from dvc.config import Config
from dvc.exceptions import DvcException
from dvc.logger import set_loggers_level
from dvc.repo import Repo, lock_repo
from dvc.ui import ui

from mlops.errors import MlopsError
from mlops.release import child_environment
from mlops.release.data import attestation

__all__ = [
    "Repo", "dvc_message", "dvc_settings", "fetch_records", "open_repo", "open_repo_alone", "quiet_dvc",
    "unattested_entries",
]  # fmt: skip


@contextmanager
def open_repo(root: Path, config: Mapping[str, object] | None = None) -> Iterator[Repo]:
    """The DVC repository at `root`, which is the working directory, its code first for stages, meanwhile."""
    try:
        with (
            chdir(root),
            child_environment.in_this_process(root),
            Repo(str(root), config=config) as repo,
        ):
            ui.enable()
            yield repo
    except (DvcException, OSError) as error:
        raise MlopsError(dvc_message(error)) from error


@contextmanager
def open_repo_alone(root: Path) -> Iterator[Repo]:
    """As `opened`, and no other DVC acts in the working tree meanwhile."""
    with open_repo(root) as repo, lock_repo(repo):
        yield repo


def dvc_settings(home: Path) -> dict[str, Any]:
    """DVC's settings of the working tree `home`, its paths made absolute, its cache shared."""
    dvc_dir = home / ".dvc"
    config = Config(str(dvc_dir))
    cache = {"dir": str(dvc_dir / "cache"), **config["cache"]}
    return {"core": config["core"], "cache": cache, "remote": config["remote"]}


def dvc_message(error: BaseException) -> str:
    """What DVC says, the causes included."""
    said = str(error) or type(error).__name__
    return f"{said}: {dvc_message(error.__cause__)}" if error.__cause__ else said


def unattested_entries(repo: Repo, *, ask_remote: bool = True) -> list[str]:
    """The entries of dvc.lock that no run attests, neither here nor in the default remote."""

    def doubtful() -> list[str]:
        return attestation.entries_without_run(lock, pipeline, Path(repo.stage_cache.cache_dir))

    lock, pipeline = (_read(Path(repo.root_dir, name)) for name in ("dvc.lock", "dvc.yaml"))
    names = doubtful()
    return doubtful() if names and ask_remote and fetch_records(repo) else names


def fetch_records(repo: Repo) -> bool:
    """Brings the run records of the default remote; says so where it can't be read."""
    remote = repo.config["core"].get("remote")
    if not remote:
        return False
    try:
        with quiet_dvc():
            repo.stage_cache.pull(remote)
    except Exception as error:  # each kind of remote raises its own
        print(f"the remote {remote!r} can't be read: {dvc_message(error)}", file=sys.stderr)
        return False
    return True


@contextmanager
def quiet_dvc() -> Iterator[None]:
    """DVC without a word, for questions whose answer is told in ours."""
    with set_loggers_level(logging.CRITICAL):
        yield


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
