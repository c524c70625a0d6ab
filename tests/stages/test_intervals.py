"""Tests the intervals of metrics beside those that statistics gives for accuracy and a mean."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlops.evaluate import intervals
from mlops.metrics import METRICS, measure
from mlops.predict.schema import Schema
from mlops.predict.task import Predictions

COLOURS = Schema("d", "t", ("blue", "green", "red"), (), "multiclass")
NUMBER = Schema("d", "t", (), (), "regression")


def rows(count: int, right: float) -> tuple[NDArray[np.intp], Predictions]:
    """Returns rows of three classes, and predictions of which about the given share is right."""
    random = np.random.default_rng(8)
    target = random.integers(0, 3, count)
    guess = np.where(random.random(count) < right, target, (target + 1) % 3)
    probabilities = np.full((count, 3), 0.2, np.float32)
    probabilities[np.arange(count), guess] = 0.6
    return target, Predictions(np.array(COLOURS.classes, object)[guess], probabilities)


def intervals_of(
    schema: Schema, target: NDArray[Any], predictions: Predictions
) -> dict[str, intervals.Interval]:
    return intervals.intervals(schema, measure(schema, target, predictions), target, predictions)


def width(ends: intervals.Interval) -> float:
    assert ends
    return ends[1] - ends[0]


def test_the_interval_of_an_accuracy_is_about_that_of_a_share() -> None:
    found = intervals_of(COLOURS, *rows(2000, 0.8))
    assert list(found) == list(METRICS["multiclass"])
    expected = 2 * 1.96 * np.sqrt(0.8 * 0.2 / 2000)
    assert expected * 0.6 < width(found["accuracy"]) < expected * 1.6


def test_the_interval_of_a_mean_error_is_about_that_of_a_mean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors: NDArray[np.float64] = np.random.default_rng(9).normal(0, 1e6, 40_000)
    nothing = np.empty((len(errors), 0), np.float32)
    arguments = (NUMBER, np.full(len(errors), 1e9), Predictions(1e9 + errors, nothing))
    expected = 2 * 1.96 * np.abs(errors).std() / np.sqrt(len(errors))
    for measured in (40_000, 2_000):  # of fewer rows, those of all follow
        monkeypatch.setattr(intervals, "MEASURED", measured)
        found = intervals_of(*arguments)
        assert expected * 0.6 < width(found["mae"]) < expected * 1.6
    assert found["r2"] is None


def test_where_nothing_is_known_of_the_spread_there_is_no_interval() -> None:
    assert set(intervals_of(COLOURS, *rows(19, 0.8)).values()) == {None}
    perfect = intervals_of(COLOURS, *rows(200, 1))
    assert perfect["accuracy"] is None


def test_an_interval_stays_within_what_a_metric_can_be() -> None:
    found = intervals_of(COLOURS, *rows(30, 0.9))
    for name, ends in found.items():
        metric = METRICS["multiclass"][name]
        assert ends is None or metric.least <= ends[0] <= ends[1] <= metric.greatest
