"""Tests that the service and a batch answer what evaluate measured: with the same bits for trees, and within
1e-6 for linear models, whose sums depend on how many rows are predicted at once."""

import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import small_batch
import small_project
from mlops.architectures import ARCHITECTURES
from mlops.deploy import deploy
from mlops.evaluate import evaluate
from mlops.predict.predictor import DECIMALS, Predictor
from mlops.predict.schema import Schema
from mlops.tables import splits
from mlops.train import train
from running_service import deployment, running

LINEAR = {"linear"}
THRESHOLD = 0.3
ALL = {"SERVE_MAX_ROWS": "10000", "SERVE_MAX_BODY_MEGABYTES": "10"}


@dataclass(frozen=True)
class Answers:
    """The answers for some rows. `probabilities` is of shape (rows, 2), in the order of the schema's
    classes."""

    labels: list[str]
    probabilities: NDArray[np.float64]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_evaluate_the_service_and_a_batch_answer_alike(trained: Path, architecture: str) -> None:
    small_project.change("params.yaml", "train.architecture", architecture)
    small_project.change("params.yaml", "train.threshold", {"probability": THRESHOLD})
    for stage in (train, evaluate, deploy):
        stage.main()
    predictor = Predictor(Path("models"))
    test = splits.read_split("test", predictor.schema)
    evaluated = predictor.predict(test.columns)
    expected = Answers(evaluated.answers.tolist(), evaluated.probabilities.astype(float))
    rows = [
        dict(zip(test.columns, map(json_value, values), strict=True))
        for values in zip(*test.columns.values(), strict=True)
    ]
    positive = evaluated.probabilities[:, 1]
    called = evaluated.answers == predictor.schema.positive
    assert (called[(positive > THRESHOLD + 1e-5) & (positive < 0.5)]).all()
    assert not called[positive < THRESHOLD - 1e-5].any()
    folder = deployment(trained / "served", Path("deploy"))
    together, each_alone = served(folder, rows, predictor.schema)
    for answers in (together, each_alone, scored(folder, rows)):
        assert_equal_answers(answers, expected, exact=architecture not in LINEAR)


def json_value(value: Any) -> Any:
    """Returns a value as JSON, with null for a missing one."""
    if isinstance(value, str):
        return value or None
    return None if np.isnan(value) else float(value)


def served(folder: Path, rows: list[dict[str, Any]], schema: Schema) -> tuple[Answers, Answers]:
    """Returns the answers of the service for the rows in one request, and for each row in its own request."""

    def answers(predictions: list[dict[str, Any]]) -> Answers:
        probabilities = [
            [each["probability"][name] for name in schema.classes] for each in predictions
        ]
        return Answers([each["prediction"] for each in predictions], np.array(probabilities))

    with running(folder, variables=ALL) as service, ThreadPoolExecutor(8) as pool:
        together = service.predict(rows).json()["predictions"]
        alone = [answer.json()["predictions"][0] for answer in pool.map(service.predict, rows)]
    return answers(together), answers(alone)


def scored(folder: Path, rows: list[dict[str, Any]]) -> Answers:
    with Path("rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    small_batch.run(folder)
    stored = small_batch.stored(
        "SELECT prediction, probability_negative, probability_positive FROM predictions "
        "ORDER BY CAST(substr(row_key, 19) AS INTEGER)"
    )
    return Answers([row[0] for row in stored], np.array([row[1:] for row in stored]))


def assert_equal_answers(answers: Answers, expected: Answers, *, exact: bool) -> None:
    difference = np.abs(answers.probabilities - expected.probabilities)
    assert difference.max() <= (0 if exact else 1e-6)
    at_threshold = np.abs(expected.probabilities[:, 1] - THRESHOLD) < 10**-DECIMALS
    differ = np.array(answers.labels) != np.array(expected.labels)
    assert not np.any(differ if exact else differ & ~at_threshold)
