"""The bundle that a branch, tag or commit deployed, without switching to it."""

import shutil
from pathlib import Path

from release import lockfile, versions
from release.errors import ReleaseError
from release.git import Git

DEPLOY = "deploy"
FOLDER = Path(".dvc/tmp/bundles")


def fetch(git: Git, revision: str) -> Path:
    """The directory of the bundle, by its hash; from the cache, or from the remote."""
    commit = commit_of(git, revision)
    md5 = lockfile.output(lockfile.stages(git, commit), DEPLOY)
    if md5 is None:
        raise ReleaseError(f"{revision} has deployed nothing yet: `mlops promote {revision}`")
    folder = git.root / FOLDER / md5.removesuffix(".dir")
    if not folder.exists():
        copy(git, md5, folder)
    return folder


def commit_of(git: Git, revision: str) -> str:
    """The commit of a version (v1.2.0), a branch, here or on origin, or any other revision."""
    name = versions.named(revision)
    known = [f"refs/tags/{versions.PREFIX}{name}"] if name else []
    for candidate in (*known, revision, f"origin/{revision}"):
        if commit := git.commit(candidate):
            return commit
    raise ReleaseError(f"{revision!r} names no version, branch, tag or commit of this repository")


def copy(git: Git, md5: str, folder: Path) -> None:
    from release import dvc, store

    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with dvc.opened(git.root) as repo:
        store.copy(repo, md5, partial)
    partial.rename(folder)
