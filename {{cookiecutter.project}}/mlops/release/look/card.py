"""`mlops show`: prints what is known about a version or commit, and the commands that get what it made."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from mlops import environments
from mlops.errors import MlopsError
from mlops.release.history import (
    arrivals,
    lockfile,
    models,
    records,
    reports,
    revisions,
    tags,
    versions,
)
from mlops.release.history.git import Git
from mlops.release.history.outputs import BUNDLE, MODEL, RAW, TESTING, TRAINING, VALIDATION
from mlops.release.history.records import Record, TaggedRecord
from mlops.release.history.revisions import Revision
from mlops.release.history.tags import Tag
from mlops.release.look.changes import flattened
from mlops.release.promote import gate_report

MADE_OF = {
    "model": MODEL,
    "bundle": BUNDLE,
    "raw data": RAW,
    "training data": TRAINING,
    "validation data": VALIDATION,
    "testing data": TESTING,
}


def card_lines(git: Git, name: str) -> Iterator[str]:
    """Yields the lines about the version that a name stands for, or about its commit if it is no release.

    Raises MlopsError if nothing has this name.
    """
    found = revisions.find_revision(git, name)
    commit = arrivals.release_commit(git, found.commit)
    released = [tagged for each in environments.CHAIN for tagged in records.records_of(git, each)]
    version = version_at(found, commit, released)
    try:
        tag, reason = tag_of_version(git, version)
    except MlopsError as error:
        yield str(error)
        tag = None
    if version is None or tag is None:
        yield from unreleased_lines(git, commit)
        return
    own = [each for each in released if each.record.version == version]
    yield f"{version}: {reason}"
    yield f"commit {tag.commit}"
    yield f"made by {tag.author}, {tag.when}"
    yield from content_lines(git, tag.commit)
    yield from section_lines("gates", (line for each in own for line in gate_lines(each)))
    yield from section_lines("cost", (cost_line(each.record) for each in own))
    by_environment = (
        [each for each in released if each.record.environment == environment]
        for environment in environments.CHAIN
    )
    yield from section_lines(
        "running", (line for tagged in by_environment for line in stay_lines(tagged, version))
    )
    yield from section_lines("get it", command_lines(version))


def tag_of_version(git: Git, version: str | None) -> tuple[Tag | None, str]:
    """Returns the tag of a version and the reason that it gives; the tag is None if there is none.

    Raises MlopsError if mlops did not write the tag.
    """
    for tag in tags.tags_matching(git, f"{versions.PREFIX}{version}") if version else ():
        return tag, str(tag.content().get("reason"))
    return None, ""


def version_at(found: Revision, commit: str, released: Sequence[TaggedRecord]) -> str | None:
    """Returns the version that was named, or that was released at the commit, or None."""
    made = [each.record.version for each in released if each.commit == commit]
    return versions.version_name(found.name) or (made[-1] if made else None)


def unreleased_lines(git: Git, commit: str) -> Iterator[str]:
    """Yields the lines about a commit that is no release."""
    model = lockfile.read_lock(git, commit).model
    what = f"{models.EXPERIMENT} {model[:7]}" if model else "no model"
    yield f"{what}: {git.run('show', '-s', '--format=%s', commit)}"
    yield f"commit {commit}, which is no release"
    yield f"made by {git.run('show', '-s', '--format=%an <%ae>, %aI', commit)}"
    yield from content_lines(git, commit)
    yield from section_lines("gates", judged_lines(git, commit))
    yield from section_lines("get it", fetching_lines(commit, commit[:7]))


def content_lines(git: Git, commit: str) -> Iterator[str]:
    """Yields what a model was made of, with which parameters, and its metrics."""
    yield from section_lines("made of (MD5)", hash_lines(git, commit))
    yield from section_lines("parameters", parameter_lines(git, commit))
    yield from section_lines("metrics of the test rows", metric_lines(git, commit))


def hash_lines(git: Git, commit: str) -> Iterator[str]:
    hashes = lockfile.carried_hashes(git, commit)
    yield from fact_lines({what: hashes[path] for what, path in MADE_OF.items() if path in hashes})


def parameter_lines(git: Git, commit: str) -> Iterator[str]:
    for used in lockfile.read_lock(git, commit).parameters.values():
        yield from fact_lines(flattened(used))


def metric_lines(git: Git, commit: str) -> Iterator[str]:
    report = reports.read_report(git, commit, reports.METRICS)
    yield from fact_lines(reports.metrics_in(report))


def judged_lines(git: Git, commit: str) -> Iterator[str]:
    yield from gate_report.gate_lines(reports.read_report(git, commit, reports.GATE))


def section_lines(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Yields the lines below a title, or why they can't be read."""
    yield f"\n{title}"
    try:
        yield from (f"  {line}" for line in lines)
    except MlopsError as error:
        yield f"  {error}"


def fact_lines(content: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name}: {value}" for name, value in content.items())


def gate_lines(tagged: TaggedRecord) -> Iterator[str]:
    for line in gate_report.gate_lines(tagged.record.gate):
        yield f"{tagged.record.name}: {line}"
    if reason := (tagged.record.comparison or {}).get("accepted"):
        yield f"{tagged.record.name}: released without comparison: {reason}"


def cost_line(record: Record) -> str:
    measured = {
        "ms for one row": record.milliseconds,
        "MB of files": record.megabytes,
        "MB of memory": record.memory_megabytes,
    }
    known = (f"{value} {unit}" for unit, value in measured.items() if value is not None)
    return f"{record.name}: {', '.join(known)}"


def stay_lines(tagged: Sequence[TaggedRecord], version: str) -> Iterator[str]:
    """Yields a line for each period in which an environment had the version."""
    for one, after in pairwise([*tagged, None]):
        if one and one.record.version == version:
            until = f"until {after.when}" if after else "until now"
            yield (
                f"{one.record.environment}: from {one.when} {until} "
                f"({one.record.name}, a {one.record.kind} by {one.author})"
            )


def command_lines(version: str) -> Iterator[str]:
    yield f"dvc artifacts get . model --rev {version} --out model-{version}"
    yield from fetching_lines(f"{versions.PREFIX}{version}", version)


def fetching_lines(revision: str, name: str) -> Iterator[str]:
    yield f"dvc get . models/model.onnx --rev {revision} --out {name}.onnx"
    yield f"dvc get . {RAW} --rev {revision} --out raw-{name}"
    yield f"dvc get . data/prepared --rev {revision} --out prepared-{name}"
    yield f"git worktree add ../{name} {revision} && cd ../{name} && dvc pull"
