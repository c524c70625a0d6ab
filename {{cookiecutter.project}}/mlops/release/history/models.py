"""Reads every model of the history from Git's objects alone: versions and experiments.

A released model is named by its version. An experiment is any other model in the history of an environment's
branch or among those that DVC has saved; it is named by its hash. Content that can't be read costs its own
model, and no other.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from mlops import environments
from mlops.errors import MlopsError
from mlops.release.history import lockfile, objects, reports, tags, versions
from mlops.release.history.git import Git
from mlops.release.history.lockfile import Lock
from mlops.release.history.outputs import BUNDLE
from mlops.release.history.shared_refs import ENVIRONMENT_BRANCHES

EXPERIMENT = "experiment"
UNREADABLE = "unreadable"
SAVED_EXPERIMENTS = "refs/exps/??/*/*"
"""DVC saves an experiment as refs/exps/<2 and 38 digits of the commit it began from>/<name>."""

T = TypeVar("T")
Read = tuple[T | None, str | None]
"""What was read, or why it can't be read."""
Metrics = Mapping[str, float | None]


@dataclass(frozen=True)
class State:
    """A commit with the content of its dvc.lock, or with the reason why that can't be read."""

    commit: str
    lock: Lock
    fault: str | None = None


@dataclass(frozen=True)
class Model:
    """A model at the commit of its version, or an experiment at the first commit that has it.

    `subject` is that of the commit, of what was promoted if the commit is a promotion, or the name by which
    DVC has saved the experiment. `metrics` are those of the test rows, `gate_passed` is None if no gate was
    run, and `running` are the environments that have the model now. `fault` says what of it can't be read.
    """

    name: str
    commit: str
    subject: str
    lock: Lock
    metrics: Metrics
    gate_passed: bool | None
    running: tuple[str, ...]
    fault: str | None


def all_models(git: Git) -> list[Model]:
    """Returns every model, in the order in which they were committed."""
    tips, released = tips_of_environments(git), versions_by_commit(git)
    saved = saved_experiments(git)
    subjects = subjects_leading_to(git, [*tips.values(), *released, *saved]) | saved
    current_or_released = {*tips.values(), *released}
    states = [
        state
        for state in states_of(git, [*subjects])
        if state.lock.model or (state.fault and state.commit in current_or_released)
    ]
    named = list(named_states(states, released))
    current = models_in_environments(states, tips, named)
    judged = read_reports(git, [state for _, state in named])
    return [
        Model(
            name,
            state.commit,
            subjects[state.commit],
            state.lock,
            metrics or {},
            passed,
            tuple(environment for environment, model in current.items() if model == name),
            state.fault or metrics_fault or gate_fault,
        )
        for (name, state), ((metrics, metrics_fault), (passed, gate_fault)) in zip(
            named, judged, strict=True
        )
    ]


def model_at(git: Git, commit: str, version: str | None) -> Model:
    """Returns the model that a commit has; its name is the version, if there is one."""
    state = next(states_of(git, [commit]), State(commit, Lock({}, {})))
    ((metrics, metrics_fault), (passed, gate_fault)) = next(read_reports(git, [state]))
    name = f"{EXPERIMENT} {state.lock.model[:7]}" if state.lock.model else "no model"
    return Model(
        version or name,
        commit,
        git.run("show", "-s", "--format=%s", commit),
        state.lock,
        metrics or {},
        passed,
        (),
        state.fault or metrics_fault or gate_fault,
    )


def read_reports(git: Git, states: Sequence[State]) -> Iterator[tuple[Read[Metrics], Read[bool]]]:
    """Yields the metrics of the test rows and the verdict of the gate of each state.

    A path costs Git more than a hash, and most reports of gates are the same: both are read by their hash.
    """
    wanted = [f"{state.commit}:{reports.FOLDER}" for state in states]
    found = [*map(objects.entries_of_folder, objects.read_objects(git, wanted))]
    metrics = read_each(git, [files.get(b"metrics.json") for files in found], metrics_in_bytes)
    verdicts = read_each(git, [files.get(b"gate.json") for files in found], verdict_in_bytes)
    for state, measured, judged in zip(states, metrics, verdicts, strict=True):
        yield (
            recorded(state.lock, reports.METRICS, *measured),
            recorded(state.lock, reports.GATE, *judged),
        )


def read_each(
    git: Git, hashes: Sequence[str | None], read: Callable[[bytes], T | None]
) -> Iterator[tuple[bytes, Read[T]]]:
    """Yields each file, and what `read` finds in it or why it can't be read; nothing where there is none."""
    different = [*dict.fromkeys(filter(None, hashes))]
    known: dict[str | None, tuple[bytes, Read[T]]] = {None: (b"", (None, None))}
    for name, blob in zip(different, objects.read_objects(git, different), strict=True):
        content = blob.content if blob else b""
        known[name] = content, read_or_fault(partial(read, content))
    return (known[name] for name in hashes)


