"""Promotions that were refused: the last lines that people read of one, and a log of all in this clone.

The log is a file of JSON lines in Git's own folder, so that it is never committed or pushed.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops.errors import MlopsError
from mlops.release.errors import GitError, StageFailed
from mlops.release.history import arrivals, lockfile, records, reports
from mlops.release.history.git import Git
from mlops.release.promote import gate_report

LOG = "mlops-refusals.jsonl"
OF_THE_GATE = "failed to reproduce 'gate'"
"""What DVC says if the stage gate has failed."""


class Worse(StageFailed):
    """The challenger is worse than the champion; `comparison` says by which metrics."""

    def __init__(self, environment: str, comparison: Mapping[str, Any]) -> None:
        reasons = "; ".join(gate_report.drop_reasons(comparison))
        super().__init__(f"the challenger is worse than the model now in {environment}: {reasons}")
        self.comparison = comparison


class ChallengerFailed(StageFailed):
    """A stage or gate refuses a challenger. `gate` is its reports/gate.json, empty if no gate has refused it,
    and `comparison` that with the champion, or None."""

    def __init__(
        self, message: str, gate: Mapping[str, Any], comparison: Mapping[str, Any] | None
    ) -> None:
        super().__init__(message)
        self.gate, self.comparison = gate, comparison


@dataclass(frozen=True)
class Refusal:
    """A promotion that was refused: of which source, by whom it was asked for, when (ISO 8601), and why."""

    environment: str
    source: str
    source_commit: str
    who: str
    when: str
    reason: str


@contextmanager
def remember_refusal(git: Git, environment: str, source: str, source_commit: str) -> Iterator[None]:
    """Adds to the log why the block was refused."""
    try:
        yield
    except MlopsError as error:
        when = datetime.now().astimezone().isoformat(timespec="seconds")
        refusal = Refusal(environment, source, source_commit, user_of(git), when, str(error))
        line = f"{json.dumps(asdict(refusal))}\n"
        with suppress(OSError), log_file(git).open("a", encoding="utf-8", newline="\n") as file:
            file.write(line)
        raise


@contextmanager
def explain_refusal(
    tree: Git, release: str, environment: str, target: str, say: Callable[[str], None]
) -> Iterator[None]:
    """Says the verdict of each gate if a stage or gate refuses, and raises ChallengerFailed with what holds.

    `tree` is the working tree of the challenger, `release` names the source, and `target` is the last commit
    of the environment.
    """
    try:
        yield
    except StageFailed as failure:
        gate: Mapping[str, Any] = {}
        reason = str(failure)
        if OF_THE_GATE in reason or isinstance(failure, Worse):
            gate = gate_of(tree)
        if OF_THE_GATE in reason and not gate.get("passed", True):
            reason = "; ".join(gate_report.gate_reasons(gate)) or reason
        comparison = failure.comparison if isinstance(failure, Worse) else None
        for line in (*gate_report.gate_lines(gate), *gate_report.comparison_lines(comparison)):
            say(f"gate: {line}")
        raise ChallengerFailed(
            f"{environment} refuses {release}: {reason}. {environment} still holds "
            f"{held_by(tree, environment, target)}; nothing has moved.",
            gate,
            comparison,
        ) from failure


def gate_of(tree: Git) -> Mapping[str, Any]:
    """Returns reports/gate.json of a working tree; it is empty if no gate has written it."""
    try:
        return reports.parse_report((tree.root / reports.GATE).read_bytes(), reports.GATE)
    except (OSError, MlopsError):
        return {}


def held_by(git: Git, environment: str, target: str) -> str:
    """Returns the version that an environment holds, or its commit if that is no release."""
    commit = arrivals.release_commit(git, target)
    latest = records.latest_record(git, environment)
    if latest and latest.commit == commit:
        return latest.record.version
    return "no model" if git.read_file(commit, lockfile.LOCK) is None else commit[:7]


def refusals_of(git: Git, environment: str) -> list[Refusal]:
    """Returns the refusals in this clone's log, oldest first; lines that can't be read are left out."""
    try:
        lines = log_file(git).read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError, TypeError):
            refusal = Refusal(**json.loads(line))
            if refusal.environment == environment and datetime.fromisoformat(refusal.when).tzinfo:
                found.append(refusal)
    return found


def user_of(git: Git) -> str:
    """Returns the name and address with which Git would sign a commit."""
    try:
        identity = git.run("var", "GIT_COMMITTER_IDENT")
    except GitError:
        return "unknown"
    return identity.rpartition(">")[0] + ">"


def log_file(git: Git) -> Path:
    folder = git.run("rev-parse", "--path-format=absolute", "--git-common-dir")
    return Path(folder, LOG)
