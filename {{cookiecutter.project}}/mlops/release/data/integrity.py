"""Hashes the outputs in the working tree and compares them with dvc.lock and the .dvc files."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from dvc.output import Output
from dvc.repo import Repo
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB

from mlops.release.data import dvc, lacking, reach, store
from mlops.release.data.repro import absent_outputs, unreproduced
from mlops.release.history.git import Git
from mlops.release.history.lockfile import LOCK


def outputs_at_hand(repo: Repo) -> list[Output]:
    """Returns the outputs that have a recorded hash and are in the working tree."""
    return [out for out in repo.index.outs if out.hash_info and out.exists]


def outputs_megabytes(outs: Sequence[Output]) -> int:
    return round(sum(out.meta.size or 0 for out in outs) / 1e6)


def untrue_outputs(repo: Repo, outs: Sequence[Output]) -> Iterator[str]:
    """Yields a line, with the remedy, for each output or entry of dvc.lock that is not what was run."""
    altered = [out for out in outs if content_hash(out) != out.hash_info]
    doubtful = dvc.unattested_entries(repo)
    explained = {*doubtful, *(out.stage.addressing for out in altered)}
    if doubtful:
        lock = Path(repo.root_dir, LOCK).read_bytes()
        for words in lacking.unknown_runs(Git(Path(repo.root_dir)), lock, doubtful, "HEAD"):
            yield f"{words}. `mlops repro` runs it again"
    if Path(repo.root_dir, LOCK).exists() and (lost := lost_outputs(repo)):
        yield lacking.lost_data(Git(Path(repo.root_dir)), "HEAD", lost)
    for out in altered:
        recorder = out.stage.addressing if out.stage.is_data_source else LOCK
        yield f"{out}: not what {recorder} says: {output_cure(out)}"
    for name in unreproduced(repo) if Path(repo.root_dir, LOCK).exists() else ():
        if name not in explained:
            yield f"{name}: not up to date: `mlops repro`"


def lost_outputs(repo: Repo) -> dict[str, str]:
    """Returns the MD5, by path, of the outputs that are not here, nor in the cache, nor in the DVC remote.

    Raises Away if the remote is needed and out of reach.
    """
    absent = {str(out): out.hash_info.value for out in absent_outputs(repo) if out.changed_cache()}
    if not absent or not reach.has_remote(repo):
        return absent
    reach.require_remote(repo)
    lacked = {*store.lacked_objects(repo, absent.values())}
    return {path: md5 for path, md5 in absent.items() if md5 in lacked}


def content_hash(out: Output) -> object:
    """Returns the hash of the bytes themselves, since DVC would trust unchanged sizes and times."""
    scratch = HashFileDB(out.fs, out.repo.cache.local.path)
    _, _, found = build(
        scratch, out.fs_path, out.fs, out.hash_name, ignore=out.dvcignore, dry_run=True
    )
    return found.hash_info


def output_cure(out: Output) -> str:
    path = shlex.quote(str(out))
    if not out.use_cache:
        return "`mlops repro`"
    if damaged := damaged_objects(out):
        return f"`rm -rf {shlex.join(damaged)} {path} && dvc pull {path}`"
    undo = f"`rm -rf {path} && dvc checkout {path}`"
    return (
        f"`dvc add {path}` takes the change, {undo} undoes it" if out.stage.is_data_source else undo
    )


def damaged_objects(out: Output) -> list[str]:
    """Returns the paths of the cached objects of this output whose content does not match their name."""
    cache = out.cache
    return [cache.oid_to_path(name) for name in store.broken_objects(cache, out.hash_info.value)]
