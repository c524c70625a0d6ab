"""Folders of ours under .dvc/tmp. Each is locked while a process uses it; the lock ends with it."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from release.errors import ReleaseError


@contextmanager
def held(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Nobody else holds the folder meanwhile, or only those who share it; waits for that."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock_of(folder).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


def remove(folder: Path) -> bool:
    """Remove the folder, unless a process holds it."""
    with lock_of(folder).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise ReleaseError(f"{folder} can't be removed: {error}: remove it by hand") from error
        lock_of(folder).unlink()
    return True


def lock_of(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.lock"


def size(folder: Path) -> int:
    """Bytes of its files, each once however often it is linked."""
    found = {
        (status.st_dev, status.st_ino): status.st_size
        for path in folder.rglob("*")
        if not path.is_symlink() and path.is_file()
        for status in [path.stat()]
    }
    return sum(found.values())
