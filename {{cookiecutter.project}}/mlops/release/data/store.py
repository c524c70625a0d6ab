"""Checks DVC's objects by their hash, and moves them between cache and remote."""

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dvc.data_cloud import Remote
from dvc.fs import LocalFileSystem
from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.hash import hash_file
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree

from mlops.errors import MlopsError
from mlops.release.data import attestation, dvc, lacking, reach
from mlops.release.history.git import Git

UNTAKEN = "does not take the data"


def mend_cache(repo: Repo, names: Iterable[str]) -> list[str]:
    """Fetches what is missing or damaged in the cache; returns the names of what could not be fetched.

    Damaged objects are deleted first, since DVC takes a read-only object for an intact one. Raises Away if
    the remote is needed and out of reach.
    """
    wanted = list(names)
    for _ in ("directories", "what is in them"):
        broken = [name for top in wanted for name in broken_objects(repo.cache.local, top)]
        if not broken or not reach.has_remote(repo):
            break
        reach.require_remote(repo)
        for name in broken:
            Path(repo.cache.local.oid_to_path(name)).unlink(missing_ok=True)
        with reach.contact_remote(repo):
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


def copy_object(repo: Repo, name: str, place: Path, *, path: str, commit: str) -> None:
    """Writes a copy of the object, a file or directory, to `place`.

    `path` and `commit` are where it is named. Raises MlopsError if it is lost.
    """
    if mend_cache(repo, [name]):
        raise MlopsError(lacking.lost_data(Git(Path(repo.root_dir)), commit, {path: name}))
    cache = repo.cache.local
    if not name.endswith(".dir"):
        copy_file(cache.oid_to_path(name), place)
        return
    for inside, child in files_in_directory(cache, name).items():
        copy_file(cache.oid_to_path(child), place / inside)


def copy_file(source: str, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)


def push_objects(repo: Repo, tops: Iterable[str], lock: bytes) -> None:
    """Sends the objects, and the records of the runs that made the entries of a dvc.lock, to the remote.

    Raises Away unless the remote has taken all of them.
    """
    with reach.sending(repo):
        send_objects(repo, tops)
        send_records(repo, records_of_lock(repo, lock))


def send_objects(repo: Repo, tops: Iterable[str]) -> int:
    """Sends the objects that the cache has and the remote lacks, and returns how many they were.

    Raises Away if the remote did not take all of them.
    """
    cache = repo.cache.local
    names = {name for top in tops for name in (top, *children(cache, top))}
    with reach.contact_remote(repo, UNTAKEN):
        sent = repo.cloud.push({HashInfo("md5", name) for name in names})
        if sent.failed:
            raise OSError(f"objects that were not taken: {len(sent.failed)} of {len(names)}")
        open_directory(repo, [repo.cloud.get_remote().odb.oid_to_path(name) for name in names])
    return len(sent.transferred)


def send_records(repo: Repo, records: Iterable[Path]) -> int:
    """Sends the run records of the cache that the remote lacks, and returns how many they were.

    DVC itself can only send every record.
    """
    remote, lacked = repo.cloud.get_remote(), lacked_records(repo, records)
    with reach.contact_remote(repo, UNTAKEN):
        for record in lacked:
            place = record_place(repo, remote, record)
            remote.fs.makedirs(remote.fs.parent(place), exist_ok=True)
            remote.fs.put_file(str(record), place)
        open_directory(repo, [record_place(repo, remote, record) for record in lacked])
    return len(lacked)


def lacked_records(repo: Repo, records: Iterable[Path]) -> list[Path]:
    """Returns the run records, given by their paths in the cache, that the remote lacks."""
    remote, wanted = repo.cloud.get_remote(), list(records)
    with reach.contact_remote(repo):
        places = [record_place(repo, remote, record) for record in wanted]
        there = remote.fs.exists(places) if places else []
    return [record for record, known in zip(wanted, there, strict=True) if not known]


def record_place(repo: Repo, remote: Remote, record: Path) -> str:
    """Returns where the remote stores a run record of the cache."""
    parts = record.relative_to(repo.stage_cache.cache_dir).parts
    place: str = remote.fs.join(remote.path, "runs", *parts)
    return place


def lacked_objects(repo: Repo, names: Iterable[str]) -> list[str]:
    """Returns the objects that the remote lacks, whether or not the cache has them."""
    with reach.contact_remote(repo), dvc.quiet_dvc():
        found = repo.cloud.status({HashInfo("md5", name) for name in names})
    return [info.value for info in (*found.new, *found.missing)]


def records_of_lock(repo: Repo, lock: bytes) -> list[Path]:
    """Returns the run records of the cache that attest the entries of a dvc.lock."""
    runs = Path(repo.stage_cache.cache_dir)
    entries = attestation.lock_entries(lock).values()
    records = [attestation.run_record_path(entry, runs) for entry in entries if entry.get("outs")]
    return [record for record in records if record.exists()]


def open_directory(repo: Repo, paths: Iterable[str]) -> None:
    """Lets whoever may read or write a remote that is a directory do so with these files of this user, and
    with the folders that they are in, whatever the umask was."""
    remote = repo.cloud.get_remote()
    if not isinstance(remote.fs, LocalFileSystem):
        return
    root = Path(remote.path)
    allowed = root.stat().st_mode & 0o777
    for place in {
        each for path in paths for each in (Path(path), *folders_below(root, Path(path)))
    }:
        found = place.stat()
        mode = found.st_mode | (allowed if place.is_dir() else allowed & 0o444)
        if found.st_uid == os.getuid() and mode != found.st_mode:
            place.chmod(stat.S_IMODE(mode))


def folders_below(root: Path, path: Path) -> Iterator[Path]:
    return (folder for folder in path.parents if folder.is_relative_to(root) and folder != root)


def refuse_damaged(repo: Repo, tops: Mapping[str, str]) -> None:
    """Raises MlopsError for damaged objects, given as MD5 by path, which it deletes: stages may just have
    read them."""
    damaged = {
        path: broken
        for path, top in tops.items()
        if (broken := [*broken_objects(repo.cache.local, top)])
    }
    for name in {name for broken in damaged.values() for name in broken}:
        Path(repo.cache.local.oid_to_path(name)).unlink(missing_ok=True)
    if damaged:
        raise MlopsError(
            f"{', '.join(sorted(damaged))} were damaged in the cache, so that what was made from them "
            "counts for nothing; they are deleted, to be made or fetched anew: run it again"
        )
