"""Makes the report of the monitor from the profiles, predictions and labels in a database.

A batch stores a profile, the number of its rows in each bin, so that monitoring needs no rows of the inputs.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from mlops.batch.destinations.relational import Relational
from mlops.batch.monitoring import drift
from mlops.batch.monitoring.drift import Drift
from mlops.contract import profile
from mlops.contract.profile import Counts
from mlops.predict import schema
from mlops.predict.predictor import SCHEMA
from mlops.predict.release import Release

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


class Live(Struct, frozen=True):
    """How often a version was right, over the rows whose labels are known. `false_positive_percent` is None
    if no label is negative."""

    version: str
    labelled: int
    accuracy: float
    false_positive_percent: float | None


class Report(Struct, frozen=True):
    """The report on the batches of one environment. `others` is the number of batches by other versions,
    which do not count for the drifts; `predictions` is the drift of the predictions; `live` begins with the
    latest version."""

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
        """Returns the drift of the predictions and then the drifts of the columns."""
        return [*([self.predictions] if self.predictions else []), *self.drifts]


def make_report(database: Relational, released: Release, bundle: Path, since: datetime) -> Report:
    """Returns the report on the batches that were started since then in the environment of the release."""
    window = (released.environment, since)
    totals = database.query(BATCHES, released.name, *window).to_pylist()[0]
    counts = counts_by_column(database, released, since)
    reference, target = profile.read_reference(bundle), schema.read_schema(bundle / SCHEMA).target
    tenths = counts.pop(target, None)
    return Report(
        release=released,
        since=since,
        batches=int(totals["batches"]),
        rows=int(totals["rows"]),
        rejected=int(totals["rejected"]),
        others=int(totals["others"]),
        drifts=drift.drift_of_columns(reference, counts),
        predictions=None
        if tenths is None
        else drift.drift_of_predictions(reference, target, tenths),
        live=[live_of(row) for row in database.query(ACCURACY, *window).to_pylist()],
    )


def counts_by_column(database: Relational, released: Release, since: datetime) -> dict[str, Counts]:
    """Returns the number of rows in each bin, by column, over the batches that the release has scored."""
    counts: dict[str, list[int]] = {}
    profiles = database.query(PROFILES, released.environment, released.name, since)
    for row in profiles.to_pylist():
        counts.setdefault(row["column"], []).append(int(row["rows"]))
    return {column: np.array(rows, np.int64) for column, rows in counts.items()}


def live_of(row: dict[str, Any]) -> Live:
    negatives = int(row["negatives"])
    percent = 100 * int(row["false_positives"]) / negatives if negatives else None
    accuracy = int(row["correct"]) / int(row["labelled"])
    return Live(row["model_version"], int(row["labelled"]), accuracy, percent)
