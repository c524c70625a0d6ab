"""Judges a report by bounds: which of them are exceeded, and what cannot be told yet."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from mlops.batch.monitoring.live_metrics import METRICS, Live, option_of
from mlops.batch.monitoring.monitor_report import Report
from mlops.errors import counted

SHOWN = 3
"""The number of columns, days or batches that a sentence lists."""


@dataclass(frozen=True)
class Bounds:
    """The bounds of a report. `live` are those of live metrics by name, which apply to the version that
    scored last, and are judged if it has `min_labels` labels or more."""

    max_psi: float
    min_labels: int
    live: Mapping[str, float]


@dataclass(frozen=True)
class Judgement:
    """The bounds that are exceeded, and what there are too few rows or labels to tell, as sentences."""

    exceeded: Sequence[str]
    undecided: Sequence[str]

    @property
    def title(self) -> str:
        if self.exceeded:
            return f"OUT OF BOUNDS ({len(self.exceeded)})"
        return "CANNOT BE TOLD YET" if self.undecided else "WITHIN ALL BOUNDS"


def judge(report: Report, bounds: Bounds) -> Judgement:
    exceeded = [*drifted_columns(report, bounds), *surplus_shares(report, bounds)]
    undecided = [*columns_with_too_few_rows(report, bounds)]
    for wrong, fault in judged_labels(report, bounds):
        (exceeded if wrong else undecided).append(fault)
    return Judgement(exceeded, undecided)


def drifted_columns(report: Report, bounds: Bounds) -> Iterator[str]:
    for each in report.drifts:
        if each.verdict(bounds.max_psi) == "drift":
            yield (
                f"{each.spread.name} has drifted: PSI is {each.psi:.2f}, allowed is {bounds.max_psi:g} "
                "(--max-psi)"
            )


def surplus_shares(report: Report, bounds: Bounds) -> Iterator[str]:
    """Yields a sentence for each column and kind, about the parts of the window whose share is largest."""
    over = [each for each in report.surpluses if each.psi > bounds.max_psi]
    for (column, kind), found in groupby(over, attrgetter("column", "kind")):
        parts = sorted(found, key=lambda each: -each.after)
        where = ", ".join(f"{100 * each.after:.1f} % {each.part}" for each in parts[:SHOWN])
        more = f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
        yield (
            f"{column} has more {kind} values than the training, {100 * parts[0].before:.1f} %: "
            f"{where}{more}; PSI is {parts[0].psi:.2f}, allowed is {bounds.max_psi:g} (--max-psi)"
        )


def columns_with_too_few_rows(report: Report, bounds: Bounds) -> Iterator[str]:
    if not report.drifts:
        yield f"{report.release.name} has scored nothing: its drift cannot be measured"
    few = [each for each in report.drifts if each.verdict(bounds.max_psi) == "too few rows"]
    if few:
        names = ", ".join(each.spread.name for each in few[:SHOWN])
        more = f" and {len(few) - SHOWN} more" if len(few) > SHOWN else ""
        count = counted(few[0].rows, "row counts", "rows count")
        yield (
            f"too few rows to tell whether {names}{more} drifted: {count}; look further back with --days"
        )


def judged_labels(report: Report, bounds: Bounds) -> Iterator[tuple[bool, str]]:
    """Yields a sentence for each bound on the labels that is exceeded (True) or undecided (False)."""
    if bounds.live and not report.live:
        yield False, f"without labels no live metric can be judged: {missing_labels(report)}"
    for latest in report.live[:1]:
        for name, bound in bounds.live.items():
            if name in latest.metrics:
                yield from judged_metric(latest, name, bound, bounds.min_labels)
            else:
                yield (
                    False,
                    f"{latest.version} has another task, which {option_of(name)} does not bound",
                )


def judged_metric(
    latest: Live, name: str, bound: float, min_labels: int
) -> Iterator[tuple[bool, str]]:
    """Yields a sentence with True if the whole interval of the metric is beyond the bound, and with False if
    only a part of it is. Yields another sentence with False if there are too few labels."""
    measured, metric = latest.metrics[name], METRICS[name]
    what = f"the live {metric.words} of {latest.version}"
    if measured.rows < min_labels:
        count = counted(measured.rows, "label counts", "labels count")
        needed = f"{min_labels:,} are needed (--min-labels)"
        yield False, f"too few labels to tell {what}: {count}, {needed}"
        return
    limit = f"{bound:g}{metric.unit}"
    allowed = (
        f"at least {limit} is required" if metric.bound == "min" else f"at most {limit} is allowed"
    )
    sentence = f"{what}: {metric.text(measured)}, {allowed} ({option_of(name)})"
    beyond = [each < bound if metric.bound == "min" else each > bound for each in measured.interval]
    if all(beyond):
        yield True, sentence
    elif any(beyond):
        yield False, f"more labels are needed to tell: {sentence}"


def missing_labels(report: Report) -> str:
    """Returns why no label is known, and what to do."""
    if report.latest_labelled is None:
        return "no labels are known for rows that were scored; load them with `mlops labels`"
    return (
        f"no labels are known for rows scored since {report.labels_since:%Y-%m-%d}; the latest row with a "
        f"label was scored on {report.latest_labelled:%Y-%m-%d}: look further back with --label-days"
    )
