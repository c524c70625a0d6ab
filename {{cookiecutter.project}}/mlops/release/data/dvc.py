"""DVC in this process, with its errors turned into MlopsError."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, suppress
from pathlib import Path

from dvc.config import ConfigError
from dvc.exceptions import DvcException
from dvc.logger import set_loggers_level
from dvc.repo import Repo, lock_repo
from dvc.stage.cache import RunCacheNotSupported
from dvc.ui import ui
from dvc.utils.serialize import EncodingError
from dvc.utils.strictyaml import YAMLSyntaxError, YAMLValidationError

from mlops.errors import MlopsError
from mlops.release import child_environment
from mlops.release.data import attestation, dvc_settings, pipeline_faults, reach

__all__ = [
    "Repo", "fetch_records", "open_repo", "open_repo_alone", "quiet_dvc",
    "unattested_entries",
]  # fmt: skip


@contextmanager
def open_repo(root: Path, config: Mapping[str, object] | None = None) -> Iterator[Repo]:
    """Opens the DVC repository at `root`, which is the working directory while the block runs.

    Stages find the code of `root` first. Raises MlopsError for an error of DVC.
    """
    dvc_settings.require_settings(root)
    # A line of DVC's log that cannot be written would be shown as a traceback.
    logging.raiseExceptions = False
    try:
        with (
            chdir(root),
            child_environment.in_this_process(root),
            Repo(str(root), config=config) as repo,
        ):
            ui.enable()
            yield repo
    except ConfigError as error:
        raise dvc_settings.unreadable(error) from error
    except (YAMLSyntaxError, YAMLValidationError, EncodingError) as error:
        raise MlopsError(pipeline_faults.fault_message(error)) from error
    except (DvcException, OSError) as error:
        raise MlopsError(reach.error_message(error)) from error


@contextmanager
def open_repo_alone(root: Path) -> Iterator[Repo]:
    """Opens the repository as `open_repo` does, and locks the working tree against any other DVC."""
    with open_repo(root) as repo, lock_repo(repo):
        yield repo


def unattested_entries(repo: Repo, *, ask_remote: bool = True) -> list[str]:
    """Returns the stages of dvc.lock without a recorded run, here or in the default remote.

    Raises Away if the remote is needed and out of reach.
    """

    def doubtful() -> list[str]:
        return attestation.entries_without_run(lock, pipeline, Path(repo.stage_cache.cache_dir))

    lock, pipeline = (_read(Path(repo.root_dir, name)) for name in ("dvc.lock", "dvc.yaml"))
    names = doubtful()
    return doubtful() if names and ask_remote and fetch_records(repo) else names


def fetch_records(repo: Repo) -> bool:
    """Fetches the run records of the default remote; returns False if there is no remote.

    Raises Away if it is out of reach.
    """
    if not reach.has_remote(repo):
        return False
    reach.require_remote(repo)
    with reach.contact_remote(repo), quiet_dvc(), suppress(RunCacheNotSupported):
        repo.stage_cache.pull(None)
    return True


@contextmanager
def quiet_dvc() -> Iterator[None]:
    """Silences DVC's logs, where a message of ours says the same."""
    with set_loggers_level(logging.CRITICAL):
        yield


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
