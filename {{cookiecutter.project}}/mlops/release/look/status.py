"""`mlops status`: reads from Git what each environment holds, and asks the services of this machine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops import environments
from mlops.release.follow import running
from mlops.release.history import arrivals, lockfile, records, withdrawals
from mlops.release.history.git import Git


@dataclass(frozen=True)
class Status:
    """The state of an environment. Every field but `environment` is None if nothing was made yet.

    `version` and `record` are those of the branch's last commit, and None if that is not a release.
    `serving` is what `mlops serve` on this machine answers with, and what it refused. `rolled_back` says
    what the environment was rolled back from and to, by whom and why, and is None if it was not.
    """

    environment: str
    commit: str | None = None
    when: str | None = None
    version: str | None = None
    record: str | None = None
    model: str | None = None
    accuracy: float | None = None
    false_positive_percent: float | None = None
    gate_passed: bool | None = None
    serving: str | None = None
    rolled_back: str | None = None


def all_statuses(git: Git) -> list[Status]:
    return [status_of(git, environment) for environment in environments.CHAIN]


def status_of(git: Git, environment: str) -> Status:
    tip = git.commit(f"refs/heads/{environment}") or git.commit(
        f"refs/remotes/origin/{environment}"
    )
    if tip is None:
        return Status(environment)
    commit = arrivals.release_commit(git, tip)
    test = read_report(git, commit, "metrics").get("test", {})
    tagged = records.records_of(git, environment)
    record = tagged[-1].record if tagged and tagged[-1].commit == commit else None
    return Status(
        environment,
        commit=commit[:7],
        version=record.version if record else None,
        record=record.name if record else None,
        when=git.run("log", "-1", "--format=%cd", "--date=format:%Y-%m-%d %H:%M", commit),
        model=lockfile.read_lock(git, commit).model or None,
        accuracy=test.get("accuracy"),
        false_positive_percent=test.get("false_positive_percent"),
        gate_passed=read_report(git, commit, "gate").get("passed"),
        serving=serving_text(git, environment),
        rolled_back=withdrawals.rollback_sentence(tagged[-1])
        if record and record.restored
        else None,
    )


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


def read_report(git: Git, commit: str, name: str) -> dict[str, Any]:
    content = git.read_file(commit, f"reports/{name}.json")
    return json.loads(content) if content else {}
