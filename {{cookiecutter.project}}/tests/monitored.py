"""A database of batches, as `mlops score` leaves it, with a bundle that knows its training."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from batch import destinations, urls
from batch.batches import ROWS, Batch, Count, Outcome
from serving import profile, schema
from serving.predictor import Predictions
from serving.release import Release
from serving.schema import Column, Schema

CLASSES = ("no", "yes")
SCHEMA = Schema(
    dataset="people",
    target="answer",
    classes=CLASSES,
    columns=(
        Column("age", "integer", 40, missing=False, minimum=0, maximum=99),
        Column("colour", "category", "red", missing=False, categories=("blue", "red")),
    ),
)
RELEASE = Release(environment="prod", commit="c" * 40, bundle="b", files={}, version="v1.0.0")
NOW = datetime.now(UTC)


def training(rows: int = 1000) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(3)
    colours = np.array(["blue", "red"], object)[random.integers(0, 2, rows)]
    return {"age": random.integers(20, 70, rows).astype(float), "colour": colours}


def predictions(probability: NDArray[np.float64]) -> Predictions:
    positive = probability.astype(np.float32)
    labels = np.where(positive > 0.5, *reversed(CLASSES)).astype(object)
    return Predictions(labels, np.stack([1 - positive, positive], axis=1))


def bundle(folder: Path) -> Path:
    folder.mkdir(parents=True)
    schema.write(SCHEMA, folder / "schema.json")
    spread = predictions(np.linspace(0, 1, 1000))
    profile.write(profile.of(training(), spread, SCHEMA), folder)
    return folder


def score(
    database: Path,
    folder: Path,
    columns: Mapping[str, NDArray[Any]],
    answers: Mapping[str, str],
    *,
    version: str = "v1.0.0",
    environment: str = "prod",
    days_ago: float = 1,
) -> None:
    """Leave a batch: `columns` in its profile, a row for each of `answers`, by key."""
    reference = profile.read(folder)
    counts = {name: bins.count(columns[name]) for name, bins in reference.columns.items()}
    counts["answer"] = profile.count_probabilities(np.linspace(0, 1, 500, dtype=np.float32))
    kept = [
        Count(column, place, int(rows))
        for column, found in counts.items()
        for place, rows in enumerate(found)
    ]
    started = NOW - timedelta(days=days_ago)
    hashes = f"{version}{environment}{started}"
    batch = Batch(hashes, "rows.csv", hashes, version, "m", environment, *CLASSES, started)
    rows = pa.RecordBatch.from_pydict(
        {
            "row_key": [*answers],
            "prediction": [*answers.values()],
            "probability_negative": [0.5] * len(answers),
            "probability_positive": [0.5] * len(answers),
        },
        ROWS,
    )
    destination = destinations.opened(urls.parse(f"sqlite:///{database}"))
    reader = pa.RecordBatchReader.from_batches(ROWS, [rows])
    done = Outcome(len(answers), 0, 0, started, tuple(kept))
    destination.store(batch, reader, lambda: done, force=False)
    destination.close()
