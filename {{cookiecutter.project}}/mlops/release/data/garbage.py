"""Finds objects of the cache and of the default remote that nothing names."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB, get_index
from dvc_objects.errors import ObjectFormatError

from mlops.errors import counted
from mlops.release.data import reach, store


@dataclass(frozen=True)
class Waste:
    """Data that may be deleted: how many of what `noun`, and `where` or of what. `size` is in bytes, and None
    for data that are not on this machine."""

    noun: str
    where: str
    count: int
    size: int | None
    remove: Callable[[], Any]

    def __str__(self) -> str:
        size = "" if self.size is None else f", {self.size / 1e6:.1f} MB"
        where = self.where and f" {self.where}"
        return f"{counted(self.count, self.noun)}{where}{size}"


def in_cache(repo: Repo, names: set[str]) -> Waste:
    """Returns the cached objects that are neither among `names` nor in a directory among them."""
    cache = repo.cache.local
    paths = unused_objects(cache, with_children(names, [cache]))
    size = sum(Path(path).stat().st_size for path in paths)
    remove = partial(cache.fs.remove, paths)
    return Waste("object", "of the cache", len(paths), size, remove)


def in_remote(repo: Repo, names: set[str]) -> Waste:
    """Returns the same as `in_cache` for the default remote, without the sizes.

    Raises Away if it is out of reach.
    """
    if reach.has_remote(repo):
        reach.require_remote(repo, to_write=True)
    remote = repo.cloud.get_remote_odb(None, "gc -c", hash_name="md5")
    paths = unused_objects(remote, with_children(names, [repo.cache.local, remote]))

    def remove() -> None:
        remote.fs.remove(paths)
        get_index(remote).clear()  # what DVC remembers of the remote

    return Waste("object", f"of the remote {remote.path}", len(paths), None, remove)


def with_children(names: Iterable[str], stores: list[HashFileDB]) -> set[str]:
    """Returns the names with those of the files in each directory whose list is in one of the stores.

    The files of a directory whose list is lost are of no use, and their names are left out.
    """
    found = set(names)
    for name in filter(lambda name: name.endswith(".dir"), names):
        for odb in stores:
            try:
                found.update(store.children(odb, name))
                break
            except (FileNotFoundError, ObjectFormatError):
                continue
    return found


def unused_objects(odb: HashFileDB, used: set[str]) -> list[str]:
    """Returns the paths of the objects to delete, directories first, so that none names deleted files."""
    every: Iterator[str] = odb.all()  # type: ignore[no-untyped-call]
    return [odb.oid_to_path(name) for name in sorted(set(every) - used, key=is_file)]


def is_file(name: str) -> bool:
    return not name.endswith(".dir")
