"""Folders under .dvc/tmp, each locked while a process uses it. A lock ends with its process."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlops.errors import MlopsError
from mlops.file_lock import lock_file


@contextmanager
def hold_scratch(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Holds the folder while the block runs, alone or with others that share it; waits for the lock."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(lock_of(folder), shared=shared):
        yield


def is_held(folder: Path) -> bool:
    """Returns whether a process holds the folder."""
    if not lock_of(folder).exists():
        return False
    try:
        lock_file(lock_of(folder), wait=False).close()
    except BlockingIOError:
        return True
    return False


def remove_scratch(folder: Path) -> None:
    """Removes the folder and its lock, once no other process holds it."""
    with hold_scratch(folder):
        remove_held_scratch(folder)


def remove_scratch_if_free(folder: Path) -> None:
    """Removes the folder and its lock unless a process holds it."""
    with suppress(BlockingIOError), lock_file(lock_of(folder), wait=False):
        remove_held_scratch(folder)


def remove_held_scratch(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise MlopsError(f"{folder} can't be removed ({error}): remove it by hand") from error
    lock_of(folder).unlink()


def lock_of(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.lock"
