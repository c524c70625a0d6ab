"""`mlops history`: what was released to an environment, what was rolled back, and what was refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops import environments
from mlops.errors import MlopsError
from mlops.release.history import branches, records, unrecorded
from mlops.release.history.git import Git
from mlops.release.history.records import Record, TaggedRecord
from mlops.release.promote import refusals
from mlops.release.promote.refusals import Refusal


@dataclass(frozen=True)
class Event:
    """A promotion, rollback or refusal. `record` and `version` are None for a refusal, `why` where no reason
    was given."""

    when: datetime
    record: str | None
    what: str
    version: str | None
    source: str
    who: str
    why: str | None


def events_of(git: Git, environment: str) -> list[Event]:
    """Returns the events of an environment, oldest first. The refusals are those of this clone.

    Raises Refused for dev, to which nothing is released, and MlopsError if nothing has happened yet or
    no record of it is left.
    """
    source = environments.upstream(environment)
    events = events_with(git, environment, records.records_of(git, environment))
    if not events:
        if lacks := [*branches.gaps(git)]:
            raise MlopsError(f"no release to {environment} is known here; {'; '.join(lacks)}")
        raise MlopsError(
            unrecorded.unrecorded_tip(git, environment, [])
            or f"nothing was released to {environment} yet: `mlops promote {environment}` releases {source}"
        )
    return events


def events_with(git: Git, environment: str, tagged: Sequence[TaggedRecord]) -> list[Event]:
    """Returns the events of an environment whose records are `tagged`, oldest first."""
    released = [release_event(each) for each in tagged]
    refused = [refusal_event(each) for each in refusals.refusals_of(git, environment)]
    return sorted([*released, *refused], key=lambda event: event.when)


def release_event(tagged: TaggedRecord) -> Event:
    record = tagged.record
    return Event(
        when=datetime.fromisoformat(tagged.when),
        record=record.name,
        what=record.kind,
        version=record.version,
        source=record.restored or f"{record.source} {record.source_commit[:7]}",
        who=tagged.author,
        why=reason_of(record),
    )


def reason_of(record: Record) -> str | None:
    """Returns why a release was made: what its user said, and for a promotion why it has its version."""
    if record.restored:
        withdrew = f"withdrew {record.withdrew['version']}" if record.withdrew else None
        return ": ".join(filter(None, (withdrew, record.rollback_reason))) or None
    accepted = (record.comparison or {}).get("accepted")
    reasons = (
        record.reason,
        accepted and f"released without comparison: {accepted}",
        record.again and f"released again after {record.again}",
    )
    return "; ".join(filter(None, reasons))


def refusal_event(refusal: Refusal) -> Event:
    return Event(
        when=datetime.fromisoformat(refusal.when).astimezone(),
        record=None,
        what="refused",
        version=None,
        source=f"{refusal.source} {refusal.source_commit[:7]}",
        who=refusal.who,
        why=refusal.reason,
    )
