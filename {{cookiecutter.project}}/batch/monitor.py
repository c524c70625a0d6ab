"""`python -m batch.monitor ORDER`: the batches of some days against the training of their model.

It reads what `mlops score` left in the database, counts by bin and labels; no row is kept for it.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from batch import destinations, drift, errors, monitor_page, order
from batch.drift import Drift, Spread
from batch.errors import BatchError
from batch.relational import Relational
from serving import profile, release, schema
from serving.predictor import SCHEMA
from serving.profile import Counts
from serving.release import BUNDLE, Release

BATCHES = """
SELECT count(*) AS batches, coalesce(sum(rows), 0) AS rows, coalesce(sum(rejected), 0) AS rejected,
    coalesce(sum(CASE WHEN model_version = ? THEN 0 ELSE 1 END), 0) AS others
FROM batches WHERE environment = ? AND started_at >= ?"""

PROFILES = """
SELECT "column", bin, sum(profiles.rows) AS rows FROM profiles JOIN batches USING (batch)
WHERE environment = ? AND model_version = ? AND started_at >= ? GROUP BY "column", bin
ORDER BY bin"""

ACCURACY = """
SELECT model_version, count(*) AS labelled,
    sum(CASE WHEN prediction = label THEN 1 ELSE 0 END) AS correct,
    sum(CASE WHEN label = negative THEN 1 ELSE 0 END) AS negatives,
    sum(CASE WHEN label = negative AND prediction = positive THEN 1 ELSE 0 END) AS false_positives
FROM (
    SELECT row_key, prediction, model_version, negative, positive, started_at, ROW_NUMBER() OVER (
        PARTITION BY model_version, row_key ORDER BY started_at DESC, batch DESC
    ) AS age
    FROM scores JOIN batches USING (batch) WHERE environment = ? AND started_at >= ?
) AS aged JOIN labels USING (row_key)
WHERE age = 1 GROUP BY model_version ORDER BY max(started_at) DESC"""


class Order(Struct, frozen=True, forbid_unknown_fields=True):
    """`release` is the folder of a deployment. Of the bounds, the last two hold where labels are."""

    url: str
    release: str
    days: float = 7
    max_psi: float = 0.25
    min_accuracy: float | None = None
    max_false_positive_percent: float | None = None
    html: str | None = None


class OutOfBounds(BatchError):
    """Exit code 4: what is watched has moved further than is allowed."""

    exit_code = 4


class Live(Struct, frozen=True):
    """How right a version was, where the truth is known; `false_positive_percent` is None where no
    label is negative."""

    version: str
    labelled: int
    accuracy: float
    false_positive_percent: float | None


class Report(Struct, frozen=True):
    """`others` counts the batches of other versions, whose rows are in none of the drifts."""

    release: Release
    since: datetime
    batches: int
    rows: int
    rejected: int
    others: int
    drifts: list[Drift]
    predictions: Drift | None
    live: list[Live]

    @property
    def all_drifts(self) -> list[Drift]:
        return [*([self.predictions] if self.predictions else []), *self.drifts]


def main() -> None:
    errors.run(lambda: monitor(order.given(Order)))


def monitor(asked: Order) -> None:
    """Raises OutOfBounds, after it has shown what it found."""
    folder = Path(asked.release)
    since = datetime.now(UTC) - timedelta(days=asked.days)
    with closing(destinations.relational(asked.url)) as database:
        found = report(database, release.read(folder), folder / BUNDLE, since)
    show(found, asked, Console(highlight=False, soft_wrap=True))
    if asked.html:
        monitor_page.write(Path(asked.html), found, asked.max_psi)
        print(f"wrote {asked.html}")
    if faults := list(out_of_bounds(found, asked)):
        raise OutOfBounds("; ".join(faults))


def report(database: Relational, released: Release, bundle: Path, since: datetime) -> Report:
    window = (released.environment, since)
    seen = database.query(BATCHES, released.name, *window).to_pylist()[0]
    counts = counted(database, released, since)
    reference, known = profile.read(bundle), schema.read(bundle / SCHEMA)
    tenths = counts.pop(known.target, None)
    return Report(
        release=released,
        since=since,
        batches=int(seen["batches"]),
        rows=int(seen["rows"]),
        rejected=int(seen["rejected"]),
        others=int(seen["others"]),
        drifts=drift.of_columns(reference, counts),
        predictions=None
        if tenths is None
        else drift.of_predictions(reference, known.target, tenths),
        live=[live(row) for row in database.query(ACCURACY, *window).to_pylist()],
    )


def counted(database: Relational, released: Release, since: datetime) -> dict[str, Counts]:
    """Rows by column and bin, of the batches that the release has scored."""
    found: dict[str, list[int]] = {}
    query = database.query(PROFILES, released.environment, released.name, since)
    for row in query.to_pylist():
        found.setdefault(row["column"], []).append(int(row["rows"]))
    return {column: np.array(rows, np.int64) for column, rows in found.items()}


def live(row: dict[str, Any]) -> Live:
    negatives = int(row["negatives"])
    wrong = 100 * int(row["false_positives"]) / negatives if negatives else None
    accuracy = int(row["correct"]) / int(row["labelled"])
    return Live(row["model_version"], int(row["labelled"]), accuracy, wrong)


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


def show(found: Report, asked: Order, console: Console) -> None:
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
    before, after = (100 * drift.shares(rows)[place] for rows in (found.training, found.scored))
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
