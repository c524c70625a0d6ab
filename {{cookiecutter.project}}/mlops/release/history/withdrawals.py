"""Finds what rollbacks have withdrawn from an environment and no promotion has released there again."""

from collections.abc import Sequence

from mlops.release.history import records
from mlops.release.history.records import Record, TaggedRecord
from mlops.release.history.release_commits import ReleaseCommit


def standing_withdrawals(tagged: Sequence[TaggedRecord]) -> list[TaggedRecord]:
    """Returns the rollbacks, among an environment's records, whose withdrawal still holds, oldest first."""
    found: list[TaggedRecord] = []
    for each in tagged:
        source, version = each.record.source_commit, each.record.version
        found = [rollback for rollback in found if not withdraws(rollback.record, source, version)]
        if each.record.withdrew:
            found.append(each)
    return found


def lost_rollbacks(
    environment: str, tagged: Sequence[TaggedRecord], commits: Sequence[ReleaseCommit]
) -> list[TaggedRecord]:
    """Returns the rollbacks of an environment that have a commit and no tag, as far as the commit tells.

    Who deletes the tag of a rollback does not bring back what it withdrew.
    """
    by_name = {each.record.name: each.record for each in tagged}
    by_commit = {each.commit: each.record for each in tagged}
    sources = {each.record: each for each in commits if len(each.parents) > 1}
    found = []
    for each in commits:
        digits = records.number_in_name(environment, each.record)
        if not digits or each.record in by_name or each.withdrew not in sources:
            continue
        withdrawn, restored = sources[each.withdrew], by_commit.get(each.parents[-1])
        record = Record(
            environment=environment,
            number=int(digits),
            kind="rollback",
            source=environment,
            source_commit=restored.source_commit if restored else each.parents[-1],
            version=each.version,
            reason="",
            answers={},
            bundle="",
            metrics={},
            gate={},
            comparison=None,
            milliseconds=None,
            megabytes=0,
            restored=restored.in_effect if restored else each.parents[-1][:7],
            withdrew={
                "record": each.withdrew,
                "version": withdrawn.version,
                "source_commit": withdrawn.parents[-1],
            },
            rollback_reason=f"the tag {each.record} is deleted",
        )
        found.append(TaggedRecord(record, each.commit, each.author, each.when))
    return found


def withdrawal_of(
    rollbacks: Sequence[TaggedRecord], source_commit: str, version: str | None = None
) -> TaggedRecord | None:
    """Returns the latest of the rollbacks that withdrew this source or version, or None."""
    found = [each for each in rollbacks if withdraws(each.record, source_commit, version)]
    return found[-1] if found else None


def withdraws(rollback: Record, source_commit: str, version: str | None) -> bool:
    """Returns whether the rollback withdrew a release of this source or of this version.

    A rollback between two releases of one version withdraws a source, and not that version.
    """
    withdrew = rollback.withdrew or {}
    of_version = version == withdrew.get("version") != rollback.version
    return of_version or source_commit == withdrew.get("source_commit")


def rollback_sentence(rollback: TaggedRecord) -> str:
    """Returns a sentence: what the environment was rolled back from and to, by whom, when and why."""
    record = rollback.record
    withdrew = record.withdrew
    what = (
        f"{withdrew['version']} ({withdrew['record']})" if withdrew else "commits without a release"
    )
    return (
        f"{record.environment} was rolled back from {what} to {record.version} ({record.restored}) by "
        f"{rollback.author} on {rollback.when[:10]}: "
        f"{record.rollback_reason or 'no reason was given'}"
    )
