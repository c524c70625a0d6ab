"""Moves refs together, on origin and here: all of them or none.

The refs here are locked first, each at the value that was read before the work began. Then they are pushed
to origin, if it still has the values that it had then, and at last they move here. A commit that somebody
else makes in the meantime, here or on origin, is never dropped: the second one is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mlops.errors import Refused
from mlops.release.errors import GitError
from mlops.release.history import branches, tags
from mlops.release.history.branches import ORIGIN, Position
from mlops.release.history.git import Git

ABSENT = "0" * 40


@dataclass(frozen=True)
class NewTag:
    """A tag object that no ref names yet."""

    name: str
    object: str

    @property
    def ref(self) -> str:
        return f"refs/tags/{self.name}"


def make_tag(git: Git, name: str, commit: str, message: str) -> NewTag:
    """Writes an annotated tag of the commit, without a ref."""
    tagger = git.run("var", "GIT_COMMITTER_IDENT")
    content = f"object {commit}\ntype commit\ntag {name}\ntagger {tagger}\n\n{message}"
    return NewTag(name, git.run("mktag", given=content))


def publish_refs(
    git: Git, start: Position, commit: str, new_tags: Sequence[NewTag], title: str
) -> None:
    """Moves the branch to the commit and creates the tags.

    `start` is where the branch was before the work began. Raises Refused, with nothing moved, where
    it has moved since, where a tag is already there, or where origin does not take the refs.
    """
    updates = [f"update {start.ref} {commit} {start.here or ABSENT}"]
    updates += [f"create {tag.ref} {tag.object}" for tag in new_tags]
    try:
        with git.transaction(updates, title):
            if branches.has_origin(git):
                specs = [f"{commit}:{start.ref}", *(f"{tag.object}:{tag.ref}" for tag in new_tags)]
                expected = {start.ref: start.there} | {tag.ref: None for tag in new_tags}
                push_refs(git, specs, expected)
    except GitError as error:
        raise reason_not_moved(git, start, commit, new_tags, error) from error


@dataclass(frozen=True)
class Proposal:
    """A branch for review, and the earlier proposal on origin that it replaces, or None."""

    branch: str
    replaced: str | None

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.branch}"


def find_proposal(git: Git, record: str) -> Proposal:
    """Returns the branch on which the release of this record is proposed, before the work begins.

    Raises Refused if there is no origin, or if the branch has commits that are not from a proposal.
    """
    if not branches.has_origin(git):
        raise Refused(f"a proposal needs a Git remote called {ORIGIN}: `git remote add`")
    branch = f"proposal/{record}"
    found = [line.split()[0] for line in git.lines("ls-remote", ORIGIN, f"refs/heads/{branch}")]
    if found and not is_proposal(git, found[0]):
        raise Refused(
            f"{ORIGIN}/{branch} holds commits that are no proposal, and a new proposal would drop them: "
            f"merge the branch, or delete it with `git push {ORIGIN} --delete {branch}`, then again"
        )
    return Proposal(branch, found[0] if found else None)


def is_proposal(git: Git, commit: str) -> bool:
    try:
        tags.json_in_message(git.run("show", "-s", "--format=%B", commit))
    except (GitError, ValueError):
        return False
    return True


def propose(git: Git, start: Position, proposal: Proposal, commit: str) -> None:
    """Pushes the commit as the branch of the proposal.

    Raises Refused if that branch, or the environment's branch on origin, has changed since the work began.
    """
    specs, expected = [f"{commit}:{proposal.ref}"], {proposal.ref: proposal.replaced}
    if start.there:
        specs.append(f"{start.there}:{start.ref}")
        expected[start.ref] = start.there
    try:
        push_refs(git, specs, expected)
    except GitError as error:
        raise reason_not_moved(git, start, commit, [], error) from error


def push_refs(git: Git, specs: Sequence[str], expected: dict[str, str | None]) -> None:
    """Pushes all of `specs` to origin or none; `expected` are the values that its refs must still have."""
    leases = [f"--force-with-lease={ref}:{commit or ''}" for ref, commit in expected.items()]
    # A release has checked already what the hook, `mlops check`, would check again.
    git.run("push", "--quiet", "--no-verify", "--atomic", *leases, ORIGIN, *specs)


def reason_not_moved(
    git: Git, start: Position, commit: str, new_tags: Sequence[NewTag], error: GitError
) -> Refused:
    """Returns why the refs did not move: a change by somebody else, or else the message of Git."""
    shared = branches.has_origin(git)
    try:
        listed = git.lines("ls-remote", ORIGIN) if shared else []
    except GitError as unavailable:
        return not_taken_by_origin(unavailable)
    there = {ref: name for name, ref in (line.split("\t") for line in listed)}
    if shared and there.get(start.ref) == commit:
        return Refused(
            f"{ORIGIN} has the release, and the refs here did not move: {error}. Run it again"
        )
    if (here := git.commit(start.ref)) != start.here:
        return moved_meanwhile(git, start.environment, "here", here)
    if shared and there.get(start.ref) != start.there:
        return moved_meanwhile(git, start.environment, f"on {ORIGIN}", there.get(start.ref))
    if taken := [tag.name for tag in new_tags if tag.ref in there or git.commit(tag.ref)]:
        return Refused(
            f"the tag {taken[0]} was made meanwhile, here or on {ORIGIN}. No branch or tag has moved. "
            "See `mlops status`, then run it again"
        )
    return not_taken_by_origin(error) if shared else Refused(f"no branch or tag has moved: {error}")


def moved_meanwhile(git: Git, environment: str, where: str, commit: str | None) -> Refused:
    if commit and not git.commit(commit):
        git.run("fetch", "--quiet", "--no-tags", ORIGIN, f"refs/heads/{environment}")
    what = (
        "it is gone" if commit is None else git.run("log", "-1", "--format=%h %s, by %an", commit)
    )
    return Refused(
        f"{environment} was changed {where} while this release was made ({what}). The release is not "
        f"published, and no branch or tag has moved. See `mlops status`; run it again if you still "
        "want it"
    )


def not_taken_by_origin(error: GitError) -> Refused:
    return Refused(
        f"{ORIGIN} did not take the release, and no branch or tag has moved: {error}. Run it again"
    )
