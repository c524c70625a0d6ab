"""`mlops show`: prints what is known about a version, and the commands that get its model and data."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

from mlops import environments
from mlops.errors import MlopsError
from mlops.release.history import lockfile, records, tags, versions
from mlops.release.history.git import Git
from mlops.release.history.outputs import BUNDLE, MODEL, RAW, TESTING, TRAINING, VALIDATION
from mlops.release.history.records import Record, TaggedRecord
from mlops.release.history.tags import Tag
from mlops.release.look.comparison import flattened

NEWEST = 5
MADE_OF = {
    "model": MODEL,
    "bundle": BUNDLE,
    "raw data": RAW,
    "training data": TRAINING,
    "validation data": VALIDATION,
    "testing data": TESTING,
}


def card_lines(git: Git, name: str) -> Iterator[str]:
    """Yields the lines of a version's card. Raises MlopsError if there is no such version."""
    tag = find_version(git, name)
    version = tag.name.removeprefix(versions.PREFIX)
    hashes = lockfile.carried_hashes(git, tag.commit)
    by_environment = [records.records_of(git, environment) for environment in environments.CHAIN]
    own = [each for tagged in by_environment for each in tagged if each.record.version == version]
    yield f"{version}: {tag.content()['reason']}"
    yield f"commit {tag.commit}"
    yield f"made by {tag.author}, {tag.when}"
    made = {what: hashes[path] for what, path in MADE_OF.items() if path in hashes}
    yield from section_lines("made of (MD5)", fact_lines(made))
    used = lockfile.read_lock(git, tag.commit).parameters
    parameters = (fact_lines(flattened(each)) for each in used.values())
    yield from section_lines("parameters", chain.from_iterable(parameters))
    yield from section_lines("metrics of the test rows", fact_lines(test_metrics(git, tag.commit)))
    yield from section_lines("gates", (line for each in own for line in gate_lines(each)))
    yield from section_lines("cost", (cost_line(each.record) for each in own))
    yield from section_lines(
        "running", (line for tagged in by_environment for line in stay_lines(tagged, version))
    )
    yield from section_lines("get it", command_lines(version))


def find_version(git: Git, name: str) -> Tag:
    known = {tag.name: tag for tag in tags.tags_matching(git, f"{versions.PREFIX}v*")}
    wanted = f"{versions.PREFIX}{meant_version(git, name)}"
    if wanted in known:
        return known[wanted]
    newest = ", ".join(version.name for version in versions.all_versions(git)[-NEWEST:])
    last = f"the last are {newest}" if newest else "there is no version yet"
    raise MlopsError(f"there is no version {name!r}; {last}")


def meant_version(git: Git, name: str) -> str | None:
    """Returns the version that v1.2.0, 1.2.0 or an environment stands for, or None."""
    if name in environments.CHAIN:
        latest = records.latest_record(git, name)
        return latest.record.version if latest else None
    return versions.version_name(name) or versions.version_name(f"v{name}")


def section_lines(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"\n{title}"
    yield from (f"  {line}" for line in lines)


def fact_lines(content: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name}: {value}" for name, value in content.items())


def test_metrics(git: Git, commit: str) -> Mapping[str, Any]:
    content = json.loads(git.read_file(commit, "reports/metrics.json") or b"{}")
    measured: Mapping[str, Any] = content.get("test", {})
    return measured


def gate_lines(tagged: TaggedRecord) -> Iterator[str]:
    for metric, result in tagged.record.gate.items():
        if isinstance(result, Mapping):
            bounds = ", ".join(
                f"{name} {result[name]}" for name in ("min", "max") if name in result
            )
            verdict = "passed" if result["passed"] else "failed"
            yield f"{tagged.record.name}: {metric} {result['value']} ({bounds}) {verdict}"
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
    tag = f"{versions.PREFIX}{version}"
    yield f"dvc artifacts get . model --rev {version} --out model-{version}"
    yield f"dvc get . models/model.onnx --rev {tag} --out {version}.onnx"
    yield f"dvc get . {RAW} --rev {tag} --out raw-{version}"
    yield f"dvc get . data/prepared --rev {tag} --out prepared-{version}"
    yield f"git worktree add ../{version} {tag} && cd ../{version} && dvc pull"
