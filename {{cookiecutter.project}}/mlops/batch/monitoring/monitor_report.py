"""What batches left in the database, held against the training of their model and against labels.

Batches leave counts by bin, and no row is kept for this.
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


def report_of(database: Relational, released: Release, bundle: Path, since: datetime) -> Report:
    window = (released.environment, since)
    seen = database.query(BATCHES, released.name, *window).to_pylist()[0]
    counts = counts_by_column(database, released, since)
    reference, known = profile.read_reference(bundle), schema.read_schema(bundle / SCHEMA)
    tenths = counts.pop(known.target, None)
    return Report(
        release=released,
        since=since,
        batches=int(seen["batches"]),
        rows=int(seen["rows"]),
        rejected=int(seen["rejected"]),
        others=int(seen["others"]),
        drifts=drift.drift_of_columns(reference, counts),
        predictions=None
        if tenths is None
        else drift.drift_of_predictions(reference, known.target, tenths),
        live=[live_of(row) for row in database.query(ACCURACY, *window).to_pylist()],
    )


def counts_by_column(database: Relational, released: Release, since: datetime) -> dict[str, Counts]:
    """Rows by column and bin, of the batches that the release has scored."""
    found: dict[str, list[int]] = {}
    query = database.query(PROFILES, released.environment, released.name, since)
    for row in query.to_pylist():
        found.setdefault(row["column"], []).append(int(row["rows"]))
    return {column: np.array(rows, np.int64) for column, rows in found.items()}


def live_of(row: dict[str, Any]) -> Live:
    negatives = int(row["negatives"])
    wrong = 100 * int(row["false_positives"]) / negatives if negatives else None
    accuracy = int(row["correct"]) / int(row["labelled"])
    return Live(row["model_version"], int(row["labelled"]), accuracy, wrong)
