"""The batches of some days against the training of their model.

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

from mlops.batch import errors, order
from mlops.batch.destinations import destinations
from mlops.batch.monitoring import drift, monitor_page, monitor_report
from mlops.batch.monitoring.drift import Drift, Spread
from mlops.batch.monitoring.monitor_report import Live, Report
from mlops.errors import MlopsError
from mlops.predict import release
from mlops.predict.release import BUNDLE
from mlops.tables.errors import SourceError


class Order(Struct, frozen=True, forbid_unknown_fields=True):
    """`release` is the folder of a deployment. Of the bounds, the last two hold where labels are."""

    url: str
    release: str
    days: float = 7
    max_psi: float = 0.25
    min_accuracy: float | None = None
    max_false_positive_percent: float | None = None
    html: str | None = None


class OutOfBounds(MlopsError):
    """Exit code 4: what is watched has moved further than is allowed."""

    exit_code = 4


def main() -> None:
    errors.report_errors(lambda: monitor(order.read_order(Order)))


def monitor(asked: Order) -> None:
    """Raises OutOfBounds, after it has shown what it found."""
    folder = Path(asked.release)
    since = datetime.now(UTC) - timedelta(days=asked.days)
    with closing(destinations.open_relational(asked.url)) as database:
        found = monitor_report.report_of(
            database, release.read_release(folder), folder / BUNDLE, since
        )
    print_report(found, asked, Console(highlight=False, soft_wrap=True))
    if asked.html:
        monitor_page.write_monitor_page(Path(asked.html), found, asked.max_psi)
        print(f"wrote {asked.html}")
    refuse_nothing(found, asked)
    if faults := list(out_of_bounds(found, asked)):
        raise OutOfBounds("; ".join(faults))


def refuse_nothing(found: Report, asked: Order) -> None:
    """A schedule that watches nothing must not stay green."""
    if not found.batches:
        raise SourceError(
            f"no batch of {found.release.environment} was scored in {asked.days:g} days: look further "
            "back with --days, or find out why none was"
        )
    if not found.live and (asked.min_accuracy or asked.max_false_positive_percent) is not None:
        raise SourceError("without labels no accuracy can be judged: load them with `mlops labels`")


def out_of_bounds(found: Report, asked: Order) -> Iterator[str]:
    for each in found.all_drifts:
        if not each.passes(asked.max_psi):
            yield (
                f"{each.spread.name} has drifted: PSI {each.psi:.2f}, allowed {asked.max_psi:g} "
                "(--max-psi)"
            )
    for latest in found.live[:1]:
        if asked.min_accuracy is not None and latest.accuracy < asked.min_accuracy:
            yield (
                f"the live accuracy of {latest.version} is {latest.accuracy:.4f}, at least "
                f"{asked.min_accuracy:g} is wanted (--min-accuracy)"
            )
        wrong, most = latest.false_positive_percent, asked.max_false_positive_percent
        if wrong is not None and most is not None and wrong > most:
            yield (
                f"{latest.version} calls {wrong:.2f} % of the negative rows positive, at most "
                f"{most:g} are allowed (--max-false-positive-percent)"
            )


def print_report(found: Report, asked: Order, console: Console) -> None:
    for line in headline(found):
        console.print(line, markup=False)
    if found.all_drifts:
        console.print(drift_table(found.all_drifts, asked.max_psi))
    if found.live:
        console.print(live_table(found.live))


def headline(found: Report) -> Iterator[str]:
    yield (
        f"{found.release.environment}, {found.release.name}: {found.batches} batches since "
        f"{found.since:%Y-%m-%d %H:%M} UTC, {found.rows:,} rows, {found.rejected:,} rejected"
    )
    if found.others:
        yield f"{found.others} of them by other versions, left out of the drift below"
    if not found.all_drifts:
        yield f"nothing was scored by {found.release.name}: no drift can be told"
    if not found.live:
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


def percents(found: Spread, place: int | None) -> str:
    """In the training, and since."""
    if place is None:
        return "-"
    before, after = (100 * drift.shares_of(rows)[place] for rows in (found.training, found.scored))
    return f"{before:.1f} -> {after:.1f}"


def live_table(found: list[Live]) -> Table:
    table = Table("Version", box=SIMPLE_HEAD)
    for name in ("Labelled", "Live accuracy", "Live % false positives"):
        table.add_column(name, justify="right")
    for each in found:
        wrong = each.false_positive_percent
        percent = "-" if wrong is None else f"{wrong:.2f}"
        table.add_row(each.version, f"{each.labelled:,}", f"{each.accuracy:.4f}", percent)
    return table


if __name__ == "__main__":
    main()
