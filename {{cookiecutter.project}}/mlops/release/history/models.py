"""Every model of the history, read from Git's objects alone: released, committed, or an experiment.

A released model goes by its version. Any other that the branch of an environment or a saved experiment
of DVC's has committed is a candidate, and goes by its hash.
"""

import json
import re
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from mlops import environments
from mlops.release.history import lock_merge, lockfile, objects, versions
from mlops.release.history.branches import ORIGIN
from mlops.release.history.git import Git
from mlops.release.history.outputs import BUNDLE, MODEL

CANDIDATE = "candidate"
METRICS = "reports/metrics.json"
EXPERIMENTS = "refs/exps/??/*"
"""DVC keeps an experiment as refs/exps/<2 and 38 digits of the commit it began from>/<name>."""

PARAMETERS = re.compile(r"^    params:\n((?:      .*\n)+)", re.MULTILINE)
OUTPUTS = re.compile(r"^    outs:\n((?:    .*\n)+)", re.MULTILINE)
OUTPUT = re.compile(r"- path: (.+)\n      hash: md5\n      md5: (\S+)")


@dataclass(frozen=True)
class Made:
    """The content of a dvc.lock: the MD5 of each output, and the parameters of params.yaml, by block."""

    outputs: Mapping[str, str]
    parameters: Mapping[str, Any]

    @property
    def model(self) -> str:
        """Returns the MD5 of the model, or "" if there is none."""
        return self.outputs.get(MODEL, "")


@dataclass(frozen=True)
class State:
    """A commit with the content of its dvc.lock and of its reports/metrics.json."""

    commit: str
    made: Made
    metrics: bytes


@dataclass(frozen=True)
class Model:
    """A model at the commit of its version, or, for a candidate, at the first commit that had it.

    `metrics` are those of the test rows, `running` the environments that have it now.
    """

    name: str
    commit: str
    made: Made
    metrics: Mapping[str, float | None]
    running: tuple[str, ...]


def all_models(git: Git) -> list[Model]:
    """Returns every model, in the order in which they were committed."""
    tips, released = tips_of_environments(git), versions_by_commit(git)
    commits = commits_leading_to(git, [*tips.values(), *released])
    states = [state for state in states_of(git, commits) if state.made.model]
    named = list(named_states(states, released))
    current = models_in_environments(states, tips, named)
    return [
        Model(
            name,
            state.commit,
            state.made,
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
    return git.run("rev-list", *order, f"--glob={EXPERIMENTS}", "--stdin", given=given).splitlines()


def states_of(git: Git, commits: Sequence[str]) -> Iterator[State]:
    """Yields the state at each commit that has a dvc.lock."""
    paths = (lockfile.LOCK, METRICS)
    blobs = objects.read_objects(git, [f"{commit}:{path}" for commit in commits for path in paths])
    known: dict[str, Made] = {}
    for commit, lock, metrics in zip(commits, blobs, blobs, strict=False):
        if lock:
            if lock.hash not in known:
                known[lock.hash] = parse_made(lock.content)
            yield State(commit, known[lock.hash], metrics.content if metrics else b"{}")


def parse_made(lock: bytes) -> Made:
    """Returns the content of a dvc.lock; it is empty if the file is not YAML, such as a committed conflict.

    Only the lines that are needed are read, in the layout that DVC writes: a YAML parser takes ten times
    as long.
    """
    try:
        entries = lock_merge.parse_lock(lock.decode()).values()
    except (lock_merge.UnknownLayoutError, UnicodeDecodeError):
        return made_in_another_layout(lock)
    outputs = [
        out for entry in entries for text in OUTPUTS.findall(entry) for out in OUTPUT.findall(text)
    ]
    parameters = [parse_parameters(text) for entry in entries for text in PARAMETERS.findall(entry)]
    return Made(
        dict(outputs), dict(ChainMap(*(each.get("params.yaml", {}) for each in parameters)))
    )


def made_in_another_layout(lock: bytes) -> Made:
    """Returns the content of a dvc.lock that somebody has edited, for instance with a comment."""
    try:
        entries = (yaml.load(lock, yaml.CSafeLoader).get("stages") or {}).values()
        outputs = {out["path"]: out["md5"] for each in entries for out in each.get("outs", [])}
        parameters = [each.get("params", {}).get("params.yaml", {}) for each in entries]
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
        return Made({}, {})
    return Made(outputs, dict(ChainMap(*parameters)))


@cache
def parse_parameters(parameters: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.load(parameters, yaml.CSafeLoader)
    return found


def named_states(
    states: Sequence[State], released: Mapping[str, str]
) -> Iterator[tuple[str, State]]:
    """Yields every version, and every other model at the first commit that had it, with their names."""
    seen = {state.made.model for state in states if state.commit in released}
    for state in states:
        if state.commit in released:
            yield released[state.commit], state
        elif state.made.model not in seen:
            seen.add(state.made.model)
            yield f"{CANDIDATE} {state.made.model[:7]}", state


def models_in_environments(
    states: Sequence[State], tips: Mapping[str, str], named: Sequence[tuple[str, State]]
) -> dict[str, str]:
    """Returns the name of each environment's model now: of its branch here or on origin, the later one."""
    current = {
        ref.rpartition("/")[2]: name_of_model(state.made, named)
        for state in states
        for ref, commit in tips.items()
        if commit == state.commit
    }
    return {name: current[name] for name in environments.CHAIN if name in current}


def name_of_model(made: Made, named: Sequence[tuple[str, State]]) -> str:
    """Returns the name of the model with the same bundle, or of the latest with the same model file."""
    same = [(name, state.made) for name, state in named if state.made.model == made.model]
    exact = [name for name, other in same if other.outputs.get(BUNDLE) == made.outputs.get(BUNDLE)]
    return (exact or [name for name, _ in same])[-1]
