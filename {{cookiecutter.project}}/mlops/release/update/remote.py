"""`mlops remote`: moves the storage of data and run records, with the library that DVC needs for it.

Nothing changes unless all of it succeeds: pyproject.toml and the library locks are restored, and
.dvc/config names the new storage last.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from mlops.errors import Away, MlopsError, Refused, UsageError
from mlops.release import child_environment
from mlops.release.history import obstacles
from mlops.release.history.git import Git
from mlops.release.places import process, worktree
from mlops.release.update import locks

MOVE = "mlops.release.data.storage_move"
EXTRAS = {name: name for name in ("s3", "ssh", "gs", "azure", "oss", "webdav", "hdfs")}
EXTRAS |= {"webdavs": "webdav", "webhdfs": "webhdfs"}
"""The extra of dvc that each kind of address needs."""

SECRET = re.compile("password|passphrase|secret|token|access_key|account_key|sas|connection_string")
NEEDED = re.compile(r'"dvc(?:\[(?P<extras>[\w, -]*)\])?(?P<rest>[ ~=<>!;@][^"]*)?"')
PYPROJECT = "pyproject.toml"
CHANGED = (PYPROJECT, locks.FOLDER, ".dvc/config")

Say = Callable[[str], None]


def move_remote(git: Git, url: str, settings: Sequence[str], say: Say) -> None:
    """Copies data and run records of every branch to `url`, and makes it the DVC remote.

    `settings` are NAME=VALUE of DVC. Raises UsageError or Refused for a bad address, and Away if a storage or
    the package index is out of reach; then the remote is the one before.
    """
    refuse_secrets(url, settings)
    address, extra = chosen_address(git.root, url)
    obstacles.refuse_unfinished(git)
    with worktree.one_release_at_a_time(git):
        if dirty := git.lines("status", "--porcelain", "--", *CHANGED):
            names = ", ".join(line[3:] for line in dirty)
            raise Refused(f"{names} has uncommitted changes: commit or stash them, then again")
        with restored_on_failure(git.root):
            if extra and add_extra(git.root / PYPROJECT, extra):
                install_library(git.root, extra, say)
            run_move(git.root, address, settings, say)
    say(
        f"the DVC remote is {url} now. Commit it with `git commit -am 'Move the storage'`; others run `git "
        "pull && make`. The old storage is unchanged"
    )


def refuse_secrets(url: str, settings: Sequence[str]) -> None:
    """Raises Refused for credentials, since .dvc/config goes into Git for all to read."""
    parts = urlsplit(url)
    secret = [
        name for name, _, _ in (each.partition("=") for each in settings) if SECRET.search(name)
    ]
    if parts.password is not None or (parts.username and parts.scheme != "ssh"):
        secret.append("the address")
    if secret or ("://" in url and (parts.query or parts.fragment)):
        raise Refused(
            f"{', '.join(secret) or 'the address'} holds credentials or a query, and .dvc/config goes into "
            "Git for all to read: leave them out, and set them with `dvc remote modify --local storage ...`, "
            "in variables, or in the files of ssh or of the cloud's own command"
        )
    for each in settings:
        if not re.fullmatch(r"[a-z_]+=[^\n]+", each):
            raise UsageError(
                f"{each!r} is no setting: NAME=VALUE, such as endpointurl=https://host"
            )


def chosen_address(root: Path, url: str) -> tuple[str, str | None]:
    """Returns the address as .dvc/config has it, and the extra of dvc that it needs, or None."""
    if re.search("[\"',#\n]|%[(]", url):
        raise UsageError(f"{url!r}: .dvc/config has no place for quotes, commas, # or %(")
    if not url.isascii():
        raise UsageError(
            f"{url}: DVC can write only ASCII into .dvc/config: choose another address"
        )
    scheme, separator, rest = url.partition("://")
    if separator:
        if scheme not in EXTRAS or not rest:
            raise UsageError(
                f"{url!r} is no address that data can be moved to: a directory, or a URL that begins with "
                f"{', '.join(f'{name}://' for name in EXTRAS)}"
            )
        return url, EXTRAS[scheme]
    directory = Path(os.path.abspath(url))  # noqa: PTH100 - a link stays as it was written
    if not directory.is_dir() or directory.resolve().is_relative_to(root.resolve()):
        raise Refused(
            f"there is no directory {directory} outside of the project: `mkdir` it if the path is right"
        )
    absolute = Path(url).is_absolute()
    return str(directory) if absolute else Path(os.path.relpath(directory, root)).as_posix(), None


@contextmanager
def restored_on_failure(root: Path) -> Iterator[None]:
    """Writes pyproject.toml and the library locks back as they were if the block fails."""
    files = [root / PYPROJECT, *sorted((root / locks.FOLDER).glob("*.txt"))]
    before = {file: file.read_bytes() for file in files if file.exists()}
    try:
        yield
    except BaseException:
        for file, content in before.items():
            if not file.exists() or file.read_bytes() != content:
                file.write_bytes(content)
        raise


def add_extra(pyproject: Path, extra: str) -> bool:
    """Adds the extra to what the project needs of dvc; returns False if it is there already."""
    text = pyproject.read_text(encoding="utf-8")
    found = NEEDED.search(text)
    if found is None:
        raise Refused(
            f"pyproject.toml does not name dvc: add dvc[{extra}] to its group tools, commit, then again"
        )
    extras = {each.strip() for each in (found["extras"] or "").split(",")} - {""}
    if extra in extras:
        return False
    needed = f'"dvc[{",".join(sorted({*extras, extra}))}]{found["rest"] or ""}"'
    with pyproject.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"{text[: found.start()]}{needed}{text[found.end() :]}")
    return True


def install_library(root: Path, extra: str, say: Say) -> None:
    """Writes the library locks by `make lock`, and installs them by install.py."""
    say(f"locking dvc[{extra}] ...")
    locks.write_locks(root, f"loosen what pyproject.toml asks for beside dvc[{extra}], then again")
    say(f"installing dvc[{extra}] ...")
    try:
        command = (sys.executable, "install.py")
        process.run_watched(command, root, child_environment.for_python(root))
    except subprocess.CalledProcessError as error:
        raise Away(
            f"installing dvc[{extra}] failed:\n{process.last_lines(error)}\n"
            "Nothing has changed: try again when the package index is in reach"
        ) from error


def run_move(root: Path, address: str, settings: Sequence[str], say: Say) -> None:
    command = (sys.executable, "-m", MOVE, address, *settings)
    try:
        process.run_watched(
            command, root, child_environment.for_python(Path(__file__).parents[3]), say
        )
    except subprocess.CalledProcessError as error:
        kind = {Away.exit_code: Away, Refused.exit_code: Refused}.get(error.returncode, MlopsError)
        raise kind(f"the storage is not moved: {process.last_lines(error, lines=1)}") from error
