"""Reads the reports that the stages commit: reports/metrics.json and reports/gate.json."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from mlops.errors import MlopsError
from mlops.release.history import lockfile
from mlops.release.history.git import Git
from mlops.release.history.lockfile import Lock

FOLDER = "reports"
METRICS = f"{FOLDER}/metrics.json"
GATE = f"{FOLDER}/gate.json"
LARGEST = sys.float_info.max
NUMBERS = (float, int, type(None))
"""What the value of a metric is in JSON; bool is none of them, though Python counts with it."""


def read_report(
    git: Git, commit: str, path: str, check: Callable[[Mapping[str, Any]], object] = bool
) -> Mapping[str, Any]:
    """Returns the content of a report at a commit; it is empty if the report is not there.

    Raises MlopsError if the report is no JSON object, if `check` raises it, or if the report is not what the
    dvc.lock of the commit has recorded.
    """
    content = git.read_file(commit, path)
    try:
        found = parse_report(content or b"{}", path)
        check(found)
        if content is not None and not lock_at(git, commit).has_made(path, content):
            raise unrecorded(path)
    except MlopsError as error:
        raise MlopsError(f"{error} (at {commit[:7]})") from error
    return found


def lock_at(git: Git, commit: str) -> Lock:
    """Returns the dvc.lock of a commit; one that can't be read has recorded nothing."""
    try:
        return lockfile.read_lock(git, commit)
    except MlopsError:
        return Lock({}, {})


def parse_report(content: bytes, path: str) -> Mapping[str, Any]:
    try:
        found = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise unreadable(path, str(error)) from error
    if not isinstance(found, dict):
        raise unreadable(path, "it holds no JSON object")
    return found


def metrics_in(report: Mapping[str, Any], path: str = METRICS) -> Mapping[str, float | None]:
    """Returns the metrics of the test rows; one that is not finite is None.

    Raises MlopsError if a metric is neither a number nor null.
    """
    measured = report.get("test", {})
    if not isinstance(measured, dict):
        raise unreadable(path, f"test is {measured!r} instead of metrics by name")
    for name, value in measured.items():
        if type(value) not in NUMBERS:
            raise unreadable(path, f"test.{name} is {value!r} instead of a number")
    return {name: value if is_finite(value) else None for name, value in measured.items()}


def is_finite(value: Any) -> bool:
    """Returns whether a value of JSON or YAML is a number that fits into a float."""
    return type(value) in (int, float) and -LARGEST <= value <= LARGEST


def verdict_in(report: Mapping[str, Any], path: str = GATE) -> bool | None:
    """Returns whether the gates passed, or None if none was run. Raises MlopsError for another verdict."""
    passed = report.get("passed")
    if passed is not None and not isinstance(passed, bool):
        raise unreadable(path, f"passed is {passed!r} instead of true or false")
    return passed


def unrecorded(path: str) -> MlopsError:
    return MlopsError(
        f"{path} is not from a recorded run, since dvc.lock has no such content of it: `mlops repro` and "
        "commit"
    )


def unreadable(path: str, reason: str) -> MlopsError:
    return MlopsError(f"{path} can't be read: {reason}. `mlops repro --force` and commit")
