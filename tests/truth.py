"""What holds of a project and its origin after every release, whatever went before."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from release import attestation, environments, lockfile, records, versions
from release.git import Git
from release.records import Kept


def refs(folder: Path) -> dict[str, str]:
    """Branches and tags, and the objects that they name."""
    form = "--format=%(refname) %(objectname)"
    lines = Git(folder).lines("for-each-ref", form, "refs/heads", "refs/tags")
    return dict(line.split() for line in lines)


def check(repository: Path, storage: Path) -> None:
    """Of the branches and tags of `repository`, bare or not, and of what DVC carried to `storage`."""
    git = Git(repository)
    for environment in environments.CHAIN:
        check_branch(git, environment)
    for kept in every_record(git):
        check_record(git, kept, storage)
    for version in versions.every(git):
        assert is_reachable(git, version.tag), f"{version.tag} is unreachable"


def is_reachable(git: Git, tag: str) -> bool:
    found = git.lines("for-each-ref", f"--contains={tag}", "--format=%(refname)", "refs/heads")
    return bool({f"refs/heads/{name}" for name in environments.CHAIN[1:]} & {*found})


def every_record(git: Git) -> Iterator[Kept]:
    for environment in environments.CHAIN[1:]:
        yield from records.of(git, environment)


def check_branch(git: Git, environment: str) -> None:
    named = git.read(f"refs/heads/{environment}", environments.FILE) or b""
    assert environments.named_in(named.decode()) == environment


def check_record(git: Git, kept: Kept, storage: Path) -> None:
    record, commit = kept.record, kept.commit
    tip = f"refs/heads/{record.environment}"
    assert git.succeeds("merge-base", "--is-ancestor", commit, tip), f"{record.name} is unreachable"
    assert unattested(git, commit, storage / "runs") == []
    for path, name in lockfile.carried(git, commit).items():
        assert is_whole(storage, name), f"{record.name}: {path} {name} is not in the storage"
    check_model(git, kept, storage)


def check_model(git: Git, kept: Kept, storage: Path) -> None:
    """It is the one that the record names, and what this commit's parameters make."""
    made = lockfile.stages(git, kept.commit)
    assert lockfile.made(made, "models/model.onnx") == kept.record.model
    assert lockfile.made(made, "deploy") == kept.record.bundle
    assert git.read(kept.commit, "params.yaml") == place(storage, kept.record.model).read_bytes()


def check_locks(folder: Path, runs: Sequence[Path]) -> None:
    """No branch claims a run that did not happen, in one of the caches."""
    git = Git(folder)
    for ref in git.lines("for-each-ref", "--format=%(refname)", "refs/heads"):
        doubtful = [set(unattested(git, ref, each)) for each in runs]
        assert not set.intersection(*doubtful), f"{ref} of {folder.name} claims runs of nobody"


def unattested(git: Git, commit: str, runs: Path) -> list[str]:
    lock, pipeline = (git.read(commit, name) or b"" for name in ("dvc.lock", "dvc.yaml"))
    return attestation.unattested(lock, pipeline, runs)


def is_whole(storage: Path, name: str) -> bool:
    """Whether the object is there with all that is in it, each as its name says."""
    try:
        content = place(storage, name).read_bytes()
    except FileNotFoundError:
        return False
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != name.removesuffix(".dir"):
        return False
    inside = json.loads(content) if name.endswith(".dir") else []
    return all(is_whole(storage, entry["md5"]) for entry in inside)


def place(storage: Path, name: str) -> Path:
    return storage / "files/md5" / name[:2] / name[2:]
