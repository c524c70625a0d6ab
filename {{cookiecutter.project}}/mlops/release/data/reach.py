"""The default DVC remote: whether it can be reached, and the words for it when it can't."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Thread

from dvc.config import RemoteConfigError
from dvc.fs import LocalFileSystem, RemoteMissingDepsError
from dvc.repo import Repo

from mlops.errors import Away, MlopsError

PATIENCE = 30
"""Seconds in which a remote must answer its first question: some try for half an hour."""

FORBIDDEN = re.compile("Permission|Credential|Forbidden|AccessDenied")
"""The names of errors that no waiting mends: the user may not, or has no key."""


def has_remote(repo: Repo) -> bool:
    return bool(repo.config["core"].get("remote"))


def describe_remote(repo: Repo) -> str:
    """Returns the name of the default remote and its address."""
    name = repo.config["core"]["remote"]
    return f"{name!r}, {repo.config['remote'].get(name.lower(), {}).get('url', 'no address')}"


def require_remote(repo: Repo, *, to_write: bool = False) -> None:
    """Returns once the default remote has answered.

    Raises Away if it is out of reach, and MlopsError if this user may not use it or it is not configured.
    """
    with contact_remote(repo):
        remote = repo.cloud.get_remote()
        if isinstance(remote.fs, LocalFileSystem):
            require_directory(remote.name, remote.path, to_write=to_write)
            return
        answer = SimpleQueue[Exception | None]()
        Thread(target=ask_remote, args=(remote.fs, remote.path, answer), daemon=True).start()
        try:
            error = answer.get(timeout=PATIENCE)
        except Empty:
            raise TimeoutError(f"no answer within {PATIENCE} s") from None
        if error:
            raise error


@contextmanager
def sending(repo: Repo) -> Iterator[None]:
    """Runs the block, which sends data to the default remote, once the remote has answered.

    Raises as `require_remote` does, and Away after the block if the remote is a directory that went away
    meanwhile: DVC makes it anew, and writes to a directory that nobody else has.
    """
    require_remote(repo, to_write=True)
    before = directory_identity(repo)
    yield
    if directory_identity(repo) != before:
        raise Away(
            f"the DVC remote {describe_remote(repo)}, went away while data were sent. Try again when it can "
            "be reached"
        )


def directory_identity(repo: Repo) -> tuple[int, int] | None:
    """Returns device and inode of a remote that is a directory, and None for any other or a missing one."""
    remote = repo.cloud.get_remote()
    if not isinstance(remote.fs, LocalFileSystem) or not os.path.isdir(remote.path):  # noqa: PTH112
        return None
    found = os.stat(remote.path)  # noqa: PTH116
    return found.st_dev, found.st_ino


def require_directory(name: str, path: str, *, to_write: bool) -> None:
    """Refuses a remote that is a directory and that is not there: DVC would make it, and find nothing."""
    if not os.path.isdir(path):  # noqa: PTH112
        raise Away(
            f"the DVC remote {name!r} is the directory {path}, which does not exist here: `mkdir` it if it "
            f"is new; otherwise mount it, or correct its path with `dvc remote modify {name} url PATH`"
        )
    if not os.access(path, os.R_OK | os.X_OK | (os.W_OK if to_write else 0)):
        what = "written" if to_write else "read"
        raise MlopsError(
            f"the DVC remote {name!r} is the directory {path}, which cannot be {what} by this user: ask "
            "its owner for the right"
        )


def ask_remote(fs: object, path: str, answer: "SimpleQueue[Exception | None]") -> None:
    try:
        fs.info(path)  # type: ignore[attr-defined]
    except FileNotFoundError as absent:
        # Either nothing was pushed yet, or there is no connection or no bucket.
        cause = absent.__cause__
        kinds = (kind.__name__ for kind in type(cause).__mro__)  # NoSuchBucket is a ClientError
        failed = isinstance(cause, OSError) or "ClientError" in kinds
        answer.put(absent if failed else None)
    except Exception as error:  # each kind of remote raises its own
        answer.put(error)
    else:
        answer.put(None)


@contextmanager
def contact_remote(repo: Repo, what: str = "cannot be reached") -> Iterator[None]:
    """Turns whatever the default remote raises in the block into an error with its name and address.

    Raises Away, or MlopsError where no waiting mends it.
    """
    try:
        yield
    except MlopsError:
        raise
    except (ImportError, RemoteMissingDepsError) as error:
        raise MlopsError(
            f"the DVC remote {describe_remote(repo)}, needs a library that is not installed "
            f"({error_message(error)}): `make` installs it if requirements/tools.txt has it, and `mlops "
            "remote URL` adds it there"
        ) from error
    except RemoteConfigError as error:
        raise MlopsError(
            f"the DVC remote {describe_remote(repo)}, can't be used ({error_message(error)}): `dvc remote "
            "list` names those that are configured, and `dvc remote default NAME` chooses one"
        ) from error
    except Exception as error:  # each kind of remote raises its own
        words = (
            f"the DVC remote {describe_remote(repo)}, {what}: {error_message(error).rstrip('.')}"
        )
        if any(FORBIDDEN.search(type(each).__name__) for each in chain(error)):
            raise MlopsError(f"{words}. Its keys or rights are wrong or missing here") from error
        raise Away(f"{words}. Try again when it can be reached") from error


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error, and the errors that led to it."""
    while error:
        yield error
        error = error.__cause__ or error.__context__


def error_message(error: BaseException) -> str:
    """Returns the message of an error of DVC with the messages of its causes."""
    message = str(error) or type(error).__name__
    return f"{message}: {error_message(error.__cause__)}" if error.__cause__ else message
