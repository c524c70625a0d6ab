"""The report of the monitor and its judgement as JSON, for `mlops site` and for other programs."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from mlops.batch.monitoring import judgement
from mlops.batch.monitoring.drift import Drift, shares_of
from mlops.batch.monitoring.judgement import Bounds, Judgement
from mlops.batch.monitoring.live_metrics import METRICS, Live
from mlops.batch.monitoring.monitor_report import Report
from mlops.errors import MlopsError


def report_json(report: Report, judged: Judgement, bounds: Bounds) -> bytes:
    """Returns what was judged and how, as a JSON object: `drifts` and `live` have an object for each column
    and each version, and `days` one for each day of UTC. A number that is not finite is null."""
    facts = {
        "environment": report.release.environment,
        "version": report.release.name,
        "made": datetime.now(UTC),
        "since": report.since,
        "verdict": judged.title,
        "exceeded": judged.exceeded,
        "undecided": judged.undecided,
        "max_psi": bounds.max_psi,
        "batches": report.batches,
        "rows": report.rows,
        "rejected": report.rejected,
        "other_batches": report.others,
        "drifts": [drift_facts(each, bounds.max_psi) for each in report.drifts],
        "days": [asdict(day) for day in report.days],
        "live": [live_facts(each, bounds.live) for each in report.live],
        "labels": None if report.live else judgement.missing_labels(report),
    }
    return msgspec.json.encode(facts)


def drift_facts(drift: Drift, max_psi: float) -> dict[str, Any]:
    spread = drift.spread
    return {
        "column": spread.name,
        "psi": drift.psi,
        "p": drift.p,
        "rows": drift.rows,
        "verdict": drift.verdict(max_psi),
        "bins": list(spread.bins),
        "training": shares_of(spread.training).tolist(),
        "scored": shares_of(spread.scored).tolist(),
        "unknown": spread.unknown,
        "missing": spread.missing,
    }


def live_facts(live: Live, bounds: Mapping[str, float]) -> dict[str, Any]:
    metrics = {
        name: {
            **asdict(measured),
            "bound": {METRICS[name].bound: bounds[name]} if name in bounds else {},
        }
        for name, measured in live.metrics.items()
    }
    return {"version": live.version, "labelled": live.labelled, "metrics": metrics}


def write_report(file: Path, content: bytes) -> None:
    """Writes the report to a file. Raises MlopsError if the file cannot be written."""
    try:
        file.write_bytes(content)
    except OSError as error:
        raise MlopsError(f"the report can't be written: {error}") from error
