"""Tests how the threshold of a binary answer is chosen, and that each class weighs what params.yaml says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.neighbors import KNeighborsClassifier

from mlops import params
from mlops.errors import DataError
from mlops.evaluate import evaluate
from mlops.params import ThresholdParams
from mlops.predict.predictor import Predictor, chosen_classes
from mlops.predict.schema import Schema
from mlops.tables.answered import answer_split
from mlops.train import train
from mlops.train.threshold import choose_threshold
from mlops.train.weights import fit_weights
from small_project import change

# 40 rows in steps of 0.025: half of those from 0.5 on are positive, and a tenth of the others.
PROBABILITY = np.arange(40) / 40
TARGET = np.where(PROBABILITY >= 0.75, 1, np.arange(40) % np.where(PROBABILITY >= 0.5, 2, 10) == 0)


def chosen(**rule: Any) -> float:
    return choose_threshold(ThresholdParams.model_validate(rule), TARGET, PROBABILITY)


def cost(threshold: float, false_positive: float, false_negative: float) -> float:
    called = threshold <= PROBABILITY
    wrong, missed = np.sum(called & (TARGET == 0)), np.sum(~called & (TARGET == 1))
    return float(false_positive * wrong + false_negative * missed)


def test_a_given_probability_is_the_threshold() -> None:
    assert chosen(probability=0.3) == 0.3
    with pytest.raises(
        DataError, match=r"reaches the probability 0\.98, and the highest one is 0\.975"
    ):
        chosen(probability=0.98)


@pytest.mark.parametrize("ratio", [0.5, 1, 4, 9])
def test_no_threshold_costs_less_than_the_chosen_one(ratio: float) -> None:
    costs = {"false_positive": 1, "false_negative": ratio}
    lowest = min(cost(each, **costs) for each in PROBABILITY)
    assert cost(chosen(costs=costs), **costs) == lowest


def test_only_the_ratio_of_costs_counts_however_large_they_are() -> None:
    plain, large = ({"false_positive": a, "false_negative": 4 * a} for a in (1.0, 4e307))
    assert chosen(costs=plain) == chosen(costs=large)


def test_where_a_missed_row_costs_more_more_rows_are_called_positive() -> None:
    found = [chosen(costs={"false_positive": 1, "false_negative": each}) for each in (0.5, 4, 50)]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


def test_costs_at_which_nothing_would_be_called_positive_are_refused() -> None:
    with pytest.raises(DataError, match="cheapest to call none of the 40 validation rows positive"):
        choose_threshold(
            ThresholdParams.model_validate({"costs": {"false_positive": 9, "false_negative": 1}}),
            1 - TARGET,
            PROBABILITY,
        )


@pytest.mark.parametrize("precision", [0.5, 0.75, 0.8])
def test_the_lowest_threshold_with_the_precision_is_chosen(precision: float) -> None:
    threshold = chosen(precision=precision)
    precise = [each for each in PROBABILITY[:-9] if TARGET[each <= PROBABILITY].mean() >= precision]
    assert threshold == min(precise)


def test_a_precision_that_is_not_reached_on_enough_rows_is_refused_with_the_best() -> None:
    with pytest.raises(
        DataError, match=r"no threshold has the precision 1\.0 on 10 .*best one has 0"
    ):
        choose_threshold(
            ThresholdParams(precision=1.0), np.where(PROBABILITY > 0.9, 0, TARGET), PROBABILITY
        )


def test_rows_of_one_probability_are_on_one_side() -> None:
    probability, target = np.repeat([0.2, 0.6], 20), np.array([0, 1] * 10 + [1] * 18 + [0] * 2)
    assert choose_threshold(ThresholdParams(precision=0.9), target, probability) == 0.6
    with pytest.raises(DataError, match="precision"):
        choose_threshold(ThresholdParams(precision=0.91), target, probability)


def test_an_answer_calls_those_rows_positive_of_which_the_threshold_was_chosen() -> None:
    """Rounded with 32 bits, hundreds of these thresholds would be above the probability they come from."""
    random = np.random.default_rng(0)
    rows = np.column_stack([np.zeros(10_000), random.random(10_000)]).astype(np.float32)
    for row in rows:
        group = np.tile(row, (10, 1))
        threshold = choose_threshold(ThresholdParams(precision=1.0), np.ones(10), group[:, 1])
        schema = Schema("d", "t", ("no", "yes"), (), threshold=threshold)
        assert chosen_classes(schema, group).tolist() == ["yes"] * 10


def test_the_costs_must_be_positive() -> None:
    with pytest.raises(ValidationError):
        ThresholdParams.model_validate({"costs": {"false_positive": 0, "false_negative": 1}})


def test_the_threshold_is_in_the_schema_and_every_answer_keeps_to_it(trained: Path) -> None:
    before = Predictor(Path("models"))
    change("params.yaml", "train.threshold", {"costs": {"false_positive": 1, "false_negative": 20}})
    train.main()
    predictor = Predictor(Path("models"))
    threshold = predictor.schema.threshold
    assert threshold is not None
    assert threshold < 0.5
    test, predictions = answer_split("test", predictor)
    called = predictions.answers == predictor.schema.positive
    assert (called == (predictions.probabilities[:, 1].astype(float).round(5) >= threshold)).all()
    assert (
        called.sum() > (answer_split("test", before)[1].answers == predictor.schema.positive).sum()
    )
    evaluate.main()
    assert (
        f'"recall": {(called & (test.target == 1)).sum() / test.target.sum():.4f}'[:-1]
        in Path("reports/metrics.json").read_text()
    )


def test_weights_of_classes_make_the_heavier_one_more_probable(trained: Path) -> None:
    change("params.yaml", "train.architecture", "linear")
    positive, shares = params.load_configuration().params.prepare.positive, []
    for weights in (None, "balanced", {str(positive): 10}):
        change("params.yaml", "train.class_weights", weights)
        train.main()
        predictor = Predictor(Path("models"))
        _, predictions = answer_split("test", predictor)
        shares.append(float(predictions.probabilities[:, 1].mean()))
    assert shares[0] < shares[1] < shares[2]
    change("params.yaml", "train.class_weights", {"rich": 2})
    with pytest.raises(DataError, match="'rich' is not a class of the target; they are "):
        train.main()


def test_an_estimator_that_cannot_weigh_rows_is_refused() -> None:
    with pytest.raises(DataError, match="KNeighborsClassifier cannot weigh rows: set it to null"):
        fit_weights(KNeighborsClassifier(), np.ones(3))
    assert fit_weights(KNeighborsClassifier(), None) == {}
