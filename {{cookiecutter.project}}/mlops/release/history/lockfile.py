"""Reads dvc.lock and the .dvc files at a revision: the hashes of the data that DVC tracks."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from mlops.errors import MlopsError
from mlops.release.history import arrivals, lock_merge, objects
from mlops.release.history.core_yaml import parse_yaml
from mlops.release.history.git import Git
from mlops.release.history.outputs import MODEL

LOCK = "dvc.lock"
SCHEMA = "2.0"
CURE = (
    f"bring its last committed state back with `git checkout HEAD -- {LOCK}`; if that is damaged too, "
    f"`rm {LOCK} && mlops repro` makes a new one, to be committed"
)

HASH = re.compile(rb"\b[0-9a-f]{32}(?:\.dir)?\b")
WHOLE = re.compile(r"[0-9a-f]{32}(\.dir)?")
PARAMETERS = re.compile(r"^    params:\n((?:      .*\n)+)", re.MULTILINE)
OUTPUTS = re.compile(r"^    outs:\n((?:    [- ] .*\n)+)", re.MULTILINE)
OUTPUT = re.compile(
    r"    - path: ([^\s'\"]+)\n      hash: md5\n      md5: (\S+)\n(?:      \w.*\n)*"
)


@dataclass(frozen=True)
class Lock:
    """The content of a dvc.lock.

    `outputs` is the MD5 of each output, by path. `parameters` are the values with which the stages ran, by
    the file that they came from and by their name in it.
    """

    outputs: Mapping[str, str]
    parameters: Mapping[str, Mapping[str, Any]]

    @classmethod
    def parse(cls, content: bytes) -> "Lock":
        """Returns what a dvc.lock holds, which is nothing if it is empty.

        Only the lines that are needed are read, in the layout that DVC writes: a YAML parser takes ten times
        as long, which `mlops tracker` would take for every commit. Raises MlopsError if it is not YAML.
        """
        try:
            entries = lock_merge.split_lock(content.decode()).values()
            blocks = [block for entry in entries for block in OUTPUTS.findall(entry)]
            outputs = [each for block in blocks for each in plain_outputs(block)]
        except (lock_merge.UnknownLayoutError, UnicodeDecodeError):
            return cls.parse_any_layout(content)
        parameters = (block for entry in entries for block in PARAMETERS.findall(entry))
        return cls(dict(outputs), merged_parameters(map(parse_parameters, parameters)))

    @classmethod
    def parse_any_layout(cls, content: bytes) -> "Lock":
        """Returns what a dvc.lock holds that somebody has edited, for instance with a comment."""
        stages = stages_in(content)
        try:
            entries = [*stages.values()]
            outs = [out for each in entries for out in each.get("outs", [])]
            outputs = {str(out["path"]): str(out["md5"]) for out in outs}
            return cls(outputs, merged_parameters(each.get("params", {}) for each in entries))
        except (AttributeError, KeyError, TypeError) as error:
            raise foreign_entry(error) from error

    @property
    def model(self) -> str:
        """Returns the MD5 of the model, or "" if there is none."""
        return self.outputs.get(MODEL, "")

    def has_made(self, path: str, content: bytes) -> bool:
        """Returns whether a run of this lock has made an output, a file, with this content."""
        return self.outputs.get(path) == hashlib.md5(content, usedforsecurity=False).hexdigest()

    def required_hash(self, path: str) -> str:
        """Returns the MD5 of an output. Raises MlopsError if no stage made it."""
        if path not in self.outputs:
            raise MlopsError(f"no stage of {LOCK} made {path}: `mlops repro` and commit")
        return self.outputs[path]


def stages_in(content: bytes) -> Mapping[str, Any]:
    """Returns the entries of a dvc.lock. Raises MlopsError if it is not YAML, or DVC could not read it."""
    found = parse_yaml(content, LOCK, CURE)
    if found.get("schema") != SCHEMA:
        raise MlopsError(f"{LOCK} names the schema {found.get('schema')!r}, not {SCHEMA!r}: {CURE}")
    return found.get("stages") or {}


def refuse_damaged(content: bytes) -> None:
    """Raises MlopsError, with the remedy, if a dvc.lock is empty, cut off or otherwise damaged."""
    try:
        for stage, entry in stages_in(content).items():
            for item in (*entry.get("deps", []), *entry.get("outs", [])):
                kind = item.get("hash", "md5" if "md5" in item else None)
                found = str(item.get(kind, ""))
                if kind and not (WHOLE.fullmatch(found) if kind == "md5" else found):
                    raise MlopsError(
                        f"{LOCK} has no whole hash of {item.get('path')} in {stage}: {CURE}"
                    )
    except (AttributeError, TypeError) as error:
        raise foreign_entry(error) from error


def refuse_damaged_in(root: Path) -> None:
    """Raises MlopsError, with the remedy, if the dvc.lock of a working tree is damaged."""
    if (root / LOCK).exists():
        refuse_damaged((root / LOCK).read_bytes())


def plain_outputs(block: str) -> list[tuple[str, str]]:
    """Returns path and MD5 of each output of a block. Raises UnknownLayoutError for a path in quotes."""
    if OUTPUT.sub("", block):
        raise lock_merge.UnknownLayoutError(block)
    return OUTPUT.findall(block)


@cache
def parse_parameters(block: str) -> Mapping[str, Any]:
    return parse_yaml(block, LOCK, CURE)


def merged_parameters(
    stages: Iterable[Mapping[str, Mapping[str, Any]]],
) -> dict[str, dict[str, Any]]:
    """Raises MlopsError where the parameters of a stage are not grouped by file and name."""
    merged: dict[str, dict[str, Any]] = {}
    try:
        for parameters in stages:
            for file, values in parameters.items():
                merged.setdefault(file, {}).update(values)
    except (AttributeError, TypeError, ValueError) as error:
        raise foreign_entry(error) from error
    return merged


def foreign_entry(error: Exception) -> MlopsError:
    return MlopsError(f"{LOCK} has an entry that DVC did not write ({error!r}): {CURE}")


def names_data(path: str) -> bool:
    """Returns whether the file is one that names data: a dvc.lock, in any folder, or a .dvc file."""
    return PurePosixPath(path).name == LOCK or path.endswith(".dvc")


def hashes_in(content: bytes) -> set[str]:
    """Returns every hash in a dvc.lock, a .dvc file or a run record, also those of dependencies."""
    return {found.decode() for found in HASH.findall(content)}


def read_lock(git: Git, revision: str) -> Lock:
    """Returns the content of dvc.lock at a revision, which is nothing if there is no dvc.lock."""
    return Lock.parse(git.read_file(revision, LOCK) or b"")


def carried_hashes(git: Git, revision: str, *, arrived: bool = False) -> dict[str, str]:
    """Returns the MD5 of all data that DVC, and not Git, stores at a revision, by path.

    The data of data/incoming are among them only with `arrived`.
    """
    entries = git.run("ls-tree", "-r", "-z", revision).split("\0")
    inside = {path: entry for entry, _, path in (each.partition("\t") for each in entries)}
    made = {
        path: md5 for path, md5 in read_lock(git, revision).outputs.items() if path not in inside
    }
    files = [
        path
        for path in inside
        if path.endswith(".dvc") and (arrived or not arrivals.is_arrival(path))
    ]
    blobs = [*objects.read_objects(git, [inside[path].split()[2] for path in files])]
    added = [
        added_hashes(path, parse_yaml(blob and blob.content, path))
        for path, blob in zip(files, blobs, strict=True)
    ]
    return {**made, **dict(each for pairs in added for each in pairs)}


def added_hashes(path: str, content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns path and MD5 of what a .dvc file stores. Raises MlopsError if DVC did not write it."""
    folder = PurePosixPath(path).parent
    try:
        return [(str(folder / out["path"]), out["md5"]) for out in content.get("outs", [])]
    except (KeyError, TypeError) as error:
        raise MlopsError(
            f"{path} was not written by DVC ({error!r}): `dvc add` and commit"
        ) from error
