"""Moves refs together, on origin and here: all of them or none.

The refs here are locked first, each at the value that was read before the work began. Then they are pushed
to origin, if it still has the values that it had then, and at last they move here. A commit that somebody
else makes in the meantime, here or on origin, is never dropped: the second one is refused.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mlops.errors import Away, MlopsError, Refused
from mlops.release.errors import GitError
from mlops.release.history import branches, records, remotes, shared_refs, tags, withdrawals
from mlops.release.history.branches import ORIGIN, Position
from mlops.release.history.git import Git
from mlops.release.history.notices import notice
from mlops.release.history.records import Record, TaggedRecord
from mlops.release.history.released import Released
from mlops.release.history.remotes import kind_of
from mlops.release.history.shared_refs import SharedRefs

ABSENT = "0" * 40


@dataclass(frozen=True)
class NewTag:
    """A tag object that no ref names yet."""

    name: str
    object: str

    @property
    def ref(self) -> str:
        return f"refs/tags/{self.name}"


def refuse_clash(git: Git, shared: SharedRefs, environment: str) -> None:
    """Raises Refused if a tag on origin clashes with the records of the environment that are here.

    Another record under the name of one that is here may be a rollback that this clone does not know. A tag
    that is no record does no harm.
    """
    if environment in shared.in_the_way:
        raise Refused(
            f"a tag on {ORIGIN} is called {environment}, so that it can take no record {environment}/NUMBER: "
            f"give it another name, `git fetch {ORIGIN} refs/tags/{environment}:refs/tags/NAME && git push "
            f"{ORIGIN} refs/tags/NAME :refs/tags/{environment}`"
        )
    for name in shared.tags_differing:
        if records.number_in_name(environment, name):
            there = shared.there[f"refs/tags/{name}"]
            remotes.contact(git, ORIGIN, *shared_refs.FETCH, f"refs/tags/{name}")
            with suppress(GitError, tags.ForeignTag):
                records.record_of_object(git, name, there)
                raise Refused("\n".join(shared_refs.differing_lines([name])))


def share_tags(git: Git, shared: SharedRefs, released: Released) -> None:
    """Sends origin the records and versions that it lacks, and says so in a notice.

    They were made before there was an origin, or deleted there. A record counts if the branch of its
    environment, as it is on origin or will be, has its commit. No failure stops the caller.
    """
    if not shared.tags_lacking:
        return
    told = set[str]()
    for environment in released.records:
        with suppress(Refused):
            tip = branches.tip_of(git, environment)
            merged = ("for-each-ref", f"--merged={tip}", "--format=%(refname:strip=2)")
            told.update(git.lines(*merged, f"refs/tags/{environment}/", "refs/tags/model@v*"))
    names = [name for name in shared.tags_lacking if name in told & released.written]
    if not names:
        return
    refs = [f"refs/tags/{name}" for name in names]
    try:
        push_refs(git, [f"{ref}:{ref}" for ref in refs], dict.fromkeys(refs))
    except GitError as error:
        notice(git, f"{ORIGIN} lacks {', '.join(names)}, and did not take them: {error}")
    else:
        notice(git, f"{ORIGIN} lacked {', '.join(names)}, which are here: they are pushed")


def publish_refs(
    git: Git, start: Position, commit: str, new_tags: Sequence[NewTag], record: Record
) -> None:
    """Moves the branch to the commit of the record and creates the tags.

    `start` is where the branch was before the work began. Raises Refused, with nothing moved, where
    it has moved since, where a tag is already there, or where origin does not take the refs; Away where it is
    out of reach.
    """
    updates = [f"update {start.ref} {commit} {start.here or ABSENT}"]
    updates += [f"create {tag.ref} {tag.object}" for tag in new_tags]
    try:
        with git.transaction(updates, record.title):
            if branches.has_origin(git):
                specs = [f"{commit}:{start.ref}", *(f"{tag.object}:{tag.ref}" for tag in new_tags)]
                expected = {start.ref: start.there} | {tag.ref: None for tag in new_tags}
                push_refs(git, specs, expected)
    except GitError as error:
        raise reason_not_moved(git, start, commit, new_tags, (record, error)) from error


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
    listed = remotes.contact(git, ORIGIN, "ls-remote", ORIGIN, f"refs/heads/{branch}")
    replaced = listed.partition("\t")[0] or None
    if replaced and not is_proposal(git, replaced):
        raise Refused(
            f"{ORIGIN}/{branch} holds commits that are no proposal, and a new proposal would drop them: "
            f"merge the branch, or delete it with `git push {ORIGIN} --delete {branch}`, then again"
        )
    return Proposal(branch, replaced)


def is_proposal(git: Git, commit: str) -> bool:
    try:
        tags.json_in_message(git.run("show", "-s", "--format=%B", commit))
    except (GitError, ValueError):
        return False
    return True


def propose(git: Git, start: Position, proposal: Proposal, commit: str, record: Record) -> None:
    """Pushes the commit, which holds the future record, as the branch of the proposal.

    Raises Refused if that branch, or the environment's branch on origin, has changed since the work began.
    """
    specs, expected = [f"{commit}:{proposal.ref}"], {proposal.ref: proposal.replaced}
    if start.there:
        specs.append(f"{start.there}:{start.ref}")
        expected[start.ref] = start.there
    try:
        push_refs(git, specs, expected)
    except GitError as error:
        raise reason_not_moved(git, start, commit, [], (record, error)) from error


def push_refs(git: Git, specs: Sequence[str], expected: dict[str, str | None]) -> None:
    """Pushes all of `specs` to origin or none; `expected` are the values that its refs must still have."""
    leases = [f"--force-with-lease={ref}:{commit or ''}" for ref, commit in expected.items()]
    # A release has checked already what the hook, `mlops check`, would check again.
    options = ("--quiet", "--no-verify", "--atomic", *leases)
    remotes.contact(git, ORIGIN, "push", *options, ORIGIN, *specs)


def reason_not_moved(
    git: Git,
    start: Position,
    commit: str,
    new_tags: Sequence[NewTag],
    failed: tuple[Record, GitError],
) -> Refused | Away:
    """Returns why the refs did not move: a change by somebody else, or else the message of Git.

    `failed` is the record that was not published, with that message.
    """
    record, error = failed
    shared = branches.has_origin(git)
    try:
        listed = remotes.contact(git, ORIGIN, "ls-remote", ORIGIN) if shared else ""
    except GitError as unavailable:
        return kind_of(unavailable)(
            f"no branch or tag has moved here, and it is not known whether {ORIGIN} took the release: "
            f"{unavailable}. The same command then completes the release"
        )
    there = {ref: name for name, ref in (line.split("\t") for line in listed.splitlines())}
    if shared and there.get(start.ref) == commit:
        return Refused(
            f"{ORIGIN} has the release, and the refs here did not move: {error}. Run it again"
        )
    if (here := git.commit(start.ref)) != start.here:
        return moved_meanwhile(git, record, "here", here, {})
    if shared and there.get(start.ref) != start.there:
        return moved_meanwhile(git, record, f"on {ORIGIN}", there.get(start.ref), there)
    if taken := [tag.name for tag in new_tags if tag.ref in there or git.commit(tag.ref)]:
        return Refused(
            f"the tag {taken[0]} was made meanwhile, here or on {ORIGIN}. No branch or tag has moved. "
            "See `mlops status`, then run it again"
        )
    return not_taken_by_origin(error) if shared else Refused(f"no branch or tag has moved: {error}")


def moved_meanwhile(
    git: Git, record: Record, where: str, commit: str | None, there: Mapping[str, str]
) -> Refused:
    """Returns what happened to the branch meanwhile, and what the same command would do now.

    `there` are the refs of origin. No ref here moves, so that the next rollback still sees what is new.
    """
    newest = fetched_record(git, record, there)
    if commit and not git.commit(commit):
        remotes.contact(git, ORIGIN, *shared_refs.FETCH, f"refs/heads/{record.environment}")
    if commit is None:
        what = "it is gone"
    elif newest and newest.commit == commit:
        what = released_sentence(newest)
    else:
        what = git.run("log", "-1", "--format=%h %s, by %an", commit)
    return Refused(
        f"{record.environment} was changed {where} while this release was made ({what}). The release is not "
        f"published, and no branch or tag has moved. {rerun_sentence(record, newest)}"
    )


def fetched_record(git: Git, record: Record, there: Mapping[str, str]) -> TaggedRecord | None:
    """Returns the record that took the number of this one on origin, or None."""
    if tag_object := there.get(f"refs/tags/{record.name}"):
        with suppress(MlopsError):
            remotes.contact(git, ORIGIN, *shared_refs.FETCH, f"refs/tags/{record.name}")
            return records.record_of_object(git, record.name, tag_object)
    return None


def released_sentence(newest: TaggedRecord) -> str:
    if newest.record.restored:
        return withdrawals.rollback_sentence(newest)
    return f"{newest.record.name}: {newest.author} has released {newest.record.version}"


def rerun_sentence(record: Record, newest: TaggedRecord | None) -> str:
    """Returns what the command that made `record` would do, now that `newest` is there, if anything is."""
    if record.kind == "rollback":
        further = "is refused once, and would then go back further"
        then = further if newest and newest.record.restored else "would now roll back that change"
        return f"See `mlops status`: without `--to`, the same command {then}"
    overruled = withdrawals.withdrawal_of(
        [newest] if newest else [], record.source_commit, record.version
    )
    if overruled:
        return "That rollback withdrew what you release: the same command is refused, unless with `--again`"
    return "See `mlops status`: the same command makes the release anew, on top of that change"


def not_taken_by_origin(error: GitError) -> Refused | Away:
    return kind_of(error)(
        f"{ORIGIN} did not take the release, and no branch or tag has moved: {error}. Run it again"
    )
