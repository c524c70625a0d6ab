"""Compares the batches of some days with the training of their model, and with labels.

`python -m mlops.batch.monitoring.monitor ORDER` prints the report.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct

from mlops.batch import errors
from mlops.batch.destinations import destinations
from mlops.batch.monitoring import drift, judgement, monitor_report, report_facts
from mlops.batch.monitoring.drift import Drift, Spread
from mlops.batch.monitoring.judgement import Bounds, Judgement
from mlops.batch.monitoring.live_metrics import (
    BY_TASK,
    METRICS,
    Live,
    option_of,
    shown_metrics,
)
from mlops.batch.monitoring.monitor_report import Report
from mlops.batch.order import read_order
from mlops.errors import MlopsError, UsageError, counted, printable_text, writing_output
from mlops.predict import release
from mlops.predict.predictor import SCHEMA
from mlops.predict.release import BUNDLE
from mlops.predict.schema import read_schema
from mlops.predict.task import Task
from mlops.tables.errors import SourceError
from mlops.text_table import shown_table


class MonitorOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """An order to monitor. `url` is that of the database, `release` the folder of a deployment, and
    `report` the file to which the report is written as JSON; `as_json` says whether it is printed so, too.
    `days` and `label_days` are how many days to look back for batches and for rows with labels; the other
    fields are those of Bounds."""

    url: str
    release: str
    days: float = 7
    max_psi: float = 0.25
    label_days: float = 90
    min_labels: int = 30
    min_accuracy: float | None = None
    max_false_positive_percent: float | None = None
    min_worst_recall: float | None = None
    max_mae: float | None = None
    max_rmse: float | None = None
    report: str | None = None
    as_json: bool = False

    def bounds(self, task: Task) -> Bounds:
        """Returns the bounds. Raises UsageError for the bound of a metric that the task does not have."""
        given = {name: getattr(self, f"{metric.bound}_{name}") for name, metric in METRICS.items()}
        live = {name: bound for name, bound in given.items() if bound is not None}
        known = BY_TASK[task]
        if wrong := [option_of(name) for name in live if name not in known]:
            raise UsageError(
                f"{wrong[0]} has no meaning for the task {task}: its bounds are "
                f"{' and '.join(map(option_of, known))}"
            )
        return Bounds(self.max_psi, self.min_labels, live)


class OutOfBounds(MlopsError):
    """A column has drifted further, or the model was right less often, than is allowed."""

    exit_code = 4


def main() -> None:
    errors.report_errors(lambda: monitor(read_order(MonitorOrder)))


def monitor(order: MonitorOrder) -> None:
    """Prints the report. Raises SourceError if there is nothing to judge, and then OutOfBounds for what
    exceeds the bounds of the order."""
    folder, now = Path(order.release), datetime.now(UTC)
    bounds = order.bounds(read_schema(folder / BUNDLE / SCHEMA).task)
    since, labels_since = (now - timedelta(days=each) for each in (order.days, order.label_days))
    with closing(destinations.open_relational(order.url)) as database:
        report = monitor_report.make_report(
            database, release.read_release(folder), folder / BUNDLE, since, labels_since
        )
    judged = judgement.judge(report, bounds)
    facts = report_facts.report_json(report, judged, bounds)
    if order.report:
        report_facts.write_report(Path(order.report), facts)
    with writing_output():
        if order.as_json:
            print(json.dumps(json.loads(facts), indent=1), flush=True)
        else:
            print_report(report, judged, order.max_psi)
    refuse_nothing_to_judge(report, order.days, bounds)
    if judged.exceeded:
        raise OutOfBounds("; ".join(judged.exceeded))


def refuse_nothing_to_judge(report: Report, days: float, bounds: Bounds) -> None:
    """Raises SourceError if there are no batches, or no labels for a bound that needs them, so that a
    scheduled run that monitors nothing does not pass."""
    if not report.batches:
        raise SourceError(
            f"no batch of {report.release.environment} was scored in the last {days:g} days: look "
            "further back with --days, or find out why none was scored"
        )
    if not report.live and bounds.live:
        raise SourceError(
            f"without labels no live metric can be judged: {judgement.missing_labels(report)}"
        )


def print_report(report: Report, judged: Judgement, max_psi: float) -> None:
    for line in headlines(report, judged):
        print(printable_text(line))
    if report.drifts:
        rows = [drift_cells(each, max_psi) for each in report.drifts]
        print(shown_table(("Column", "PSI", "p", "Unknown %", "Missing %", "Verdict"), rows))
    if report.live:
        names = shown_metrics(report.live)
        headings = ("Version", "Labelled", *(f"Live {METRICS[name].words}" for name in names))
        print(shown_table(headings, [live_cells(each, names) for each in report.live]))
    sys.stdout.flush()


def headlines(report: Report, judged: Judgement) -> Iterator[str]:
    """Yields the verdict with its reasons, and then what was judged."""
    yield judged.title
    yield from (f"- {reason}" for reason in (*judged.exceeded, *judged.undecided))
    yield ""
    yield (
        f"{report.release.environment}, {report.release.name}: "
        f"{counted(report.batches, 'batch', 'batches')} since {report.since:%Y-%m-%d %H:%M} UTC, "
        f"{counted(report.rows, 'row')}, {report.rejected:,} rejected"
    )
    if report.others:
        yield f"scored by other versions, and not counted for the drift below: {report.others} of them"
    if report.drifts and report.independent < 0.95:
        count = counted(report.drifts[0].rows, "row counts", "rows count")
        yield f"repeated rows count once: {count} for the drift below"
    if not report.live:
        yield judgement.missing_labels(report)


def drift_cells(found: Drift, max_psi: float) -> tuple[str, ...]:
    verdict = found.verdict(max_psi)
    return (
        found.spread.name,
        f"{found.psi:.3f}",
        f"{found.p:.2g}",
        percents(found.spread, found.spread.unknown),
        percents(found.spread, found.spread.missing),
        {"drift": "DRIFT", "no drift": "-"}.get(verdict, verdict),
    )


def percents(spread: Spread, position: int | None) -> str:
    """Returns the percentage of the rows that is in a bin, in the training and since; "-" for no bin."""
    if position is None:
        return "-"
    before, after = (
        100 * drift.shares_of(rows)[position] for rows in (spread.training, spread.scored)
    )
    return f"{before:.1f} -> {after:.1f}"


def live_cells(live: Live, names: Sequence[str]) -> tuple[str, ...]:
    metrics = (METRICS[name].text(live.metrics.get(name)) for name in names)
    return (live.version, f"{live.labelled:,}", *metrics)


if __name__ == "__main__":
    main()
