"""`mlops show`: what is known of one version, and the commands that get its model and data."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from mlops import environments
from mlops.errors import MlopsError
from mlops.release.history import lockfile, records, tags, versions
from mlops.release.history.git import Git
from mlops.release.history.outputs import BUNDLE, MODEL, RAW, TESTING, TRAINING, VALIDATION
from mlops.release.history.records import Kept, Record
from mlops.release.history.tags import Tag
from mlops.release.look.comparison import flat

NEWEST = 5
MADE_OF = {
    "model": MODEL,
    "bundle": BUNDLE,
    "raw data": RAW,
    "training data": TRAINING,
    "validation data": VALIDATION,
    "testing data": TESTING,
}


def card(git: Git, name: str) -> Iterator[str]:
    """Its lines."""
    tag = found(git, name)
    version = tag.name.removeprefix(versions.PREFIX)
    hashes = lockfile.carried(git, tag.commit)
    kept = [records.of(git, environment) for environment in environments.CHAIN]
    own = [each for those in kept for each in those if each.record.version == version]
    yield f"{version}: {tag.content()['reason']}"
    yield f"commit {tag.commit}"
    yield f"made by {tag.author}, {tag.when}"
    made = {what: hashes[path] for what, path in MADE_OF.items() if path in hashes}
    yield from section("made of (MD5)", told(made))
    yield from section("parameters", told(parameters(lockfile.stages(git, tag.commit))))
    yield from section("metrics of the test rows", told(metrics(git, tag.commit)))
    yield from section("gates", (line for each in own for line in gates(each)))
    yield from section("cost", (cost(each.record) for each in own))
    yield from section("running", (line for those in kept for line in stays(those, version)))
    yield from section("get it", commands(version))


def found(git: Git, name: str) -> Tag:
    known = {tag.name: tag for tag in tags.matching(git, f"{versions.PREFIX}v*")}
    wanted = f"{versions.PREFIX}{meant(git, name)}"
    if wanted in known:
        return known[wanted]
    newest = ", ".join(version.name for version in versions.every(git)[-NEWEST:])
    last = f"the last are {newest}" if newest else "there is none yet"
    raise MlopsError(f"there is no version {name!r}; {last}")


def meant(git: Git, name: str) -> str | None:
    """The version: v1.2.0, 1.2.0, or what an environment was last given."""
    if name in environments.CHAIN:
        latest = records.latest(git, name)
        return latest.record.version if latest else None
    return versions.named(name) or versions.named(f"v{name}")


def section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"\n{title}"
    yield from (f"  {line}" for line in lines)


def told(content: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name}: {value}" for name, value in content.items())


def parameters(stages: Mapping[str, Any]) -> dict[str, Any]:
    """What the runs were given, as dvc.lock recorded it."""
    given = (entry.get("params", {}) for entry in stages.values())
    return flat(
        {name: value for files in given for each in files.values() for name, value in each.items()}
    )


def metrics(git: Git, commit: str) -> Mapping[str, Any]:
    content = json.loads(git.read(commit, "reports/metrics.json") or b"{}")
    measured: Mapping[str, Any] = content.get("test", {})
    return measured


def gates(kept: Kept) -> Iterator[str]:
    for metric, result in kept.record.gate.items():
        if isinstance(result, Mapping):
            bounds = ", ".join(
                f"{name} {result[name]}" for name in ("min", "max") if name in result
            )
            verdict = "passed" if result["passed"] else "failed"
            yield f"{kept.record.name}: {metric} {result['value']} ({bounds}) {verdict}"
    if reason := (kept.record.comparison or {}).get("accepted"):
        yield f"{kept.record.name}: released without comparison: {reason}"


def cost(record: Record) -> str:
    measured = {
        "ms for one row": record.milliseconds,
        "MB of files": record.megabytes,
        "MB of memory": record.memory_megabytes,
    }
    known = (f"{value} {unit}" for unit, value in measured.items() if value is not None)
    return f"{record.name}: {', '.join(known)}"


def stays(kept: Sequence[Kept], version: str) -> Iterator[str]:
    """From when to when an environment had the version."""
    for one, after in pairwise([*kept, None]):
        if one and one.record.version == version:
            until = f"until {after.when}" if after else "until now"
            yield (
                f"{one.record.environment}: from {one.when} {until} "
                f"({one.record.name}, a {one.record.kind} by {one.author})"
            )


def commands(version: str) -> Iterator[str]:
    tag = f"{versions.PREFIX}{version}"
    yield f"dvc artifacts get . model --rev {version} --out model-{version}"
    yield f"dvc get . models/model.onnx --rev {tag} --out {version}.onnx"
    yield f"dvc get . {RAW} --rev {tag} --out raw-{version}"
    yield f"dvc get . data/prepared --rev {tag} --out prepared-{version}"
    yield f"git worktree add ../{version} {tag} && cd ../{version} && dvc pull"
