from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from mlops.metrics import METRICS, areas_under_curves, measure, metric_of_losses, row_losses
from mlops.predict.errors import Unanswered
from mlops.predict.schema import Schema
from mlops.predict.task import Predictions

BINARY = Schema("d", "t", ("no", "yes"), ())
COLOURS = Schema("d", "t", ("blue", "green", "red"), (), "multiclass")
NUMBER = Schema("d", "t", (), (), "regression")

TARGET = np.array([0, 0, 0, 0, 0, 1, 1, 1])
PREDICTED = np.array([0, 0, 0, 0, 1, 1, 1, 0])
PROBABILITY = np.array([0.1, 0.2, 0.3, 0.4, 0.8, 0.9, 0.7, 0.25], np.float32)
OF_THE_TRUTH = np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.9, 0.7, 0.25])


def predictions(
    predicted: NDArray[Any] = PREDICTED, probability: NDArray[Any] = PROBABILITY
) -> Predictions:
    answers = np.array(BINARY.classes, object)[predicted]
    return Predictions(answers, np.column_stack([1 - probability, probability]))


def numbers(*values: float) -> Predictions:
    return Predictions(np.array(values), np.empty((len(values), 0), np.float32))


def test_metrics_are_those_counted_by_hand() -> None:
    assert measure(BINARY, TARGET, predictions()) == {
        "rows": 8,
        "accuracy": 0.75,
        "false_positive_percent": 20,
        "false_negative_percent": pytest.approx(100 / 3),
        "precision": pytest.approx(2 / 3, abs=1e-6),
        "recall": pytest.approx(2 / 3, abs=1e-6),
        "f1": pytest.approx(2 / 3, abs=1e-6),
        "roc_auc": pytest.approx(11 / 15, abs=1e-6),
        "average_precision": pytest.approx((1 + 2 / 3 + 3 / 6) / 3, abs=1e-6),
        "log_loss": pytest.approx(-np.log(OF_THE_TRUTH).mean(), abs=1e-6),
        "brier": pytest.approx(((1 - OF_THE_TRUTH) ** 2).mean(), abs=1e-6),
    }


@pytest.mark.parametrize("decimals", [0, 1, 5])
def test_the_areas_under_curves_are_those_of_scikit_learn_also_for_equal_probabilities(
    decimals: int,
) -> None:
    random = np.random.default_rng(decimals)
    target = random.integers(0, 2, 500)
    probability = (random.random(500) * 0.7 + target * 0.3).round(decimals).astype(np.float32)
    assert areas_under_curves(target, probability) == pytest.approx(
        (roc_auc_score(target, probability), average_precision_score(target, probability))
    )


PROBABILITIES = np.array(
    [[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1], [0.1, 0.2, 0.7]], np.float32
)
LIKELIEST = Predictions(np.array(["blue", "green", "blue", "red"], object), PROBABILITIES)


def test_metrics_of_three_classes_are_those_counted_by_hand() -> None:
    assert measure(COLOURS, np.array([0, 1, 1, 2]), LIKELIEST) == {
        "rows": 4,
        "accuracy": 0.75,
        "balanced_accuracy": pytest.approx((1 + 1 / 2 + 1) / 3, abs=1e-6),
        "macro_f1": pytest.approx((2 / 3 + 2 / 3 + 1) / 3, abs=1e-6),
        "log_loss": pytest.approx(-np.log([0.6, 0.7, 0.4, 0.7]).mean(), abs=1e-6),
        "roc_auc": 1,
        "worst_recall": 0.5,
    }


