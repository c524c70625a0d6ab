"""Asks the default DVC remote whether it is in reach: `python -m mlops.release.data.storage_probe`.

It is a process of its own, so that `mlops doctor` can end it: some remotes try for minutes.
"""

import sys
from pathlib import Path

from mlops.errors import MlopsError, printable_text
from mlops.release.data import dvc, reach


def main() -> None:
    """Prints the name and the address of the remote, or nothing where there is none.

    Exits with a message where the remote cannot be read or written.
    """
    try:
        with dvc.open_repo(Path.cwd()) as repo, dvc.quiet_dvc():
            if reach.has_remote(repo):
                print(printable_text(ask_remote(repo)))
    except MlopsError as error:
        sys.exit(printable_text(str(error)))
    except Exception as error:  # each kind of remote raises its own
        sys.exit(printable_text(reach.error_message(error)))


def ask_remote(repo: dvc.Repo) -> str:
    reach.require_remote(repo, to_write=True)
    remote = repo.cloud.get_remote()
    return f"{remote.name}, {remote.fs.unstrip_protocol(remote.path)}"


if __name__ == "__main__":
    main()
