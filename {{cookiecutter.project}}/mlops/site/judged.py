"""How metrics are judged and written: their direction, their bounds, and for whom a model is worst."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from mlops.release.look import tracker
from mlops.release.look.card import INTERVAL, Card
from mlops.release.look.monitor_reports import Drift, MonitorReport

SMALL = 0.1
"""The PSI up to which a drift is small."""

FEW = 30
"""The number of rows under which a subgroup is too small to be called the worst."""


UNLIMITED = (*tracker.IN_UNITS_OF_THE_TARGET, "log_loss", "mape")
"""The metrics that have no greatest value."""

BOUNDS: Mapping[str, Callable[[float], str]] = {
    "min": "≥ {:,.6g}".format,
    "max": "≤ {:,.6g}".format,
    "above_baseline": "≥ baseline {:+,.6g}".format,
    "below_baseline": lambda less: f"≤ baseline {-less:+,.6g}",
    "rows": "on {:,} rows".format,
}
"""How the limits of a bound, and the number of rows that it was judged by, are said."""


@cache
def is_less_better(metric: str) -> bool:
    return bool(tracker.LESS_IS_BETTER.fullmatch(metric))


def bound_text(result: Mapping[str, Any]) -> str:
    return ", ".join(
        words(result[name])
        for name, words in BOUNDS.items()
        if isinstance(result.get(name), int | float)
    )


def limits_of(metric: str) -> tuple[float, float]:
    """Returns the least and the greatest value that a metric can have."""
    if metric.endswith("_percent"):
        return 0, 100
    return -math.inf if metric == "r2" else 0, math.inf if metric in UNLIMITED else 1


def direction(metric: str) -> str:
    return "less is better" if is_less_better(metric) else "more is better"


@cache
def metric_name(metric: str) -> str:
    """Returns a metric as it is called in a sentence: false_positive_percent is "false positives"."""
    words = re.sub("_percent$", "s", metric).replace("_", " ")
    words = words.replace("brier", "Brier score")
    return re.sub(r"\b(roc auc|f1|mae|rmse|mape)\b", lambda found: found[0].upper(), words)


def metric_text(value: object, metric: str) -> str:
    """Returns the value of a metric with its unit, or a number of rows."""
    text = tracker.metric_text(value, metric)
    return f"{text} %" if metric.endswith("_percent") and text != tracker.ABSENT else text


def number_in(text: str | None) -> float | str | None:
    """Returns the number in a cell of a CSV file, None for an empty one, and any other text as it is."""
    try:
        return int(text or "") if (text or "").isdecimal() else float(text or "")
    except ValueError:
        return text or None


def bounded_metrics(lane: Any) -> Iterator[tuple[str, float | None, Any, str]]:
    """Yields each metric that the environment bounds: its name, value and interval, and the bounds."""
    found: Card = lane.entry.card
    for metric, bound in lane.bounds.items():
        interval = found.metrics.get(INTERVAL, {}).get(metric)
        yield metric, found.test.get(metric), interval, bound_text(bound)
    if not lane.bounds:
        for metric in list(found.test)[:2]:
            yield metric, found.test[metric], None, ""


def metrics_beside(lane: Any) -> Iterator[tuple[str, str]]:
    """Yields in words how the model of an environment does beside the one that was there before: for each
    metric that was compared when it came, or else, on the same test rows, for each that is bounded."""
    compared = (lane.first.record.comparison or {}).get("metrics", {})
    for metric, drop in compared.items():
        yield metric, change_text(drop["champion"], drop["challenger"], drop, metric)
    if not compared and lane.before.row["testing"] == lane.entry.row["testing"]:
        for metric, value, _, _ in bounded_metrics(lane):
            old = lane.before.card.test.get(metric)
            if old is not None and value is not None:
                gain = old - value if is_less_better(metric) else value - old
                yield metric, change_text(old, value, {"advantage": gain}, metric)


def change_text(old: float, new: float, drop: Mapping[str, Any], metric: str) -> str:
    values = f"{metric_text(old, metric)} → {metric_text(new, metric)}"
    return f"{values}: {advantage_text(drop, metric)}"


def advantage_text(drop: Mapping[str, Any], metric: str) -> str:
    """Returns in words how a challenger does beside the champion by one metric."""
    gain = drop["advantage"]
    text = f"{gain_word(gain)} by {metric_text(abs(gain), metric)}" if gain else "equal"
    if not drop.get(INTERVAL):
        return text
    low, high = drop[INTERVAL]
    if low <= 0 <= high:
        worse, better = (metric_text(abs(end), metric) for end in (low, high))
        return f"{text} ({worse} worse to {better} better), which chance can explain"
    ends = sorted((abs(low), abs(high)))
    return f"{text} ({' to '.join(metric_text(end, metric) for end in ends)})"


def gain_word(gain: float) -> str:
    return "better" if gain > 0 else "worse"


def subgroup_columns(found: Card) -> list[str]:
    """Returns the columns of the subgroups that are shown: group, rows, and the metrics that are bounded, or
    else the first three."""
    names = [*found.subgroups[0]] if found.subgroups else []
    gates = [found.gate, *(record.gate for record in found.records)]
    bounded = [name for name in names[2:] if any(name in gate for gate in gates)]
    return names[:2] + (bounded or names[2:5])


def moved_columns(report: MonitorReport) -> tuple[list[Drift], list[Drift]]:
    """Returns the drifts that are shown at once, of the predictions and of the columns that have moved or
    drifted, and the others."""
    first, *others = report.drifts
    shown = [each for each in others if each.verdict == "drift" or each.psi > SMALL]
    return [first, *shown], [each for each in others if each not in shown]


class Worst(NamedTuple):
    group: str
    metric: str
    value: float
    rows: int


def worst_group(found: Card, bounds: Mapping[str, object]) -> Worst | None:
    """Returns the subgroup for which the model is worst by the first metric that is bounded, or by the first
    one; None if there is no subgroup of FEW rows."""
    rows = [row for row in found.subgroups if row["rows"].isdecimal() and int(row["rows"]) >= FEW]
    names = [name for name in found.subgroups[0] if name not in ("group", "rows")] if rows else []
    metric = next((name for name in [*bounds, *names] if name in names), None)
    if metric is None:
        return None
    measured = [
        Worst(row["group"], metric, value, int(row["rows"]))
        for row in rows
        if isinstance(value := number_in(row[metric]), int | float)
    ]
    choose = max if is_less_better(metric) else min
    return choose(measured, key=lambda each: each.value, default=None)
