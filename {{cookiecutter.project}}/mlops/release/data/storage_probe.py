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
                reach.require_remote(repo, to_write=True)
                remote = repo.cloud.get_remote()
                place = f"{remote.name}, {remote.fs.unstrip_protocol(remote.path)}"
                print(printable_text(place))
    except MlopsError as error:
        sys.exit(printable_text(str(error)))


if __name__ == "__main__":
    main()
