"""`mlops status`: reads from Git what each environment holds, and asks the services of this machine."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mlops import environments
from mlops.errors import MlopsError
from mlops.release.follow import running
from mlops.release.history import (
    arrivals,
    branches,
    last_fetch,
    lockfile,
    records,
    reports,
    unrecorded,
    withdrawals,
)
from mlops.release.history.branches import ORIGIN, Position
from mlops.release.history.git import Git

T = TypeVar("T")


@dataclass(frozen=True)
class Status:
    """The state of an environment. A field is None if nothing was made yet or if it can't be read.

    `version` and `record` are those of the branch's last commit, and None if that is not a release.
    `serving` is what `mlops serve` on this machine answers with, and what it refused. `rolled_back` says
    what the environment was rolled back from and to, by whom and why, and is None if it was not. `notes` are
    sentences: that no record stands behind its commit, that there is no branch, and what can't be read.
    """

    environment: str
    commit: str | None = None
    when: str | None = None
    version: str | None = None
    record: str | None = None
    model: str | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    gate_passed: bool | None = None
    serving: str | None = None
    rolled_back: str | None = None
    notes: tuple[str, ...] = ()


class Notes:
    """Collects sentences about an environment; what can't be read costs its own field."""

    def __init__(self, environment: str) -> None:
        self.lines: list[str] = []
        self._environment = environment

    def read(self, read: Callable[[], T]) -> T | None:
        """Returns what `read` returns, or None where it raises MlopsError, whose message is noted."""
        try:
            return read()
        except MlopsError as error:
            self.lines.append(f"{self._environment}: {error}")
        return None


def all_statuses(git: Git) -> list[Status]:
    return [status_of(git, environment) for environment in environments.CHAIN]


def status_of(git: Git, environment: str) -> Status:
    notes = Notes(environment)
    position = branches.read_position(git, environment)
    tip = last_commit(git, position, notes)
    if tip is None:
        notes.lines.append(reason_absent(git, environment))
        return Status(environment, notes=(*notes.lines,))
    commit = arrivals.release_commit(git, tip)
    metrics = notes.read(lambda: read_metrics(git, commit)) or {}
    tagged = notes.read(lambda: records.records_of(git, environment))
    lock = notes.read(lambda: lockfile.read_lock(git, commit))
    latest = tagged[-1] if tagged and tagged[-1].commit == commit else None
    if tagged is not None:
        line = unrecorded.unrecorded_tip(git, environment, tagged, tip)
        notes.lines += [line] if line else []
    return Status(
        environment,
        commit=commit[:7],
        version=latest.record.version if latest else None,
        record=latest.record.name if latest else None,
        when=git.run("log", "-1", "--format=%cd", "--date=format:%Y-%m-%d %H:%M", commit),
        model=(lock.model or None) if lock else None,
        metrics=metrics,
        gate_passed=notes.read(
            lambda: reports.verdict_in(reports.read_report(git, commit, reports.GATE))
        ),
        serving=serving_text(git, environment),
        rolled_back=withdrawals.rollback_sentence(latest)
        if latest and latest.record.restored
        else None,
        notes=(*notes.lines,),
    )


def last_commit(git: Git, position: Position, notes: Notes) -> str | None:
    """Returns the branch's last commit, here or on origin, whichever is ahead; here if they diverge."""
    if position.here is None and position.there is None:
        return None
    return notes.read(lambda: branches.later_commit(git, position)) or position.here


def read_metrics(git: Git, commit: str) -> Mapping[str, float | None]:
    report = reports.read_report(git, commit, reports.METRICS, reports.metrics_in)
    return reports.metrics_in(report)


def reason_absent(git: Git, environment: str) -> str:
    """Returns why a branch is not known here, with the command that fetches it."""
    absent = f"there is no branch {environment} in this clone"
    if not branches.has_origin(git):
        return f"{absent}: `git branch {environment} COMMIT`"
    unfetched = branches.unfetched_sentence(git, environment)
    return unfetched or f"{absent}, nor on {ORIGIN} at the last fetch"


def remarks(git: Git) -> Iterator[str]:
    """Yields sentences about what this clone can know."""
    if branches.has_origin(git):
        yield last_fetch.fetch_sentence(git)
    if branches.is_shallow(git):
        yield branches.SHALLOW


def serving_text(git: Git, environment: str) -> str | None:
    model = running.running_model(git, environment)
    if model is None:
        return None
    text = version_or_commit(model)
    if refused := model.get("refused"):
        text += f", refused {version_or_commit(refused)}: {refused['reason'].splitlines()[0]}"
    return text


def version_or_commit(model: Mapping[str, Any]) -> str:
    """Returns the version, or the short commit; a branch that has diverged has neither."""
    return model["version"] or (model["commit"] or "")[:7] or "its branch"
