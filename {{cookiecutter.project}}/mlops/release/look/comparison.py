"""`mlops compare`: what differs between two states of the project, and what they answer differently."""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops import environments
from mlops.errors import MlopsError
from mlops.release.data import store
from mlops.release.history import lockfile, revisions
from mlops.release.history.git import Git
from mlops.release.history.outputs import BUNDLE, RAW, TESTING, TRAINING, VALIDATION
from mlops.release.promote import rescoring
from mlops.release.promote.rescoring import python

HERE = Path(__file__).parents[3]
TABLES = {
    RAW: "raw",
    TRAINING: "training",
    VALIDATION: "validation",
    TESTING: "testing",
}
NOT_CODE = (
    "data", "deploy", "models", "reports", "requirements", "environments", "branch.yaml",
    "params.yaml", "dvc.lock",
)  # fmt: skip
PIN = re.compile(r"^([\w.-]+)==([^\s;\\]+)(?: ; ([^\\\n]+?))? *\\?$", re.MULTILINE)


@dataclass(frozen=True)
class States:
    """Two commits of the repository, under the names they were asked for by."""

    git: Git
    old: str
    new: str
    old_name: str
    new_name: str

    def of(
        self, read: Callable[[Git, str], Mapping[str, Any]]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        return dict(read(self.git, self.old)), dict(read(self.git, self.new))


@dataclass(frozen=True)
class Section:
    title: str
    lines: list[str]


def compare(git: Git, old: str, new: str) -> Iterator[Section]:
    """A section for each heading; where something can't be compared, it says why."""
    states = States(git, revisions.commit_of(git, old), revisions.commit_of(git, new), old, new)
    for title, told in SECTIONS.items():
        try:
            lines = list(told(states))
        except MlopsError as error:
            lines = [f"can't be compared: {error}"]
        except subprocess.CalledProcessError as error:
            lines = [f"can't be compared: {rescoring.reason(error)}"]
        yield Section(title, lines or ["no difference"])


def code(states: States) -> Iterator[str]:
    paths = (".", *(f":(exclude){path}" for path in NOT_CODE))
    stat = states.git.lines("diff", "--stat=100", states.old, states.new, "--", *paths)
    return (line.strip() for line in stat)


def libraries(states: States) -> Iterator[str]:
    """A line for each change, with the rooms whose lock has it."""
    rooms: dict[str, list[str]] = {}
    before, after = states.of(locks)
    for room in sorted(before.keys() | after.keys()):
        for change in changes(before.get(room, {}), after.get(room, {})):
            rooms.setdefault(change, []).append(room)
    return (f"{change} ({', '.join(names)})" for change, names in sorted(rooms.items()))


def locks(git: Git, commit: str) -> dict[str, dict[str, str]]:
    """The version of each package in each lock of requirements/; more than one by platform."""
    files = git.lines("ls-tree", "--name-only", commit, "requirements/")
    return {Path(file).stem: pins((git.read(commit, file) or b"").decode()) for file in files}


def pins(lock: str) -> dict[str, str]:
    found = PIN.findall(lock)
    return {f"{name} ({marker})" if marker else name: version for name, version, marker in found}


def data(states: States) -> Iterator[str]:
    before, after = states.of(lockfile.carried)
    changed = [path for path in TABLES if before.get(path) != after.get(path)]
    for path in changed:
        if path not in before or path not in after:
            yield f"{TABLES[path]}: only in {states.old_name if path in before else states.new_name}"
    both = [path for path in changed if path in before and path in after]
    for path, found in (rows_between(states.git, both, before, after) if both else {}).items():
        yield f"{TABLES[path]}: {described(found)}"


def rows_between(
    git: Git, paths: list[str], before: Mapping[str, str], after: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    from mlops.release.data import dvc

    with tempfile.TemporaryDirectory() as folder, dvc.opened(git.root) as repo:
        places = {Path(folder, "old"): before, Path(folder, "new"): after}
        for place, hashes in places.items():
            for path in paths:
                store.copy(repo, hashes[path], place / path)
        found: dict[str, Any] = json.loads(python("mlops.compare.rows_between", *places, cwd=HERE))
    return found


def described(found: Mapping[str, Any]) -> str:
    old, new = found["rows"]
    said = f"{old:,} rows -> {new:,}: {found['added']:,} added, {found['removed']:,} removed"
    for kind in ("added", "removed"):
        if columns := found[f"columns_{kind}"]:
            said += f"; columns {kind}: {', '.join(columns)}"
    return said


def parameters(states: States) -> Iterator[str]:
    return changes(*states.of(lambda git, commit: settings(git, commit, "params.yaml")))


def environment(states: States) -> Iterator[str]:
    """The name, and what its own file says: its share of the data, gates, deployment."""
    return changes(*states.of(environment_of))


def environment_of(git: Git, commit: str) -> dict[str, Any]:
    own = settings(git, commit, environments.FILE)
    return own | settings(git, commit, f"environments/{own.get('environment')}.yaml")


def metrics(states: States) -> Iterator[str]:
    before, after = states.of(measured)
    for name in after:
        old, new = before.get(name), after[name]
        if old != new:
            numbers = isinstance(old, float) and isinstance(new, float)
            yield change(name, old, new) + (f" ({new - old:+.6g})" if numbers else "")
    tested = [each.get(TESTING) for each in states.of(lockfile.carried)]
    if before != after and tested[0] != tested[1]:
        yield "measured on different test rows"


def measured(git: Git, commit: str) -> dict[str, Any]:
    return flat(json.loads(git.read(commit, "reports/metrics.json") or b"{}"))


def predictions(states: States) -> Iterator[str]:
    """What both bundles, each with its own code, say of the test rows of the new state."""
    before, after = states.of(lockfile.carried)
    if before.get(BUNDLE) == after.get(BUNDLE):
        return
    found = agreement(states)
    share = found["flipped"] / found["rows"]
    yield (
        f"{found['flipped']:,} of the {found['rows']:,} test rows of {states.new_name} are called "
        f"another class, {share:.2%}; probabilities are up to {found['apart']:.2g} apart"
    )


def agreement(states: States) -> dict[str, Any]:
    from mlops.release.data import dvc

    with tempfile.TemporaryDirectory() as folder, dvc.opened(states.git.root) as repo:
        test = Path(folder, TESTING)
        made = lockfile.stages(states.git, states.new)
        store.copy(repo, lockfile.made(made, TESTING), test)
        places = {Path(folder, "old"): states.old, Path(folder, "new"): states.new}
        for place, commit in places.items():
            rescoring.lay_out(repo, commit, place)
        scores = [rescoring.scores(place, test) for place in places]
        found: dict[str, Any] = json.loads(python("mlops.compare.agreement", *scores, cwd=HERE))
    return found


def settings(git: Git, commit: str, file: str) -> dict[str, Any]:
    return flat(lockfile.parsed(git.read(commit, file)))


def flat(content: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Each value by its path with dots."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        inner = isinstance(value, Mapping) and value
        found |= flat(value, f"{path}{key}.") if inner else {f"{path}{key}": value}
    return found


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield change(name, before.get(name), after.get(name))


def change(name: str, before: object, after: object) -> str:
    old, new = ("none" if value is None else value for value in (before, after))
    return f"{name}: {old} -> {new}"


SECTIONS = {
    "code": code,
    "libraries": libraries,
    "data": data,
    "parameters": parameters,
    "environment": environment,
    "metrics": metrics,
    "predictions": predictions,
}
