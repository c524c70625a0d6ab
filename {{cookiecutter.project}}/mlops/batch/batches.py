"""Defines a batch, which is the rows that one run scores with one model, and its outcome."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow as pa

from mlops.tables.row_hashes import NO_ROWS, RowSample

ROWS = pa.schema(
    [
        pa.field("row_key", pa.string(), nullable=False),
        pa.field("prediction", pa.string(), nullable=False),
        pa.field("probability_negative", pa.float32(), nullable=False),
        pa.field("probability_positive", pa.float32(), nullable=False),
    ]
)
"""The columns that are stored for each row. The probabilities are those of the model, bit for bit."""


@dataclass(frozen=True)
class Batch:
    """A batch. `source` names its files, `source_hash` is the hash of their contents, and `model_hash` the
    MD5 of the model. `negative` and `positive` are the classes. `started_at` is in UTC, and is the
    `scored_at` of every row."""

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
    """The number of rows of a batch in one bin of a column's profile; bins are counted from 0. The bins of
    the target are the tenths of the probability of the positive class."""

    column: str
    bin: int
    rows: int


@dataclass(frozen=True)
class Outcome:
    """The outcome of a batch: how many rows were scored and how many were rejected, and the scored rows'
    profile and sample of hashes."""

    rows: int
    rejected: int
    warnings: int
    finished_at: datetime
    profile: tuple[Count, ...]
    sample: RowSample = NO_ROWS


@dataclass(frozen=True)
class Finished:
    """What a destination holds of a batch that was stored before: how many rows were scored and rejected."""

    rows: int
    rejected: int
    finished_at: datetime


def batch_facts(batch: Batch, outcome: Outcome) -> dict[str, str | int]:
    """Returns all that is known of a finished batch except for its profile, for destinations that do not have
    a column for each field."""
    return {
        **asdict(batch),
        "started_at": batch.started_at.isoformat(timespec="microseconds"),
        "rows": outcome.rows,
        "rejected": outcome.rejected,
        "warnings": outcome.warnings,
        "finished_at": outcome.finished_at.isoformat(timespec="microseconds"),
    }


def batch_identity(*parts: str | None) -> str:
    """Returns sixteen hexadecimal digits, which are the same for the same parts."""
    return digest_of_texts(repr(part) for part in parts)[:16]


def digest_of_texts(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
