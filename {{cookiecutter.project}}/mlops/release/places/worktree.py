"""Makes temporary working trees, so that a release never changes the user's own."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops.errors import MlopsError, Refused
from mlops.file_lock import lock_file
from mlops.release.history.git import Git
from mlops.release.places import scratch

FOLDER = Path(".dvc/tmp/release")
MANY = Path(".dvc/tmp/trees")
FULL_BELOW = 1_000_000
"""Free bytes below which the disk counts as full."""


@contextmanager
def one_release_at_a_time(git: Git) -> Iterator[None]:
    """Holds the repository's lock while the block runs; it ends with the process.

    Raises Refused if another release runs there, or if this user can write nothing there.
    """
    folder = Path(git.run("rev-parse", "--path-format=absolute", "--git-common-dir"))
    try:
        lock = lock_file(folder / "mlops-release.lock", wait=False)
    except BlockingIOError:
        raise Refused(
            "another promotion or rollback is running in this repository: wait until it ends"
        ) from None
    except OSError as error:
        raise Refused(
            f"this user cannot write in {folder} ({error.strerror}), as this command must: run it in a clone "
            "of your own, or ask the owner of this one for the right"
        ) from error
    with lock, explain_full_disk(git.root):
        yield


@contextmanager
def temporary_worktree(git: Git, commit: str, place: Path = FOLDER) -> Iterator[Git]:
    """Yields Git in a detached working tree at `commit`; one that a crash has left is removed first."""
    folder = git.root / place
    remove_worktree(git, folder)
    no_hooks = ("-c", f"core.hooksPath={os.devnull}")  # DVC's would check out every output
    try:
        with explain_full_disk(git.root):
            git.run(*no_hooks, "worktree", "add", "--quiet", "--detach", str(folder), commit)
            yield Git(folder)
    finally:
        remove_worktree(git, folder)


@contextmanager
def explain_full_disk(root: Path) -> Iterator[None]:
    """Adds to an error that the disk is full: Git says "unable to write", and DVC names its links."""
    try:
        yield
    except MlopsError as error:
        free = shutil.disk_usage(root).free
        if free > FULL_BELOW or "No space left" in str(error):
            raise
        raise type(error)(
            f"{error}\nNo space left on the disk of {root}, {free} bytes: free some, then again"
        ) from error


@contextmanager
def private_worktree(git: Git, commit: str) -> Iterator[Git]:
    """Yields Git in a working tree with a name of its own, of which many may exist; it is locked."""
    folder = git.root / MANY / secrets.token_hex(4)
    with scratch.hold_scratch(folder):
        try:
            with temporary_worktree(git, commit, folder) as tree:
                yield tree
        finally:
            scratch.lock_of(folder).unlink()


def remove_worktree(git: Git, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    git.run("worktree", "prune")
