"""What stands in the way of a command that commits or moves branches: it is named before anything changes."""

import time

from mlops.errors import Refused
from mlops.release.history.git import Git, words_of_lock

UNFINISHED = {
    "rebase-apply/applying": "am",
    "rebase-apply": "rebase",
    "rebase-merge": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
}
"""What a command of Git has in Git's folder until it is finished; a rebase may hold a cherry-pick."""

DATA = ("data", "models", "reports", "deploy")
"""The folders in which stages read and write, and promotions too."""

PATIENCE = 2.0
"""Seconds in which a Git that is at work releases the index."""


def unfinished(git: Git) -> tuple[str, str] | None:
    """Returns what a command of Git has left unfinished, and how it is ended, or None."""
    paths = git.paths_inside(*UNFINISHED)
    for command, path in zip(UNFINISHED.values(), paths, strict=True):
        if path.exists():
            how = f"finish it with `git {command} --continue`, or give it up with `git {command} --abort`"
            end = "`git bisect reset` ends it" if command == "bisect" else how
            return f"`git {command}` is unfinished in {git.root}", end
    return None


def refuse_unfinished(git: Git) -> None:
    """Raises Refused while a merge or another command of Git waits to be finished in the working tree."""
    if found := unfinished(git):
        raise Refused(f"{found[0]}, and nothing was changed: {found[1]}, then again")


def refuse_locked_index(git: Git) -> None:
    """Raises Refused if another Git holds the index, or one has left its lock: DVC would fail in the end."""
    (lock,) = git.paths_inside("index.lock")
    until = time.monotonic() + PATIENCE
    while lock.exists():
        if time.monotonic() > until:
            raise Refused(words_of_lock(lock))
        time.sleep(0.1)


def refuse_submodules(git: Git) -> None:
    """Raises Refused if Git keeps a folder of DATA, or a part of one, as a submodule: no commit of the
    project has its files."""
    for line in git.lines("ls-files", "--stage", "--", *DATA):
        about, _, path = line.partition("\t")
        if about.startswith("160000 "):
            raise Refused(
                f"{path} is a submodule of Git, and its files have to be in the project's own repository: "
                f"`git rm --cached {path} && rm -rf {path}/.git && git add {path}`, take it out of "
                ".gitmodules, and commit"
            )
