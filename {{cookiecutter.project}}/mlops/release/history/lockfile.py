"""Reads dvc.lock and the .dvc files at a revision: the hashes of the data that DVC tracks."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from mlops.errors import MlopsError
from mlops.release.history import arrivals
from mlops.release.history.git import Git

LOCK = "dvc.lock"


def lock_entries(git: Git, revision: str) -> Mapping[str, Any]:
    """Returns the entries of dvc.lock by stage; it is empty if there is no dvc.lock."""
    found: Mapping[str, Any] = parse_yaml(git.read_file(revision, LOCK)).get("stages") or {}
    return found


def carried_hashes(git: Git, revision: str) -> dict[str, str]:
    """Returns the MD5 of all data that DVC, and not Git, stores at a revision, by path, without arrivals."""
    paths = set(git.run("ls-tree", "-r", "-z", "--name-only", revision).split("\0"))
    outs = [out for entry in lock_entries(git, revision).values() for out in entry.get("outs", [])]
    made = {out["path"]: out["md5"] for out in outs if out["path"] not in paths}
    added = {
        str(PurePosixPath(path).parent / out["path"]): out["md5"]
        for path in paths
        if path.endswith(".dvc") and not arrivals.is_arrival(path)
        for out in parse_yaml(git.read_file(revision, path)).get("outs", [])
    }
    return {**made, **added}


def parse_yaml(content: bytes | None) -> Mapping[str, Any]:
    found: Mapping[str, Any] = YAML(typ="safe", pure=True).load(content or b"") or {}
    return found


def output_hash(entries: Mapping[str, Any], path: str) -> str | None:
    """Returns the MD5 of an output, or None if no stage made it."""
    for entry in entries.values():
        for out in entry.get("outs", []):
            if out["path"] == path:
                md5: str = out["md5"]
                return md5
    return None


def required_hash(entries: Mapping[str, Any], path: str) -> str:
    """Returns the MD5 of an output. Raises MlopsError if no stage made it."""
    md5 = output_hash(entries, path)
    if md5 is None:
        raise MlopsError(f"no stage of dvc.lock made {path}: `mlops repro` and commit")
    return md5
