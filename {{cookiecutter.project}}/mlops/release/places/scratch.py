"""Folders under .dvc/tmp, each locked while a process uses it. A lock ends with its process."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from mlops.errors import MlopsError


@contextmanager
def hold_scratch(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Holds the folder while the block runs, alone or with others that share it; waits for the lock."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open_lock(folder, fcntl.LOCK_SH if shared else fcntl.LOCK_EX):
        yield


def is_held(folder: Path) -> bool:
    if not lock_of(folder).exists():
        return False
    try:
        open_lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB).close()
    except BlockingIOError:
        return True
    return False


def remove_scratch(folder: Path) -> None:
    """Removes the folder and its lock, once no other process holds it."""
    with hold_scratch(folder):
        remove_held_scratch(folder)


def remove_scratch_if_free(folder: Path) -> None:
    with suppress(BlockingIOError), open_lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
        remove_held_scratch(folder)


def remove_held_scratch(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise MlopsError(f"{folder} can't be removed ({error}): remove it by hand") from error
    lock_of(folder).unlink()


def open_lock(folder: Path, how: int) -> IO[str]:
    """Returns the locked file; it tries again if another process has removed the file meanwhile."""
    while True:
        file = lock_of(folder).open("w")
        try:
            fcntl.flock(file, how)
            if os.path.samestat(os.fstat(file.fileno()), lock_of(folder).stat()):
                return file
        except FileNotFoundError:
            pass
        except BlockingIOError:
            file.close()
            raise
        file.close()


def lock_of(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.lock"
