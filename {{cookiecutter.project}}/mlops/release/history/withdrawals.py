"""What rollbacks have withdrawn from an environment, and nobody has released there again since."""

from collections.abc import Sequence

from mlops.release.history.records import Record, TaggedRecord


def standing_withdrawals(kept: Sequence[TaggedRecord]) -> list[TaggedRecord]:
    """The rollbacks whose withdrawal holds, of an environment's records, oldest first."""
    found: list[TaggedRecord] = []
    for each in kept:
        source, version = each.record.source_commit, each.record.version
        found = [rollback for rollback in found if not withdraws(rollback.record, source, version)]
        if each.record.withdrew:
            found.append(each)
    return found


def withdrawal_of(
    rollbacks: Sequence[TaggedRecord], source_commit: str, version: str | None = None
) -> TaggedRecord | None:
    """The latest of the rollbacks that withdrew this source or version; None where none did."""
    found = [each for each in rollbacks if withdraws(each.record, source_commit, version)]
    return found[-1] if found else None


def withdraws(rollback: Record, source_commit: str, version: str | None) -> bool:
    """Whether a release of this source, or of this version, is what the rollback withdrew.

    A rollback between two releases of one version withdraws a source, and not that version.
    """
    withdrew = rollback.withdrew or {}
    of_version = version == withdrew.get("version") != rollback.version
    return of_version or source_commit == withdrew.get("source_commit")


def rollback_sentence(rollback: TaggedRecord) -> str:
    """From what to what an environment was rolled back, by whom, when and why."""
    record = rollback.record
    withdrew = record.withdrew
    what = f"{withdrew['version']} ({withdrew['record']})" if withdrew else "commits of no release"
    return (
        f"{record.environment} was rolled back from {what} to {record.version} ({record.restored}) by "
        f"{rollback.author} on {rollback.when[:10]}: "
        f"{record.rollback_reason or 'no reason was given'}"
    )
