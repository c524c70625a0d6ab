"""dvc.lock at a revision: what its stages made, by hash."""

from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from release.git import Git

LOCK = "dvc.lock"


def stages(git: Git, revision: str) -> Mapping[str, Any]:
    """The entries of dvc.lock; none where it is not there."""
    content = git.read(revision, LOCK)
    if content is None:
        return {}
    found: Mapping[str, Any] = YAML(typ="safe", pure=True).load(content).get("stages") or {}
    return found


def output(entries: Mapping[str, Any], path: str) -> str | None:
    """The MD5 of an output, None where no stage made it."""
    for entry in entries.values():
        for out in entry.get("outs", []):
            if out["path"] == path:
                md5: str = out["md5"]
                return md5
    return None