def recorded(lock: Lock, path: str, content: bytes, found: Read[T]) -> Read[T]:
    """Returns what was found in a report, or why it counts for nothing: no run of the lock has made it."""
    if found[0] is None or lock.has_made(path, content):
        return found
    return None, str(reports.unrecorded(path))


def read_or_fault(read: Callable[[], T | None]) -> Read[T]:
    """Returns what `read` returns, or the message of its MlopsError."""
    try:
        return read(), None
    except MlopsError as error:
        return None, str(error)


def metrics_in_bytes(content: bytes) -> Metrics:
    return reports.metrics_in(reports.parse_report(content, reports.METRICS))


def verdict_in_bytes(content: bytes) -> bool | None:
    return reports.verdict_in(reports.parse_report(content, reports.GATE))


def tips_of_environments(git: Git) -> dict[str, str]:
    """Returns the last commit of each environment's branch, here and on origin, by ref."""
    form = "--format=%(refname) %(objectname)"
    listed = git.lines("for-each-ref", form, *ENVIRONMENT_BRANCHES)
    return dict(line.split() for line in listed)


def versions_by_commit(git: Git) -> dict[str, str]:
    """Returns the name of the version at each commit that has one; a foreign tag is named in a notice."""
    found = tags.tags_matching(git, f"{versions.PREFIX}v*")
    known = {version.tag: version.name for version in versions.readable_versions(git, found)}
    return {tag.commit: known[tag.name] for tag in found if tag.name in known}


def saved_experiments(git: Git) -> dict[str, str]:
    """Returns the name of each experiment that DVC has saved, by its commit."""
    listed = git.lines("for-each-ref", "--format=%(objectname) %(refname)", SAVED_EXPERIMENTS)
    return {
        commit: ref.rpartition("/")[2] for commit, ref in (line.split(" ", 1) for line in listed)
    }


def subjects_leading_to(git: Git, commits: Iterable[str]) -> dict[str, str]:
    """Returns the subject of each ancestor of the commits, parents before their children.

    The subject of a merge, as a promotion is one, is that of its second parent, which says what was changed.
    """
    given = "".join(f"{commit}\n" for commit in commits)
    if not given:
        return {}
    order = ("--date-order", "--reverse")
    listed = git.run("rev-list", *order, "--format=%P:%s", "--stdin", given=given).split("\n")
    subjects: dict[str, str] = {}
    for header, line in zip(listed[::2], listed[1::2], strict=False):
        parents, _, subject = line.partition(":")
        merged = parents.split()[1:]
        subjects[header.removeprefix("commit ")] = subjects[merged[0]] if merged else subject
    return subjects


def states_of(git: Git, commits: Sequence[str]) -> Iterator[State]:
    """Yields the state at each commit that has a dvc.lock."""
    known: dict[str, Read[Lock]] = {}
    blobs = objects.read_objects(git, [f"{commit}:{lockfile.LOCK}" for commit in commits])
    for commit, lock in zip(commits, blobs, strict=True):
        if lock:
            if lock.hash not in known:
                known[lock.hash] = read_or_fault(partial(Lock.parse, lock.content))
            content, fault = known[lock.hash]
            yield State(commit, content or Lock({}, {}), fault)


def named_states(
    states: Sequence[State], released: Mapping[str, str]
) -> Iterator[tuple[str, State]]:
    """Yields every version, and every experiment at the first commit that has it, with their names."""
    seen = {state.lock.model for state in states if state.commit in released}
    for state in states:
        if state.commit in released:
            yield released[state.commit], state
        elif state.fault:
            yield f"{UNREADABLE} {state.commit[:7]}", state
        elif state.lock.model not in seen:
            seen.add(state.lock.model)
            yield f"{EXPERIMENT} {state.lock.model[:7]}", state


def models_in_environments(
    states: Sequence[State], tips: Mapping[str, str], named: Sequence[tuple[str, State]]
) -> dict[str, str]:
    """Returns the name of each environment's model now: of its branch here or on origin, the later one."""
    current = {
        ref.rpartition("/")[2]: name_of_model(state, named)
        for state in states
        for ref, commit in tips.items()
        if commit == state.commit
    }
    return {name: current[name] for name in environments.CHAIN if name in current}


def name_of_model(state: State, named: Sequence[tuple[str, State]]) -> str:
    """Returns the name of the model with the same bundle, or of the latest with the same model file."""
    if state.fault:
        return next(name for name, other in named if other.commit == state.commit)
    same = [(name, other.lock) for name, other in named if other.lock.model == state.lock.model]
    bundle = state.lock.outputs.get(BUNDLE)
    exact = [name for name, other in same if other.outputs.get(BUNDLE) == bundle]
    return (exact or [name for name, _ in same])[-1]
