"""Defines a batch, which is the rows of one file that one model scores, and its outcome."""

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime

from mlops.predict.task import Task
from mlops.tables.row_hashes import NO_ROWS, RowSample

SOURCE_DIGITS = 8
"""The number of digits of a file's hash that batches and default keys begin with."""


@dataclass(frozen=True)
class Batch:
    """A batch. `source` is the path of its file, `source_hash` the SHA-256 of the content, and `model_hash`
    the MD5 of the model. `negative` and `positive` are the classes of a binary task, else None. `started_at`
    is when the run began, in UTC, and is the `scored_at` of every row; the files of a run differ by
    microseconds, in their order."""

    batch_id: str
    source: str
    source_hash: str
    model_version: str
    model_hash: str
    environment: str
    target: str
    task: Task
    negative: str | None
    positive: str | None
    started_at: datetime


@dataclass(frozen=True)
class Count:
    """The number of rows of a batch in one bin of a column's profile; bins are counted from 0. The bins of
    the target are those of the predictions."""

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
    """What a destination holds of a batch that was stored before: how many rows were scored and rejected.
    `superseded_by` is the version that has scored the same file for the same environment since then, or
    None."""

    rows: int
    rejected: int
    finished_at: datetime
    superseded_by: str | None = None


def batch_facts(batch: Batch, outcome: Outcome) -> dict[str, str | int | None]:
    """Returns all that is known of a finished batch except for its profile, for destinations that do not have
    a column for each field."""
    return {
        **asdict(batch),
        "started_at": batch.started_at.isoformat(timespec="microseconds"),
        "rows": outcome.rows,
        "rejected": outcome.rejected,
        "warnings": outcome.warnings,
        "status": "finished",
        "finished_at": outcome.finished_at.isoformat(timespec="microseconds"),
    }


def batch_identity(source_hash: str, *parts: str | None) -> str:
    """Returns sixteen hexadecimal digits, which are the same for the same arguments. The first SOURCE_DIGITS
    are those of the source, so that a listing finds all batches of a file."""
    identity = hashlib.sha256("\n".join(map(repr, (source_hash, *parts))).encode()).hexdigest()
    return source_hash[:SOURCE_DIGITS] + identity[: 16 - SOURCE_DIGITS]
