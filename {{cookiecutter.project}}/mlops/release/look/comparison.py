"""`mlops compare`: shows the differences between two states of the project and between their answers."""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops import environments
from mlops.errors import MlopsError, counted
from mlops.release.data import dvc, store
from mlops.release.history import lockfile, reports, revisions
from mlops.release.history.core_yaml import parse_yaml
from mlops.release.history.git import Git
from mlops.release.history.outputs import BUNDLE, RAW, TESTING, TRAINING, VALIDATION
from mlops.release.look.changes import change_line, change_lines, flattened
from mlops.release.promote import answers_at_commit
from mlops.release.promote.answers_at_commit import run_module

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
MOST_INPUTS = 20
PIN = re.compile(r"^([\w.-]+)==([^\s;\\]+)(?: ; ([^\\\n]+?))? *\\?$", re.MULTILINE)


@dataclass(frozen=True)
class States:
    """Two commits of the repository, with the names by which the user gave them."""

    git: Git
    old: str
    new: str
    old_name: str
    new_name: str
    may_run: Callable[[str], bool]

    def at_both(
        self, read: Callable[[Git, str], Mapping[str, Any]]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        return dict(read(self.git, self.old)), dict(read(self.git, self.new))


@dataclass(frozen=True)
class Section:
    title: str
    lines: list[str]


def compare_states(
    git: Git, old: str, new: str, may_run: Callable[[str], bool] = lambda question: False
) -> Iterator[Section]:
    """Yields a section for each heading; a section that can't be compared says why.

    `may_run` is asked before the code of a commit is run that no environment's branch holds.
    """
    before, after = (revisions.commit_of(git, name) for name in (old, new))
    states = States(git, before, after, old, new, may_run)
    for title, differences in SECTIONS.items():
        try:
            lines = list(differences(states))
        except MlopsError as error:
            lines = [f"can't be compared: {error}"]
        except subprocess.CalledProcessError as error:
            lines = [f"can't be compared: {answers_at_commit.failure_reason(error)}"]
        yield Section(title, lines or ["no difference"])


def code(states: States) -> Iterator[str]:
    """Yields each file of code that differs, with the numbers of lines added and removed; a binary file has
    none."""
    paths = (".", *(f":(exclude){path}" for path in NOT_CODE))
    for line in states.git.lines("diff", "--numstat", states.old, states.new, "--", *paths):
        added, removed, path = line.split("\t", 2)
        yield f"{path}: +{added} -{removed}"


def libraries(states: States) -> Iterator[str]:
    """Yields a line for each change of a library, with the rooms whose lock has it."""
    rooms: dict[str, list[str]] = {}
    before, after = states.at_both(read_locks)
    for room in sorted(before.keys() | after.keys()):
        for change in change_lines(before.get(room, {}), after.get(room, {})):
            rooms.setdefault(change, []).append(room)
    return (f"{change} ({', '.join(names)})" for change, names in sorted(rooms.items()))


def read_locks(git: Git, commit: str) -> dict[str, dict[str, str]]:
    """Returns the version of each package, by platform if they differ, in each lock of requirements/."""
    files = git.lines("ls-tree", "--name-only", commit, "requirements/")
    return {
        Path(file).stem: pinned_versions(
            (git.read_file(commit, file) or b"").decode(errors="replace")
        )
        for file in files
    }


def pinned_versions(lock: str) -> dict[str, str]:
    found = PIN.findall(lock)
    return {f"{name} ({marker})" if marker else name: version for name, version, marker in found}


def data(states: States) -> Iterator[str]:
    before, after = states.at_both(lockfile.carried_hashes)
    changed = [path for path in TABLES if before.get(path) != after.get(path)]
    for path in changed:
        if path not in before or path not in after:
            yield f"{TABLES[path]}: only in {states.old_name if path in before else states.new_name}"
    both = [path for path in changed if path in before and path in after]
    for path, found in (rows_between(states, both, before, after) if both else {}).items():
        yield f"{TABLES[path]}: {rows_sentence(found)}"


def rows_between(
    states: States, paths: list[str], before: Mapping[str, str], after: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder, dvc.open_repo(states.git.root) as repo:
        old, new = Path(folder, "old"), Path(folder, "new")
        for place, commit, hashes in ((old, states.old, before), (new, states.new, after)):
            for path in paths:
                store.copy_object(repo, hashes[path], place / path, path=path, commit=commit)
            (place / "params.yaml").write_bytes(states.git.read_file(commit, "params.yaml") or b"")
        found: dict[str, Any] = json.loads(
            run_module("mlops.compare.rows_between", old, new, cwd=HERE)
        )
    return found


def rows_sentence(found: Mapping[str, Any]) -> str:
    old, new = found["rows"]
    sentence = (
        f"{counted(old, 'row')} -> {new:,}: {found['added']:,} added, {found['removed']:,} removed"
    )
    for kind in ("added", "removed"):
        if columns := found[f"columns_{kind}"]:
            sentence += f"; columns {kind}: {', '.join(columns)}"
    return sentence


def parameters(states: States) -> Iterator[str]:
    return change_lines(
        *states.at_both(lambda git, commit: settings_at(git, commit, "params.yaml"))
    )


def environment(states: States) -> Iterator[str]:
    """Yields the changes of the environment's name and of its file: share of the data, gates, deployment."""
    return change_lines(*states.at_both(environment_settings))


def environment_settings(git: Git, commit: str) -> dict[str, Any]:
    own = settings_at(git, commit, environments.FILE)
    return own | settings_at(git, commit, f"environments/{own.get('environment')}.yaml")


def metrics(states: States) -> Iterator[str]:
    before, after = states.at_both(all_metrics)
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if old != new:
            numbers = isinstance(old, float) and isinstance(new, float)
            gain = f" ({after[name] - before[name]:+.6g})" if numbers else ""
            yield change_line(name, old, new) + gain
    tested = [each.get(TESTING) for each in states.at_both(made_outputs)]
    if before != after and tested[0] != tested[1]:
        yield "measured on different test rows"


def made_outputs(git: Git, commit: str) -> Mapping[str, str]:
    return lockfile.read_lock(git, commit).outputs


def all_metrics(git: Git, commit: str) -> dict[str, Any]:
    report = dict(reports.read_report(git, commit, reports.METRICS))
    report.pop("interval", None)  # which changes with its metric
    return flattened(report)


def predictions(states: States) -> Iterator[str]:
    """Yields how the answers of both bundles, each with its own code, differ for the new test rows."""
    before, after = states.at_both(made_outputs)
    if before.get(BUNDLE) == after.get(BUNDLE):
        return
    command = f"mlops compare {states.old_name} {states.new_name}"
    for name, commit in ((states.old_name, states.old), (states.new_name, states.new)):
        revisions.refuse_to_run(states.git, name, commit, states.may_run, command)
    found = compare_predictions(states)
    share = found["flipped"] / found["rows"]
    others = f" on which neither was trained, {found['left_out']:,} left out,"
    yield (
        f"{found['flipped']:,} of the {counted(found['rows'], 'test row')} of {states.new_name}"
        f"{others * bool(found['left_out'])} {found['words']}; {share:.2%} differ"
    )
    if found.get("gained") or found.get("lost"):
        yield (
            f"{found['gained']:,} of them are right only with {states.new_name}, and {found['lost']:,} only "
            f"with {states.old_name}"
        )
    yield from map(example_line, found["examples"])


def example_line(example: Mapping[str, Any]) -> str:
    """Returns what both answer for a test row, what is right, and the row."""
    inputs = [*example["inputs"].items()]
    shown = ", ".join(f"{name} {shown_value(value)}" for name, value in inputs[:MOST_INPUTS])
    more = f", and {len(inputs) - MOST_INPUTS:,} more" if len(inputs) > MOST_INPUTS else ""
    old, new, actual = (shown_value(example[key]) for key in ("old", "new", "actual"))
    return f"test row {example['row']:,}: {old} -> {new}, where {actual} is right: {shown}{more}"


def shown_value(value: object) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def compare_predictions(states: States) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, dvc.open_repo(states.git.root) as repo:
        test = Path(folder, TESTING)
        lock = lockfile.read_lock(states.git, states.new)
        md5 = lock.required_hash(TESTING)
        store.copy_object(repo, md5, test, path=TESTING, commit=states.new)
        places = {Path(folder, "old"): states.old, Path(folder, "new"): states.new}
        for place, commit in places.items():
            answers_at_commit.export_commit(repo, commit, place)
        scores = [answers_at_commit.answer_test_rows(place, test) for place in places]
        found: dict[str, Any] = json.loads(
            run_module("mlops.compare.agreement", *scores, test, cwd=HERE)
        )
    return found


def settings_at(git: Git, commit: str, file: str) -> dict[str, Any]:
    return flattened(parse_yaml(git.read_file(commit, file), file))


SECTIONS = {
    "code": code,
    "libraries": libraries,
    "data": data,
    "parameters": parameters,
    "environment": environment,
    "metrics": metrics,
    "predictions": predictions,
}
