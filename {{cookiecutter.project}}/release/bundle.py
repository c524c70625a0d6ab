"""The bundle that a branch or commit deployed, without switching to it."""

import shutil
from pathlib import Path

from release import lockfile
from release.errors import ReleaseError
from release.git import Git

DEPLOY = "deploy"
FOLDER = Path(".dvc/tmp/bundles")


def fetch(git: Git, revision: str) -> Path:
    """The directory of the bundle, by its hash; from the cache, or from the remote."""
    commit = git.commit(revision) or git.commit(f"origin/{revision}")
    if commit is None:
        raise ReleaseError(f"{revision!r} names no branch, tag or commit of this repository")
    md5 = lockfile.output(lockfile.stages(git, commit), DEPLOY)
    if md5 is None:
        raise ReleaseError(f"{revision} has deployed nothing yet: `mlops promote {revision}`")
    folder = git.root / FOLDER / md5.removesuffix(".dir")
    if not folder.exists():
        copy(git, commit, folder)
    return folder


def copy(git: Git, commit: str, folder: Path) -> None:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        Repo.get(str(git.root), DEPLOY, str(partial), rev=commit)
    except DvcException as error:
        raise ReleaseError(
            f"the bundle of {commit[:7]} is neither in the cache nor in the remote ({error}): "
            "`dvc push` it from where it was made, or `mlops repro` there"
        ) from error
    partial.rename(folder)
