import numpy as np
import pytest

from mlops.errors import Unanswered
from mlops.metrics import METRICS, measure

TARGET = np.array([0, 0, 0, 0, 0, 1, 1, 1])
PREDICTED = np.array([0, 0, 0, 0, 1, 1, 1, 0])
PROBABILITY = np.array([0.1, 0.2, 0.3, 0.4, 0.8, 0.9, 0.7, 0.25], np.float32)
OF_THE_TRUTH = np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.9, 0.7, 0.25])


def test_metrics_are_those_counted_by_hand() -> None:
    assert measure(TARGET, PREDICTED, PROBABILITY) == {
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


def test_every_metric_is_measured_and_in_its_order() -> None:
    assert list(measure(TARGET, PREDICTED, PROBABILITY)) == ["rows", *METRICS]


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
    measured = measure(np.full(8, target), PREDICTED, PROBABILITY)
    assert {name for name, value in measured.items() if value is None} == without_meaning


def test_a_probability_that_is_nan_is_refused() -> None:
    unanswered = np.where(TARGET == 1, np.nan, PROBABILITY)
    with pytest.raises(Unanswered) as refused:
        measure(TARGET, PREDICTED, unanswered)
    assert str(refused.value) == (
        "the model answers 3 of the 8 rows with NaN: change the derived column (science/features.py) or "
        "the architecture that causes it"
    )


def test_nothing_called_positive_has_no_precision() -> None:
    measured = measure(TARGET, np.zeros(8, int), PROBABILITY)
    assert measured["precision"] is None
    assert measured["recall"] == 0
