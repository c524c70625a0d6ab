"""The latest report of the monitor on each environment, as `mlops monitor` keeps it for `mlops site`.

It lies in Git's own folder, so that it is never committed or pushed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops import environments
from mlops.release.history.git import Git


def report_file(git: Git, environment: str) -> Path:
    folder = git.run("rev-parse", "--path-format=absolute", "--git-common-dir")
    return Path(folder, f"mlops-monitor-{environment}.json")


def read_reports(git: Git) -> dict[str, Mapping[str, Any]]:
    """Returns the report on each environment that has one; of a file that is none, only its `fault`."""
    files = {name: report_file(git, name) for name in environments.CHAIN}
    return {name: read_report(file) for name, file in files.items() if file.exists()}


def read_report(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return {"fault": f"{file} can't be read ({error}): `mlops monitor` writes it again"}
    if not isinstance(found, dict) or "verdict" not in found:
        return {"fault": f"{file} holds no report: `mlops monitor` writes it again"}
    return found
