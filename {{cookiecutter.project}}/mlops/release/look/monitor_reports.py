"""The latest report of the monitor on each environment, as `mlops monitor` keeps it for `mlops site`.

It lies in Git's own folder, so that it is never committed or pushed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from mlops import environments
from mlops.errors import MlopsError
from mlops.release.history.git import Git
from mlops.release.history.models import Read, read_or_fault


class Drift(msgspec.Struct, frozen=True):
    """How far a column has moved; `training` and `scored` are the shares of its `bins`, 0 to 1."""

    column: str
    psi: float
    verdict: str
    bins: Sequence[str]
    training: Sequence[float]
    scored: Sequence[float]

    def __post_init__(self) -> None:
        if not 0 < len(self.bins) == len(self.training) == len(self.scored):
            raise ValueError("its bins and shares are not alike in number")


class Day(msgspec.Struct, frozen=True):
    """A day of UTC: how many rows were scored on it, and the PSI of each column by its name."""

    day: str
    rows: int
    psi: Mapping[str, float | None]


class LiveMetric(msgspec.Struct, frozen=True):
    """A metric of the `rows` whose true answer is known; `bound` has its least or greatest value, if any."""

    value: float | None
    interval: tuple[float | None, float | None]
    rows: int
    bound: Mapping[str, float]


class Live(msgspec.Struct, frozen=True):
    version: str
    metrics: Mapping[str, LiveMetric]


class MonitorReport(msgspec.Struct, frozen=True):
    """What the site shows of a report; `labels` says why there is nothing in `live`."""

    environment: str
    version: str
    made: datetime
    since: datetime
    verdict: str
    exceeded: Sequence[str]
    undecided: Sequence[str]
    max_psi: float
    batches: int
    rows: int
    rejected: int
    other_batches: int
    drifts: Sequence[Drift]
    days: Sequence[Day]
    live: Sequence[Live]
    labels: str | None


def report_file(git: Git, environment: str) -> Path:
    folder = git.run("rev-parse", "--path-format=absolute", "--git-common-dir")
    return Path(folder, f"mlops-monitor-{environment}.json")


def read_reports(git: Git) -> dict[str, Read[MonitorReport]]:
    """Returns the report on each environment that has one, or why it can't be read."""
    files = {name: report_file(git, name) for name in environments.CHAIN}
    return {
        name: read_or_fault(partial(read_report, file))
        for name, file in files.items()
        if file.exists()
    }


def read_report(file: Path) -> MonitorReport:
    try:
        return msgspec.json.decode(file.read_bytes(), type=MonitorReport)
    except (OSError, ValueError, RecursionError) as error:
        raise MlopsError(
            f"{file} holds no report ({error}): `mlops monitor` writes it again"
        ) from error
