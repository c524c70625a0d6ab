"""Makes the report of the monitor from the profiles, predictions and labels in a database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from mlops.batch.destinations.relational import Relational
from mlops.batch.monitoring import drift, live_metrics, shares, window
from mlops.batch.monitoring.drift import Drift
from mlops.batch.monitoring.live_metrics import Live
from mlops.batch.monitoring.shares import Surplus
from mlops.batch.monitoring.window import Window
from mlops.contract import profile
from mlops.predict import schema
from mlops.predict.predictor import SCHEMA
from mlops.predict.release import Release

BATCHES = """
SELECT count(*) AS batches, coalesce(sum(rows), 0) AS rows, coalesce(sum(rejected), 0) AS rejected,
    coalesce(sum(CASE WHEN model_version = ? THEN 0 ELSE 1 END), 0) AS others
FROM batches WHERE environment = ? AND started_at >= ?"""


@dataclass(frozen=True)
class Day:
    """A day of UTC: how many rows were scored on it, and the PSI of each column by its name."""

    day: date
    rows: int
    psi: Mapping[str, float]


@dataclass(frozen=True)
class Report:
    """The report on the batches of one environment since a time. `others` is the number of batches by other
    versions, which do not count for the drifts, days and surpluses; `independent` is the share of the rows of
    the release that counts if repeated rows count once. `drifts` begin with that of the predictions, and
    `live`, which is about the rows that were scored since `labels_since`, with the latest version.
    `latest_labelled` is when the latest row with a label was scored, if `live` is empty."""

    release: Release
    since: datetime
    batches: int
    rows: int
    rejected: int
    others: int
    independent: float
    drifts: list[Drift]
    days: list[Day]
    surpluses: list[Surplus]
    labels_since: datetime
    live: list[Live]
    latest_labelled: datetime | None


def make_report(
    database: Relational, released: Release, bundle: Path, since: datetime, labels_since: datetime
) -> Report:
    """Returns the report on the batches that were started since then in the environment of the release, and
    on the labels of rows that were scored since `labels_since`."""
    reference, target = profile.read_reference(bundle), schema.read_schema(bundle / SCHEMA).target
    bins = {name: len(each.rows) for name, each in reference.columns.items()}
    bins[target] = len(reference.answers.rows)
    scored = window.read_window(database, released, since, bins)
    parts = scored.parts()
    drifts = drift.drifts_of(reference, target, scored.totals(), parts[0].independent)
    environment = released.environment
    totals = database.query(BATCHES, released.name, environment, since).to_pylist()[0]
    live = live_metrics.live_by_version(database, environment, labels_since)
    return Report(
        release=released,
        since=since,
        batches=int(totals["batches"]),
        rows=int(totals["rows"]),
        rejected=int(totals["rejected"]),
        others=int(totals["others"]),
        independent=parts[0].independent,
        drifts=drifts,
        days=[*days_of(scored, drifts, target)],
        surpluses=shares.surpluses_of(reference, scored, parts),
        labels_since=labels_since,
        live=live,
        latest_labelled=None if live else live_metrics.latest_labelled(database, environment),
    )


def days_of(scored: Window, drifts: list[Drift], target: str) -> Iterator[Day]:
    """Yields each day on which rows were scored; the counts of the predictions stand under the target."""
    for day in sorted({*scored.days}):
        members = [at for at, its_day in enumerate(scored.days) if its_day == day]
        sizes = {}
        for each in drifts:
            column = each.spread.name if each.spread.name in scored.counts else target
            rows = scored.counts[column][members].sum(axis=0)
            shares = drift.shares_of(each.spread.training), drift.shares_of(rows)
            sizes[each.spread.name] = float(drift.psi(*shares))
        yield Day(day, int(scored.rows[members].sum()), sizes)