def test_classes_that_no_row_has_do_not_count() -> None:
    measured = measure(COLOURS, np.array([0, 1, 1, 1]), LIKELIEST)
    assert measured["worst_recall"] == pytest.approx(1 / 3, abs=1e-6)
    assert measured["balanced_accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert measured["roc_auc"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-6)
    assert measure(COLOURS, np.zeros(4, int), LIKELIEST)["roc_auc"] is None


def test_metrics_of_numbers_are_those_counted_by_hand_in_any_unit() -> None:
    actual, predicted = np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0, 3.0, 3.0, 4.0])
    for unit in (1, 1e-9, 1e9):
        assert measure(NUMBER, actual * unit, numbers(*(predicted * unit))) == {
            "rows": 4,
            "mae": pytest.approx(0.75 * unit),
            "rmse": pytest.approx(np.sqrt(5 / 4) * unit, rel=1e-5),
            "r2": pytest.approx(1 - 5 / 14, rel=1e-5),
            "median_absolute_error": pytest.approx(0.5 * unit),
            "mape": pytest.approx(100 * (1 / 2 + 1 / 3) / 4, rel=1e-5),
        }


def test_an_actual_number_of_0_has_no_percentage_and_equal_numbers_no_r2() -> None:
    assert measure(NUMBER, np.array([0.0, 1.0]), numbers(1, 1))["mape"] is None
    for actual in (2.0, 0.1):
        assert measure(NUMBER, np.full(7, actual), numbers(*[1] * 7))["r2"] is None


@pytest.mark.parametrize(
    ("schema", "target", "found"),
    [(BINARY, TARGET, predictions()), (COLOURS, np.array([0, 1, 1, 2]), LIKELIEST),
     (NUMBER, np.array([1.0, 2.0]), numbers(1, 3))],
)  # fmt: skip
def test_every_metric_is_measured_in_its_order_and_within_its_limits(
    schema: Schema, target: NDArray[Any], found: Predictions
) -> None:
    measured = measure(schema, target, found)
    assert list(measured) == ["rows", *METRICS[schema.task]]
    for name, metric in METRICS[schema.task].items():
        value = measured[name]
        assert value is not None
        assert metric.least <= value <= metric.greatest


@pytest.mark.parametrize(
    ("schema", "target", "found"),
    [
        (BINARY, TARGET, predictions()),
        (COLOURS, np.array([0, 1, 1, 2]), LIKELIEST),
        (COLOURS, np.array([0, 1, 1, 1]), LIKELIEST),
        (NUMBER, np.array([1.0, 2.0]), numbers(1, 3)),
    ],
)
def test_the_losses_of_rows_make_the_metrics_that_are_compared_in_pairs(
    schema: Schema, target: NDArray[Any], found: Predictions
) -> None:
    losses, measured = row_losses(schema, target, found), measure(schema, target, found)
    assert [*losses] == [name for name, metric in METRICS[schema.task].items() if metric.is_paired]
    for name, values in losses.items():
        assert metric_of_losses(name, schema.task, values) == pytest.approx(
            measured[name], abs=1e-5
        )


@pytest.mark.parametrize(
    ("target", "without_meaning"),
    [
        (0, {"false_negative_percent", "recall", "roc_auc", "average_precision"}),
        (1, {"false_positive_percent", "roc_auc", "average_precision"}),
    ],
)
def test_what_has_no_meaning_for_rows_of_one_class_is_none(
    target: int, without_meaning: set[str]
) -> None:
    measured = measure(BINARY, np.full(8, target), predictions())
    assert {name for name, value in measured.items() if value is None} == without_meaning


@pytest.mark.parametrize(
    ("schema", "target", "found"),
    [(BINARY, TARGET, predictions(probability=np.where(TARGET == 1, np.nan, PROBABILITY))),
     (NUMBER, TARGET.astype(float), numbers(*np.where(TARGET == 1, np.nan, 1)))],
)  # fmt: skip
def test_an_answer_that_is_nan_is_refused(
    schema: Schema, target: NDArray[Any], found: Predictions
) -> None:
    with pytest.raises(Unanswered) as refused:
        measure(schema, target, found)
    assert str(refused.value) == (
        "the model answers 3 of 8 rows with NaN or infinity: change the derived column "
        "(science/features.py) or the architecture that causes it"
    )


def test_nothing_called_positive_has_no_precision() -> None:
    measured = measure(BINARY, TARGET, predictions(np.zeros(8, int)))
    assert measured["precision"] is None
    assert measured["recall"] == 0
