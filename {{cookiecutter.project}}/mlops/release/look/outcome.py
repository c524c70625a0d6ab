"""The last line of `mlops repro`: what the run has changed."""

from collections.abc import Mapping
from typing import Any

from mlops.errors import MlopsError
from mlops.release.history import lockfile, reports
from mlops.release.history.git import Git
from mlops.release.history.lockfile import Lock
from mlops.release.history.outputs import TESTING
from mlops.release.look.tracker import HEADLINES, metric_text


def outcome_sentence(git: Git) -> str | None:
    """Returns the metrics of the working tree beside those of the last commit, and the verdict of its gate;
    None if there are no metrics, or none that can be read."""
    try:
        metrics, gate, lock = (
            (git.root / name).read_bytes()
            for name in (reports.METRICS, reports.GATE, lockfile.LOCK)
        )
        report = reports.parse_report(metrics, reports.METRICS)
        passed = reports.verdict_in(reports.parse_report(gate, reports.GATE))
        earlier = last_metrics(git)
        now, before = reports.metrics_in(report), reports.metrics_in(earlier)
        tested = [Lock.parse(lock).outputs, lockfile.read_lock(git, "HEAD").outputs]
    except (OSError, MlopsError):
        return None
    shown = [name for name in HEADLINES if name in now]
    changes = ", ".join(
        f"{HEADLINES[name]} {change_text(before.get(name), now[name], name)}" for name in shown
    )
    # The lock of HEAD can be newer than its reports, if prepare alone was run and committed.
    other = any(before.get(name) is not None for name in shown) and (
        tested[0].get(TESTING) != tested[1].get(TESTING)
        or report.get("class_rows") != earlier.get("class_rows")
    )
    verdict = {True: "gate passed", False: "gate failed", None: "no gate was run"}[passed]
    return f"{changes}{' (on other test rows)' if other else ''}; {verdict}" if changes else None


def last_metrics(git: Git) -> Mapping[str, Any]:
    """Returns the metrics of the last commit; there are none that can't be read or that no run has made."""
    try:
        return reports.read_report(git, "HEAD", reports.METRICS)
    except MlopsError:
        return {}


def change_text(before: float | None, now: float | None, metric: str) -> str:
    text = metric_text(now, metric)
    if before is None:
        return text
    return f"{text} as before" if before == now else f"{metric_text(before, metric)} -> {text}"
