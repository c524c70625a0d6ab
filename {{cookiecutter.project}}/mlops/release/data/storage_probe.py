"""Asks the default DVC remote whether it is in reach: `python -m mlops.release.data.storage_probe`.

It is a process of its own, so that `mlops doctor` can end it: some remotes try for minutes.
"""

import os
import sys
from pathlib import Path

from dvc.fs import LocalFileSystem

from mlops.errors import MlopsError
from mlops.release.data import dvc, store


def main() -> None:
    """Prints the name and the address of the remote, or nothing where there is none.

    Exits with a message where the remote cannot be read or written.
    """
    try:
        with dvc.open_repo(Path.cwd()) as repo, dvc.quiet_dvc():
            if store.has_remote(repo):
                print(ask_remote(repo))
    except MlopsError as error:
        sys.exit(str(error))
    except Exception as error:  # each kind of remote raises its own
        sys.exit(dvc.dvc_message(error))


def ask_remote(repo: dvc.Repo) -> str:
    store.refuse_mistyped(repo)
    remote = repo.cloud.get_remote()
    if isinstance(remote.fs, LocalFileSystem) and not os.access(remote.path, os.W_OK):
        raise MlopsError(f"{remote.path} cannot be written by this user")
    try:
        remote.fs.info(remote.path)
    except FileNotFoundError as absent:  # nothing was pushed yet, unless no connection was made
        if isinstance(absent.__cause__, OSError):
            raise absent.__cause__ from None
    return f"{remote.name}, {remote.fs.unstrip_protocol(remote.path)}"


if __name__ == "__main__":
    main()
