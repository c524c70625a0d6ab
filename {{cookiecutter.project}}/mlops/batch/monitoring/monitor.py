"""Compares the batches of some days with the training of their model, and with labels.

`python -m mlops.batch.monitoring.monitor ORDER` prints the report.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mlops.batch import errors
from mlops.batch.destinations import destinations
from mlops.batch.monitoring import drift, monitor_page, monitor_report
from mlops.batch.monitoring.drift import Drift, Spread
from mlops.batch.monitoring.monitor_report import Live, Report
from mlops.batch.order import read_order
from mlops.errors import MlopsError
from mlops.predict import release
from mlops.predict.release import BUNDLE
from mlops.tables.errors import SourceError


class MonitorOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """An order to monitor. `url` is that of the database, `release` the folder of a deployment, and `html`
    the file to write a page to. `min_accuracy` and `max_false_positive_percent` bound the rows that have
    labels."""

    url: str
    release: str
    days: float = 7
    max_psi: float = 0.25
    min_accuracy: float | None = None
    max_false_positive_percent: float | None = None
    html: str | None = None


class OutOfBounds(MlopsError):
    """A column has drifted further, or the model was right less often, than is allowed."""

    exit_code = 4


def main() -> None:
    errors.report_errors(lambda: monitor(read_order(MonitorOrder)))


def monitor(order: MonitorOrder) -> None:
    """Prints the report. Raises SourceError if there is nothing to judge, and then OutOfBounds for what
    exceeds the bounds of the order."""
    folder = Path(order.release)
    since = datetime.now(UTC) - timedelta(days=order.days)
    with closing(destinations.open_relational(order.url)) as database:
        report = monitor_report.make_report(
            database, release.read_release(folder), folder / BUNDLE, since
        )
    print_report(report, order, Console(highlight=False, soft_wrap=True))
    if order.html:
        monitor_page.write_monitor_page(Path(order.html), report, order.max_psi)
        print(f"wrote {order.html}")
    refuse_nothing_to_judge(report, order)
    if faults := list(out_of_bounds(report, order)):
        raise OutOfBounds("; ".join(faults))


def refuse_nothing_to_judge(report: Report, order: MonitorOrder) -> None:
    """Raises SourceError if there are no batches, or no labels for a bound that needs them, so that a
    scheduled run that monitors nothing does not pass."""
    if not report.batches:
        raise SourceError(
            f"no batch of {report.release.environment} was scored in the last {order.days:g} days: look "
            "further back with --days, or find out why none was scored"
        )
    if not report.live and (order.min_accuracy or order.max_false_positive_percent) is not None:
        raise SourceError(
            "without labels no accuracy can be judged: load labels with `mlops labels`"
        )


def out_of_bounds(report: Report, order: MonitorOrder) -> Iterator[str]:
    """Yields a sentence for each bound that is exceeded. The bounds on accuracy and false positives apply to
    the version that scored last."""
    for each in report.all_drifts:
        if not each.passes(order.max_psi):
            yield (
                f"{each.spread.name} has drifted: PSI is {each.psi:.2f}, allowed is {order.max_psi:g} "
                "(--max-psi)"
            )
    for latest in report.live[:1]:
        if order.min_accuracy is not None and latest.accuracy < order.min_accuracy:
            yield (
                f"the live accuracy of {latest.version} is {latest.accuracy:.4f}, at least "
                f"{order.min_accuracy:g} is required (--min-accuracy)"
            )
        percent, most = latest.false_positive_percent, order.max_false_positive_percent
        if percent is not None and most is not None and percent > most:
            yield (
                f"{latest.version} predicts {percent:.2f} % of the negative rows positive, at most "
                f"{most:g} % are allowed (--max-false-positive-percent)"
            )


def print_report(report: Report, order: MonitorOrder, console: Console) -> None:
    for line in headlines(report):
        console.print(line, markup=False)
    if report.all_drifts:
        console.print(drift_table(report.all_drifts, order.max_psi))
    if report.live:
        console.print(live_table(report.live))


def headlines(report: Report) -> Iterator[str]:
    yield (
        f"{report.release.environment}, {report.release.name}: {report.batches} batches since "
        f"{report.since:%Y-%m-%d %H:%M} UTC, {report.rows:,} rows, {report.rejected:,} rejected"
    )
    if report.others:
        yield f"{report.others} of them were scored by other versions, and do not count for the drift below"
    if not report.all_drifts:
        yield f"{report.release.name} has scored nothing: its drift cannot be measured"
    if not report.live:
        yield "no labels are known for these rows: `mlops labels` loads them"


def drift_table(drifts: list[Drift], max_psi: float) -> Table:
    table = Table("Column", box=SIMPLE_HEAD)
    for name in ("PSI", "p", "Unknown %", "Missing %"):
        table.add_column(name, justify="right")
    table.add_column("")
    for each in drifts:
        table.add_row(
            each.spread.name,
            f"{each.psi:.3f}",
            f"{each.p:.2g}",
            percents(each.spread, each.spread.unknown),
            percents(each.spread, each.spread.missing),
            "" if each.passes(max_psi) else "DRIFT",
        )
    return table


def percents(spread: Spread, position: int | None) -> str:
    """Returns the percentage of the rows that is in a bin, in the training and since; "-" for no bin."""
    if position is None:
        return "-"
    before, after = (
        100 * drift.shares_of(rows)[position] for rows in (spread.training, spread.scored)
    )
    return f"{before:.1f} -> {after:.1f}"


def live_table(live: list[Live]) -> Table:
    table = Table("Version", box=SIMPLE_HEAD)
    for name in ("Labelled", "Live accuracy", "Live % false positives"):
        table.add_column(name, justify="right")
    for each in live:
        percent = each.false_positive_percent
        shown = "-" if percent is None else f"{percent:.2f}"
        table.add_row(each.version, f"{each.labelled:,}", f"{each.accuracy:.4f}", shown)
    return table


if __name__ == "__main__":
    main()
