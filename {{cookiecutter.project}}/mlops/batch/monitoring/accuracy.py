"""Measures how often each version was right, over the scored rows whose labels are known.

Labels can become known long after their rows were scored, so that they have a window of their own.
"""

from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from typing import Any

from mlops.batch.destinations.relational import Relational, datetime_of

QUANTILE = 1.96
"""The quantile of the normal distribution for an interval of 95 %."""

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

LATEST = """
SELECT max(started_at) AS latest FROM scores JOIN batches USING (batch) JOIN labels USING (row_key)
WHERE environment = ?"""


@dataclass(frozen=True)
class Share:
    """A share of rows: `some` of `rows`."""

    some: int
    rows: int

    @property
    def value(self) -> float:
        """Returns the share, 0 to 1. Raises ZeroDivisionError if there are no rows."""
        return self.some / self.rows

    @property
    def interval(self) -> tuple[float, float]:
        """Returns the smallest and the largest share, 0 to 1, that these rows are consistent with: the score
        interval of Wilson (1927) at 95 %. Without rows, it is 0 to 1."""
        if not self.rows:
            return 0.0, 1.0
        square = QUANTILE**2
        center = self.some + square / 2
        half = QUANTILE * sqrt(self.some * (self.rows - self.some) / self.rows + square / 4)
        low, high = ((center + each) / (self.rows + square) for each in (-half, half))
        return max(low, 0.0), min(high, 1.0)


@dataclass(frozen=True)
class Live:
    """How often a version was right: the share of labelled rows that it predicted `correct`, and the share of
    negative rows that it predicted positive, its `false_positives`."""

    version: str
    correct: Share
    false_positives: Share


def live_by_version(database: Relational, environment: str, since: datetime) -> list[Live]:
    """Returns how often each version was right over the rows that were scored since then, the latest version
    first. A row that a version has scored more than once counts once, with its latest prediction."""
    return [live_of(row) for row in database.query(ACCURACY, environment, since).to_pylist()]


def live_of(row: dict[str, Any]) -> Live:
    labelled, correct, negatives, false_positives = (
        int(row[name]) for name in ("labelled", "correct", "negatives", "false_positives")
    )
    return Live(row["model_version"], Share(correct, labelled), Share(false_positives, negatives))


def latest_labelled(database: Relational, environment: str) -> datetime | None:
    """Returns when the latest row whose label is known was scored, or None if there is no such row."""
    latest = database.query(LATEST, environment)["latest"][0].as_py()
    return None if latest is None else datetime_of(latest)
