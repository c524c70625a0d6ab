"""Judges a report by bounds: which of them are exceeded, and what cannot be told yet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from mlops.batch.monitoring.accuracy import Share
from mlops.batch.monitoring.monitor_report import Report

SHOWN = 3
"""The number of columns, days or batches that a sentence lists."""


@dataclass(frozen=True)
class Bounds:
    """The bounds of a report. Those on accuracy and false positives apply to the version that scored last,
    and are judged if it has `min_labels` labels or more. None is no bound."""

    max_psi: float = 0.25
    min_accuracy: float | None = None
    max_false_positive_percent: float | None = None
    min_labels: int = 30


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
        yield (
            f"too few rows to tell whether {names}{more} drifted: {few[0].rows:,} rows count; look further "
            "back with --days"
        )


def judged_labels(report: Report, bounds: Bounds) -> Iterator[tuple[bool, str]]:
    """Yields a sentence for each bound on the labels that is exceeded (True) or undecided (False)."""
    bounded = {bounds.min_accuracy, bounds.max_false_positive_percent} != {None}
    if bounded and not report.live:
        yield False, f"without labels no accuracy can be judged: {missing_labels(report)}"
    for latest in report.live[:1]:
        if bounds.min_accuracy is not None:
            yield from judged_share(
                latest.correct,
                (bounds.min_accuracy, 1),
                f"the live accuracy of {latest.version}",
                f"the live accuracy of {latest.version} is {share_text(latest.correct)}, at least "
                f"{bounds.min_accuracy:g} is required (--min-accuracy)",
                bounds.min_labels,
            )
        if bounds.max_false_positive_percent is not None:
            yield from judged_share(
                latest.false_positives,
                (0, bounds.max_false_positive_percent / 100),
                f"the false positives of {latest.version}",
                f"{latest.version} predicts {percent_text(latest.false_positives)} of the negative rows "
                f"positive, at most {bounds.max_false_positive_percent:g} % are allowed "
                "(--max-false-positive-percent)",
                bounds.min_labels,
            )


def judged_share(
    share: Share, allowed: tuple[float, float], name: str, sentence: str, min_labels: int
) -> Iterator[tuple[bool, str]]:
    """Yields the sentence with True if the whole interval of the share is out of the allowed range, and with
    False if only a part of it is. Yields another sentence with False if there are too few labels."""
    low, high = share.interval
    if share.rows < min_labels:
        count = f"{share.rows:,} labels count, {min_labels:,} are needed (--min-labels)"
        yield False, f"too few labels to tell {name}: {count}"
    elif high < allowed[0] or low > allowed[1]:
        yield True, sentence
    elif low < allowed[0] or high > allowed[1]:
        yield False, f"more labels are needed to tell: {sentence}"


def missing_labels(report: Report) -> str:
    """Returns why no label is known, and what to do."""
    if report.latest_labelled is None:
        return "no labels are known for rows that were scored; load them with `mlops labels`"
    return (
        f"no labels are known for rows scored since {report.labels_since:%Y-%m-%d}; the latest row with a "
        f"label was scored on {report.latest_labelled:%Y-%m-%d}: look further back with --label-days"
    )


def share_text(share: Share) -> str:
    """Returns a share with its interval; "-" without rows."""
    if not share.rows:
        return "-"
    low, high = share.interval
    return f"{share.value:.4f} ({low:.4f} to {high:.4f})"


def percent_text(share: Share) -> str:
    """Returns a share in percent with its interval; "-" without rows."""
    if not share.rows:
        return "-"
    low, high = (100 * each for each in share.interval)
    return f"{100 * share.value:.2f} % ({low:.2f} to {high:.2f} %)"
