"""Rollback: restores an environment to an older record. No stage is run.

A rollback is a release of its own: a new commit with the record's tree and a new record, so that history
is preserved and can be rolled back in turn. What it withdraws comes back only by `mlops promote --again`.
"""

from collections.abc import Sequence
from dataclasses import replace

from mlops import environments
from mlops.errors import Refused, UsageError
from mlops.release.history import arrivals, branches, obstacles, records, signatures, withdrawals
from mlops.release.history.git import Git
from mlops.release.history.records import Record, TaggedRecord
from mlops.release.history.released import Released
from mlops.release.history.settings import Settings
from mlops.release.places import worktree
from mlops.release.promote import promotion, publication
from mlops.release.promote.promotion import Say
from mlops.release.promote.worker import start_worker


def roll_back(
    git: Git, environment: str, to: str | None, say: Say, *, reason: str | None = None
) -> Record:
    """Rolls back to the record or version `to`, by default to the one before, and returns the new record.

    `reason` is a line that the record stores. Raises Refused or UsageError; then nothing has changed.
    """
    if environments.known_environment(environment) == environments.CHAIN[0]:
        raise Refused(f"nothing is released to {environment}: `git revert` undoes a commit there")
    refuse_unprintable(reason)
    obstacles.refuse_unfinished(git)
    with worktree.one_release_at_a_time(git):
        known = records.latest_record(git, environment)
        shared = branches.fetch_origin(git)
        branches.refuse_checked_out(git, environment)
        branches.refuse_blocked(git, environment)
        start = branches.read_position(git, environment)
        target = branches.later_commit(git, start)
        start = branches.catch_up(git, start)
        released = Released.before_release(git, environment)
        if shared:
            publication.refuse_clash(git, shared, environment)
        tagged = released.records[environment]
        if not tagged:
            raise Refused(f"{environment} has no record yet: nothing was released to it")
        if to is None:
            refuse_unseen(known, tagged)
        wanted = (
            record_named(git, target, tagged, to)
            if to
            else record_before(git, target, tagged, released.standing_withdrawals(environment))
        )
        promotion.refuse_unready(git, released.settings)
        if shared:
            publication.share_tags(git, shared, released)
        latest = tagged[-1].record
        record = replace(
            wanted.record,
            kind="rollback",
            number=released.next_number(environment),
            restored=wanted.record.in_effect,
            withdrew=withdrawn_by(latest, wanted.record),
            rollback_reason=reason,
            again=None,
        )
        commit = commit_rollback(git, released.settings, target, wanted, record)
        say(f"checking every output of {wanted.record.name}, byte for byte")
        with start_worker(git.root, git.root) as worker:
            restored = worker.ask("restore", commit=commit)
            say(f"{len(restored)} outputs are as recorded")
            worker.ask("push", commits=[commit])
        promotion.publish_record(git, start, commit, record, released)
        return record


def withdrawn_by(latest: Record, restored: Record) -> dict[str, str] | None:
    """Returns what the rollback withdraws, or None if it undoes only commits made by hand."""
    if latest.in_effect == restored.in_effect:
        return None
    return {
        "record": latest.in_effect,
        "version": latest.version,
        "source_commit": latest.source_commit,
    }


def refuse_unprintable(reason: str | None) -> None:
    if reason is not None and not (reason.strip() and reason.isprintable()):
        raise UsageError(f"--reason is {reason!r}: give it one line of plain text")


def refuse_unseen(known: TaggedRecord | None, tagged: Sequence[TaggedRecord]) -> None:
    """Raises Refused if somebody else has just rolled back, since both users meant the same step."""
    if tagged[-1] != known and tagged[-1].record.restored:
        raise Refused(
            f"{tagged[-1].record.title}: {tagged[-1].author} has just done this. "
            "To go back further, run this again"
        )


def record_named(git: Git, target: str, tagged: Sequence[TaggedRecord], name: str) -> TaggedRecord:
    wanted = records.find_record(tagged, name)
    if holds_record(git, wanted, target):
        raise Refused(
            f"{wanted.record.environment} already is as in {wanted.record.name}: there is nothing to roll "
            "back"
        )
    return wanted


def record_before(
    git: Git, target: str, tagged: Sequence[TaggedRecord], standing: Sequence[TaggedRecord]
) -> TaggedRecord:
    """Returns the newest record that differs from what is there now and that no rollback has withdrawn.

    `standing` are the rollbacks that still hold.
    """
    differing = (each for each in reversed(tagged) if not holds_record(git, each, target))
    for each in differing:
        if not withdrawals.withdrawal_of(standing, each.record.source_commit, each.record.version):
            return each
    environment, latest = tagged[-1].record.environment, tagged[-1].record
    holding = (
        f"{environment} holds {latest.version} ({latest.name}), and no record is left to go back to"
    )
    if not standing:
        names = ", ".join(each.record.name for each in tagged)
        raise Refused(f"{holding}: {names} released the same content")
    raise Refused(
        "\n  ".join(
            [f"{holding} but what was withdrawn:", *map(withdrawals.rollback_sentence, standing)]
        )
        + f"\nname the one that is meant: `mlops rollback {environment} --to RECORD`"
    )


def holds_record(git: Git, tagged: TaggedRecord, target: str) -> bool:
    """Returns whether `target` has what the record released; data/incoming does not count."""
    return git.succeeds("diff", "--quiet", tagged.commit, target, "--", *arrivals.ALL_ELSE)


def commit_rollback(
    git: Git, settings: Settings, target: str, wanted: TaggedRecord, record: Record
) -> str:
    """Commits the tree of the record that is wanted, as the new record.

    The parents are the environment's last commit and that of the record.
    """
    tree = arrivals.with_arrivals(git, git.run("rev-parse", f"{wanted.commit}^{{tree}}"), target)
    subject = f"Roll {record.environment} back to {wanted.record.name} ({record.version})"
    message = "\n\n".join(filter(None, (subject, record.rollback_reason, record.trailers)))
    return signatures.write_commit(git, settings, tree, (target, wanted.commit), message)
