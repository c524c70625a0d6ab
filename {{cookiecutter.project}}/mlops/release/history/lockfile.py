"""dvc.lock and the .dvc files at a revision: what DVC carries, by hash."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from mlops.errors import MlopsError
from mlops.release.history import arrivals
from mlops.release.history.git import Git

LOCK = "dvc.lock"


def lock_entries(git: Git, revision: str) -> Mapping[str, Any]:
    """The entries of dvc.lock; none where it is not there."""
    found: Mapping[str, Any] = parse_yaml(git.read_file(revision, LOCK)).get("stages") or {}
    return found


def carried_hashes(git: Git, revision: str) -> dict[str, str]:
    """The MD5 of all that DVC carries there, by path, but of arrivals: what no commit holds."""
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
    """The MD5 of an output, None where no stage made it."""
    for entry in entries.values():
        for out in entry.get("outs", []):
            if out["path"] == path:
                md5: str = out["md5"]
                return md5
    return None


def required_hash(entries: Mapping[str, Any], path: str) -> str:
    """The MD5 of an output that must be there."""
    md5 = output_hash(entries, path)
    if md5 is None:
        raise MlopsError(f"no stage of dvc.lock made {path}: `mlops repro` and commit")
    return md5
