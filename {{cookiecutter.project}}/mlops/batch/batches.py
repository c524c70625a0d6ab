"""A batch: which rows, by which model; what came of it."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow as pa

ROWS = pa.schema(
    [
        pa.field("row_key", pa.string(), nullable=False),
        pa.field("prediction", pa.string(), nullable=False),
        pa.field("probability_negative", pa.float32(), nullable=False),
        pa.field("probability_positive", pa.float32(), nullable=False),
    ]
)
"""What is stored of each row; the numbers are the model's own, bit for bit."""


@dataclass(frozen=True)
class Batch:
    """`started_at` is in UTC, and the `scored_at` of every row."""

    batch_id: str
    source: str
    source_hash: str
    model_version: str
    model_hash: str
    environment: str
    negative: str
    positive: str
    started_at: datetime


@dataclass(frozen=True)
class Count:
    """Rows of a batch in one bin, counted from 0, of a column's profile; of the target's, in each
    tenth of the probability of the positive class."""

    column: str
    bin: int
    rows: int


@dataclass(frozen=True)
class Outcome:
    """`rows` are those that were scored, `rejected` those that were not."""

    rows: int
    rejected: int
    warnings: int
    finished_at: datetime
    profile: tuple[Count, ...]


@dataclass(frozen=True)
class Finished:
    """A batch as a destination remembers it."""

    rows: int
    rejected: int
    finished_at: datetime


def batch_facts(batch: Batch, outcome: Outcome) -> dict[str, str | int]:
    """What is known of a finished batch, but for its profile, where there are no columns for it."""
    return {
        **asdict(batch),
        "started_at": batch.started_at.isoformat(timespec="microseconds"),
        "rows": outcome.rows,
        "rejected": outcome.rejected,
        "warnings": outcome.warnings,
        "finished_at": outcome.finished_at.isoformat(timespec="microseconds"),
    }


def batch_identity(*parts: str | None) -> str:
    """Sixteen hexadecimal digits: the same for the same rows, key, model and environment."""
    return digest_of_texts(repr(part) for part in parts)[:16]


def digest_of_texts(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
