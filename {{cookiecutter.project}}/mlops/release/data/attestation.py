"""Finds the entries of a dvc.lock that no recorded run has made.

For every run DVC's run cache keeps a record of command, dependencies, parameters and hashes of the
outputs: <cache>/runs/<first two of key>/<key>/<value>. An entry without its record was made by a
merge or by hand, and may claim an output that no run gives.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from dvc.schema import COMPILED_LOCKFILE_SCHEMA, COMPILED_MULTI_STAGE_SCHEMA
from dvc.utils import dict_sha256
from dvc.utils.serialize import YAMLFileCorruptedError, modify_yaml, parse_yaml
from voluptuous import Invalid

from mlops.errors import MlopsError
from mlops.release.history import lockfile

CURE = "bring its last committed state back with `git checkout HEAD -- dvc.yaml`"
UNHASHED = ["size", "nfiles"]  # DVC leaves these names out of the keys of its run cache

Entry = Mapping[str, Any]


def entries_without_run(lock: bytes, pipeline: bytes, runs: Path) -> list[str]:
    """Returns the stages of `lock`, a dvc.lock, whose entry has no record among `runs`.

    `pipeline` is the dvc.yaml beside it: it says which stages DVC keeps no record of.
    """
    records = record_paths(lock, pipeline, runs)
    return [name for name, record in records.items() if not record.exists()]


def record_paths(lock: bytes, pipeline: bytes, runs: Path) -> dict[str, Path]:
    """Returns where among `runs` the record of each entry of a dvc.lock is, of stages that have records."""
    stages = parse_stages(pipeline, "dvc.yaml", COMPILED_MULTI_STAGE_SCHEMA, CURE)
    return {
        name: run_record_path(entry, runs)
        for name, entry in lock_entries(lock).items()
        if is_recorded(entry, stages.get(name.partition("@")[0], {}))
    }


def lock_entries(lock: bytes) -> Mapping[str, Entry]:
    """Returns the entries of a dvc.lock by stage, as DVC itself reads them and hashes them in its keys."""
    return parse_stages(lock, lockfile.LOCK, COMPILED_LOCKFILE_SCHEMA, lockfile.CURE)


def drop_entries(file: Path, stages: Collection[str]) -> None:
    """Removes the entries of these stages from a dvc.lock."""
    with modify_yaml(file) as lock:
        for name in stages:
            del lock["stages"][name]
        if not lock["stages"]:
            del lock["stages"]


def parse_stages(
    text: bytes, name: str, schema: Callable[[Any], Any], cure: str
) -> Mapping[str, Entry]:
    try:
        content = parse_yaml(text, name)
        stages: Mapping[str, Entry] = schema(content).get("stages", {}) if content else {}
    except (YAMLFileCorruptedError, UnicodeDecodeError, Invalid) as error:
        raise MlopsError(f"DVC can't read {name} ({error}): {cure}") from error
    return stages


def is_recorded(entry: Entry, stage: Entry) -> bool:
    """Returns whether DVC keeps records of this stage's runs at all."""
    definition = stage.get("do", stage)
    dependencies = entry.get("deps", [])
    return bool(
        (dependencies or entry.get("params"))
        and entry.get("outs")
        and not definition.get("always_changed")
        and not any("://" in dependency["path"] for dependency in dependencies)
        and all(can_be_restored(kind, flags) for kind, flags in declared_outputs(definition))
    )


def declared_outputs(definition: Entry) -> Iterator[tuple[str, Entry]]:
    """Yields the kind and flags of each output that a stage of dvc.yaml declares."""
    for kind in ("outs", "metrics", "plots"):
        for output in definition.get(kind, []):
            for flags in output.values() if isinstance(output, dict) else [{}]:
                yield kind, flags


def can_be_restored(kind: str, flags: Entry) -> bool:
    return not flags.get("persist") and (kind != "outs" or bool(flags.get("cache", True)))


def run_record_path(entry: Entry, runs: Path) -> Path:
    paths = [output["path"] for output in entry["outs"]]
    key: str = dict_sha256({**entry, "outs": paths}, exclude=UNHASHED)
    value: str = dict_sha256(entry, exclude=UNHASHED)
    return runs / key[:2] / key / value
