"""Refs that move together: all of them or none, on origin and then here."""

from dataclasses import dataclass

from release import branches
from release.errors import GitError, Refused
from release.git import Git

ABSENT = "0" * 40


@dataclass(frozen=True)
class Move:
    """A ref and the object it shall name; for a tag, a tag object."""

    ref: str
    new: str


def tag(git: Git, name: str, commit: str, message: str) -> Move:
    """An annotated tag that nothing names yet."""
    tagger = git.run("var", "GIT_COMMITTER_IDENT")
    content = f"object {commit}\ntype commit\ntag {name}\ntagger {tagger}\n\n{message}"
    return Move(f"refs/tags/{name}", git.run("mktag", given=content))


def publish(git: Git, branch: Move, tags: list[Move], reason: str) -> None:
    """Move the branch, from where it was when read here, and create the tags."""
    before = git.commit(branch.ref) or ABSENT
    moves = [branch, *tags]
    if branches.has_origin(git):
        push(git, moves)
    updates = [f"update {branch.ref} {branch.new} {before}"]
    updates += [f"create {move.ref} {move.new}" for move in tags]
    try:
        git.run("update-ref", "-m", reason, "--stdin", given="\n".join(updates) + "\n")
    except GitError as error:
        raise Refused(f"refs moved since the release began: {error}. Run it again") from error


def push(git: Git, moves: list[Move]) -> None:
    # A promotion has proved all that the hook of `mlops check` would ask again.
    specs = [f"{move.new}:{move.ref}" for move in moves]
    try:
        git.run("push", "--quiet", "--no-verify", "--atomic", branches.ORIGIN, *specs)
    except GitError as error:
        raise Refused(
            f"{branches.ORIGIN} did not take the release, so that no branch or tag has moved: "
            f"{error}. Run it again"
        ) from error
