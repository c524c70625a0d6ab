"""Says which data and run records are missing: by path, commit and author, and never by a hash alone."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from mlops import environments
from mlops.release.history import lock_merge, objects
from mlops.release.history.git import Git
from mlops.release.history.lockfile import LOCK

UNREADABLE = "no run is known that made this entry of dvc.lock, which somebody has edited"
MD5 = re.compile(r"^ *md5: (\S+)$", re.MULTILINE)


def lost_data(git: Git, revision: str, lost: Mapping[str, str]) -> str:
    """Returns a sentence about data, given as MD5 by path, that a revision names and that are nowhere."""
    named = [f"{path} ({who_added(git, revision, md5)})" for path, md5 in lost.items()]
    return (
        f"the data of {', '.join(named)} are neither whole in the cache nor in the DVC remote: "
        "`mlops push` sends them from the machine that has them"
    )


def who_added(git: Git, revision: str, md5: str) -> str:
    """Returns the first commit that names data with this hash, and its author."""
    search = ("log", "-m", "--full-history", f"-S{md5}", "--format=%h by %an")
    found = git.lines(*search, revision, "--", LOCK, "*.dvc")
    return found[-1] if found else "not committed"


@dataclass(frozen=True)
class Maker:
    """The first commit that has an entry of dvc.lock, and whether that entry can come from no run."""

    commit: str
    author: str
    is_merged: bool


def unknown_runs(git: Git, lock: bytes, stages: Collection[str], revision: str) -> list[str]:
    """Returns a sentence for each of these stages of `lock`, whose entries no run record attests.

    `lock` is the dvc.lock of `revision`, or that of the working tree.
    """
    entries = entries_of(lock)
    makers = find_makers(git, entries, stages, revision)
    return [
        f"{stage}: {unknown_run(makers.get(stage)) if entries else UNREADABLE}" for stage in stages
    ]


def unknown_run(maker: Maker | None) -> str:
    if maker is None:
        return "nobody ever ran this entry of dvc.lock, which is in no commit"
    who = f"{maker.commit} by {maker.author}"
    if maker.is_merged:
        return f"nobody ever ran this entry of dvc.lock: the merge {who} put it together"
    return f"the DVC remote lacks the run record of {who}: `mlops push` sends it from where it ran"


def find_makers(
    git: Git, entries: Mapping[str, str], stages: Collection[str], revision: str
) -> dict[str, Maker]:
    """Returns the oldest commit with the same entry, for each of these stages that has one."""
    form = "--format=%H%x00%h%x00%an%x00%P"
    listed = git.lines("log", "--full-history", form, revision, "--", LOCK)
    commits = [line.split("\0") for line in listed]
    makers: dict[str, Maker] = {}
    for commit, found in zip(commits, locks_at(git, [line[0] for line in commits]), strict=True):
        full, short, author, parents = commit
        for stage in stages:
            if stage in entries and found.get(stage) == entries[stage]:
                is_merged = combines(git, full, parents.split(), stage, entries[stage])
                makers[stage] = Maker(short, author, is_merged)
    return makers


def locks_at(git: Git, commits: Collection[str]) -> Iterator[Mapping[str, str]]:
    blobs = objects.read_objects(git, [f"{commit}:{LOCK}" for commit in commits])
    return (entries_of(blob.content if blob else b"") for blob in blobs)


def entries_of(lock: bytes) -> Mapping[str, str]:
    """Returns the text of each entry; none of a dvc.lock whose layout is not DVC's."""
    try:
        return lock_merge.split_lock(lock.decode())
    except (lock_merge.UnknownLayoutError, UnicodeDecodeError):
        return {}


def combines(git: Git, commit: str, parents: list[str], stage: str, entry: str) -> bool:
    """Returns whether a merge made the entry from those of its parents.

    A run that was committed with a merge has outputs that no parent has, and a promotion has a record.
    """
    if len(parents) < 2 or git.lines(
        "tag", "--points-at", commit, "--list", *(f"{name}/*" for name in environments.CHAIN[1:])
    ):
        return False
    known = {
        md5 for lock in locks_at(git, parents) for md5 in MD5.findall(outputs(lock.get(stage, "")))
    }
    return {*MD5.findall(outputs(entry))} <= known


def outputs(entry: str) -> str:
    return entry.partition("    outs:\n")[2]
