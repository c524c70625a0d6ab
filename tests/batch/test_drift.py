"""Tests PSI and chi-square against values that were computed by hand."""

import numpy as np
import pytest

from mlops.batch.monitoring import drift
from mlops.batch.monitoring.drift import Spread


def spread(training: list[int], scored: list[int]) -> Spread:
    return Spread("x", [*map(str, training)], np.array(training), np.array(scored))


def drift_between(training: list[int], scored: list[int]) -> drift.Drift:
    return drift.measure_drifts([spread(training, scored)])[0]


def test_psi_is_the_sum_over_the_bins() -> None:
    expected = (0.5 - 0.25) * np.log(0.5 / 0.25) + (0.5 - 0.75) * np.log(0.5 / 0.75)
    assert drift_between([25, 75], [100, 100]).psi == pytest.approx(expected)


def test_equal_shares_are_no_drift_whatever_the_number_of_rows() -> None:
    same = drift_between([10, 20, 30], [1000, 2000, 3000])
    assert same.psi == 0
    assert same.p == pytest.approx(1)


def test_few_rows_may_look_different_by_chance() -> None:
    few = drift_between([500, 500], [3, 0])
    assert few.psi > 0.25
    assert few.passes(0.25)


def test_many_rows_that_differ_are_drift() -> None:
    assert not drift_between([500, 500], [300, 0]).passes(0.25)


def test_a_little_difference_of_very_many_rows_is_no_drift() -> None:
    little = drift_between([500_000, 500_000], [510_000, 490_000])
    assert little.p < 0.01
    assert little.passes(0.25)


def test_a_bin_that_training_never_saw_is_far_and_finite() -> None:
    assert 0.25 < drift_between([100, 0], [50, 50]).psi < 10


@pytest.mark.parametrize(("training", "scored"), [([5], [7]), ([5, 5], [0, 0]), ([0, 0], [0, 0])])
def test_where_nothing_can_be_told_it_is_no_drift(training: list[int], scored: list[int]) -> None:
    assert drift_between(training, scored).passes(0.25)


def test_p_values_are_corrected_for_the_number_of_columns() -> None:
    close, far = spread([500, 500], [262, 238]), spread([500, 500], [290, 210])
    alone = drift.measure_drifts([far])[0].p
    among_many = drift.measure_drifts([far, *[close] * 30])[0].p
    assert alone < 0.01 < among_many
