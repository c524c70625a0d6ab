"""Reads every model of the history from Git's objects alone: versions and experiments.

A released model is named by its version. An experiment is any other model in the history of an environment's
branch or among those that DVC has saved; it is named by its hash.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlops import environments
from mlops.errors import MlopsError
from mlops.release.history import lockfile, objects, versions
from mlops.release.history.branches import ORIGIN
from mlops.release.history.git import Git
from mlops.release.history.lockfile import Lock
from mlops.release.history.outputs import BUNDLE

EXPERIMENT = "experiment"
METRICS = "reports/metrics.json"
SAVED_EXPERIMENTS = "refs/exps/??/*"
"""DVC saves an experiment as refs/exps/<2 and 38 digits of the commit it began from>/<name>."""


@dataclass(frozen=True)
class State:
    """A commit with the content of its dvc.lock and of its reports/metrics.json."""

    commit: str
    lock: Lock
    metrics: bytes


@dataclass(frozen=True)
class Model:
    """A model at the commit of its version, or an experiment at the first commit that has it.

    `metrics` are those of the test rows, `running` the environments that have it now.
    """

    name: str
    commit: str
    lock: Lock
    metrics: Mapping[str, float | None]
    running: tuple[str, ...]


def all_models(git: Git) -> list[Model]:
    """Returns every model, in the order in which they were committed."""
    tips, released = tips_of_environments(git), versions_by_commit(git)
    commits = commits_leading_to(git, [*tips.values(), *released])
    states = [state for state in states_of(git, commits) if state.lock.model]
    named = list(named_states(states, released))
    current = models_in_environments(states, tips, named)
    return [
        Model(
            name,
            state.commit,
            state.lock,
            json.loads(state.metrics).get("test", {}),
            tuple(environment for environment, model in current.items() if model == name),
        )
        for name, state in named
    ]


def tips_of_environments(git: Git) -> dict[str, str]:
    """Returns the last commit of each environment's branch, here and on origin, by ref."""
    refs = [
        f"refs/{place}/{environment}"
        for place in ("heads", f"remotes/{ORIGIN}")
        for environment in environments.CHAIN
    ]
    listed = git.lines("for-each-ref", "--format=%(refname) %(objectname)", *refs)
    return dict(line.split() for line in listed)


def versions_by_commit(git: Git) -> dict[str, str]:
    """Returns the name of the version at each commit that has one."""
    form = "--format=%(*objectname) %(refname:lstrip=2)"
    tags = git.lines("for-each-ref", form, f"refs/tags/{versions.PREFIX}v*")
    found = [
        (commit, versions.version_name(tag)) for commit, tag in (line.split(" ") for line in tags)
    ]
    return {commit: name for commit, name in found if commit and name}


def commits_leading_to(git: Git, commits: Iterable[str]) -> list[str]:
    """Returns all ancestors of the commits and of the experiments, parents before their children."""
    given = "\n".join(commits) + "\n"
    order = ("--date-order", "--reverse")
    return git.run(
        "rev-list", *order, f"--glob={SAVED_EXPERIMENTS}", "--stdin", given=given
    ).splitlines()


def states_of(git: Git, commits: Sequence[str]) -> Iterator[State]:
    """Yields the state at each commit that has a dvc.lock."""
    paths = (lockfile.LOCK, METRICS)
    blobs = objects.read_objects(git, [f"{commit}:{path}" for commit in commits for path in paths])
    known: dict[str, Lock] = {}
    for commit, lock, metrics in zip(commits, blobs, blobs, strict=False):
        if lock:
            if lock.hash not in known:
                known[lock.hash] = parse_if_readable(lock.content)
            yield State(commit, known[lock.hash], metrics.content if metrics else b"{}")


def parse_if_readable(lock: bytes) -> Lock:
    """Returns the content of a dvc.lock; it is empty if the file is not one, such as a committed conflict."""
    try:
        return Lock.parse(lock)
    except MlopsError:
        return Lock({}, {})


def named_states(
    states: Sequence[State], released: Mapping[str, str]
) -> Iterator[tuple[str, State]]:
    """Yields every version, and every experiment at the first commit that has it, with their names."""
    seen = {state.lock.model for state in states if state.commit in released}
    for state in states:
        if state.commit in released:
            yield released[state.commit], state
        elif state.lock.model not in seen:
            seen.add(state.lock.model)
            yield f"{EXPERIMENT} {state.lock.model[:7]}", state


def models_in_environments(
    states: Sequence[State], tips: Mapping[str, str], named: Sequence[tuple[str, State]]
) -> dict[str, str]:
    """Returns the name of each environment's model now: of its branch here or on origin, the later one."""
    current = {
        ref.rpartition("/")[2]: name_of_model(state.lock, named)
        for state in states
        for ref, commit in tips.items()
        if commit == state.commit
    }
    return {name: current[name] for name in environments.CHAIN if name in current}


def name_of_model(lock: Lock, named: Sequence[tuple[str, State]]) -> str:
    """Returns the name of the model with the same bundle, or of the latest with the same model file."""
    same = [(name, state.lock) for name, state in named if state.lock.model == lock.model]
    exact = [name for name, other in same if other.outputs.get(BUNDLE) == lock.outputs.get(BUNDLE)]
    return (exact or [name for name, _ in same])[-1]
