"""Batches that no model has scored, for what stores them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from batch.batches import ROWS, Batch

START = datetime(2026, 11, 23, 14, tzinfo=UTC)


def batch(name: str, hours: int = 0, environment: str = "prod") -> Batch:
    when = START + timedelta(hours=hours)
    return Batch(name, "rows.csv", "s", f"v{hours}", "m", environment, "no", "yes", when)


def rows(keys: Sequence[str], piece: int = 2) -> pa.RecordBatchReader:
    pieces = (keys[start : start + piece] for start in range(0, len(keys), piece))
    batches = (
        pa.record_batch(
            [
                pa.array(piece),
                ["yes"] * len(piece),
                *[pa.array([0.1] * len(piece), pa.float32())] * 2,
            ],
            schema=ROWS,
        )
        for piece in pieces
    )
    return pa.RecordBatchReader.from_batches(ROWS, batches)
