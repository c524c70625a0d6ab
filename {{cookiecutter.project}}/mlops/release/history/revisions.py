"""Finds the commit that a name given by a user stands for."""

from mlops.errors import MlopsError
from mlops.release.history import versions
from mlops.release.history.git import Git


def commit_of(git: Git, revision: str) -> str:
    """Returns the commit of a version (v1.2.0), a branch, here or on origin, or any other revision.

    Raises MlopsError if nothing has this name.
    """
    version = versions.version_name(revision)
    known = [f"refs/tags/{versions.PREFIX}{version}"] if version else []
    for name in (*known, revision, f"origin/{revision}"):
        if commit := git.commit(name):
            return commit
    raise MlopsError(f"{revision!r} is not a version, branch, tag or commit of this repository")
