"""Checks DVC's objects by their hash, and moves them between cache and remote."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from dvc.fs import LocalFileSystem
from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.hash import hash_file
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree

from mlops.errors import MlopsError
from mlops.release.data import attestation


def mend_cache(repo: Repo, names: Iterable[str]) -> list[str]:
    """Fetches what is missing or damaged in the cache; returns the names of what could not be fetched.

    Damaged objects are deleted first, since DVC takes a read-only object for an intact one.
    """
    wanted = list(names)
    for _ in ("directories", "what is in them"):
        broken = [name for top in wanted for name in broken_objects(repo.cache.local, top)]
        if not broken or not has_remote(repo):
            break
        for name in broken:
            Path(repo.cache.local.oid_to_path(name)).unlink(missing_ok=True)
        repo.cloud.pull({HashInfo("md5", name) for name in broken})
    return [top for top in wanted if list(broken_objects(repo.cache.local, top))]


def broken_objects(cache: HashFileDB, top: str) -> Iterator[str]:
    """Yields the missing or damaged objects: the object itself, or those in a directory."""
    if not is_intact(cache, top):
        yield top
        return
    yield from (name for name in children(cache, top) if not is_intact(cache, name))


def children(cache: HashFileDB, top: str) -> Iterator[str]:
    if top.endswith(".dir"):
        yield from files_in_directory(cache, top).values()


def files_in_directory(cache: HashFileDB, top: str) -> dict[str, str]:
    """Returns the hash of each file of a directory, by its path there."""
    listed = Tree.load(cache, HashInfo("md5", top))
    return {"/".join(key): child.value for key, _, child in listed}


def is_intact(cache: HashFileDB, name: str) -> bool:
    try:
        _, found = hash_file(cache.oid_to_path(name), cache.fs, "md5")
    except FileNotFoundError:
        return False
    return bool(found.value == name.removesuffix(".dir"))


def copy_object(repo: Repo, name: str, place: Path) -> None:
    """Writes a copy of the object, a file or directory, to `place`. Raises MlopsError if it is lost."""
    if lost := mend_cache(repo, [name]):
        raise MlopsError(
            f"the data {lost[0]} are neither in the cache nor in the remote: `dvc push` them from "
            "where they were made, or `mlops repro` there"
        )
    cache = repo.cache.local
    if not name.endswith(".dir"):
        copy_file(cache.oid_to_path(name), place)
        return
    for path, child in files_in_directory(cache, name).items():
        copy_file(cache.oid_to_path(child), place / path)


def copy_file(source: str, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)


def push_objects(repo: Repo, tops: Iterable[str], lock: bytes) -> None:
    """Sends the objects, and the records of the runs that made the entries of a dvc.lock, to the remote."""
    refuse_mistyped(repo)
    cache = repo.cache.local
    names = {name for top in tops for name in (top, *children(cache, top))}
    repo.cloud.push({HashInfo("md5", name) for name in names})
    push_records(repo, lock)


def refuse_damaged(repo: Repo, tops: Iterable[str]) -> None:
    """Raises MlopsError for damaged objects, which it deletes: stages may just have read them."""
    damaged = {name for top in tops for name in broken_objects(repo.cache.local, top)}
    for name in damaged:
        Path(repo.cache.local.oid_to_path(name)).unlink(missing_ok=True)
    if damaged:
        raise MlopsError(
            f"{', '.join(sorted(damaged))} were damaged in the cache, so that what was made from them "
            "counts for nothing; they are deleted, to be made or fetched anew: run it again"
        )


def push_records(repo: Repo, lock: bytes) -> None:
    """Sends the run records of the entries, since DVC itself can only send the records of every run."""
    remote = repo.cloud.get_remote_odb(command="push", hash_name="md5-dos2unix")
    runs = Path(repo.stage_cache.cache_dir)
    for entry in attestation.lock_entries(lock).values():
        record = attestation.run_record_path(entry, runs)
        if record.exists():
            place = remote.fs.join(remote.path, "runs", *record.relative_to(runs).parts)
            remote.fs.makedirs(remote.fs.parent(place), exist_ok=True)
            remote.fs.put_file(str(record), place)


def has_remote(repo: Repo) -> bool:
    return bool(repo.config["core"].get("remote"))


def refuse_mistyped(repo: Repo) -> None:
    """Raises MlopsError if the remote is a directory that is not there: DVC would create it silently."""
    remote = repo.cloud.get_remote()
    if isinstance(remote.fs, LocalFileSystem) and not os.path.isdir(remote.path):  # noqa: PTH112
        raise MlopsError(
            f"the remote {remote.name!r} is the directory {remote.path}, which does not exist: "
            "`mkdir` it, or `dvc remote modify` the url"
        )
