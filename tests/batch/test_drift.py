"""Tests the measures of drift, of repetition and of accuracy against values that are known otherwise."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from mlops.batch.monitoring import drift, significance
from mlops.batch.monitoring.drift import Spread
from mlops.batch.monitoring.live_metrics import share
from mlops.tables import row_hashes
from mlops.tables.row_hashes import RowSample


def spread(training: list[int], scored: list[int]) -> Spread:
    return Spread("x", [*map(str, training)], np.array(training), np.array(scored))


def verdict_between(training: list[int], scored: list[int]) -> str:
    return drift_between(training, scored).verdict(0.25)


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
    assert drift_between([500, 500], [3, 0]).psi > 0.25
    assert verdict_between([500, 500], [3, 0]) == "too few rows"


def test_few_rows_of_a_kind_that_training_never_saw_are_drift() -> None:
    assert verdict_between([1000, 0], [0, 5]) == "drift"


def test_many_rows_that_differ_are_drift_unless_they_repeat_a_few() -> None:
    differ = spread([500, 500], [300, 0])
    assert drift.measure_drifts([differ])[0].verdict(0.25) == "drift"
    repeated = drift.measure_drifts([differ], independent=0.01)[0]
    assert (repeated.rows, repeated.verdict(0.25)) == (3, "too few rows")


def test_a_little_difference_of_very_many_rows_is_no_drift() -> None:
    little = drift_between([500_000, 500_000], [510_000, 490_000])
    assert little.p < 0.01
    assert little.verdict(0.25) == "no drift"


def test_a_bin_that_training_never_saw_is_far_and_finite() -> None:
    assert 0.25 < drift_between([100, 0], [50, 50]).psi < 10


@pytest.mark.parametrize(("training", "scored"), [([5], [7]), ([5, 5], [0, 0]), ([0, 0], [0, 0])])
def test_where_nothing_can_be_told_it_is_said(training: list[int], scored: list[int]) -> None:
    assert verdict_between(training, scored) == "too few rows"


@pytest.mark.parametrize(("training", "scored"), [([90, 10], [4, 6]), ([97, 3], [2, 3])])
def test_the_p_value_of_few_rows_is_that_of_the_exact_test(
    training: list[int], scored: list[int]
) -> None:
    p = significance.homogeneity_p_value(np.array(training), np.array(scored), tests=10)
    assert p == pytest.approx(fisher_exact([training, scored]).pvalue, rel=0.3)


def test_a_surplus_has_the_p_value_of_fishers_test() -> None:
    scored, rows = np.array([3, 0, 10, 900]), np.array([5, 5, 1000, 900])
    expected = [
        fisher_exact([[some, every - some], [10, 990]], alternative="greater").pvalue
        for some, every in zip(scored, rows, strict=True)
    ]
    p = significance.surplus_p_values(10, 1000, scored, rows)
    np.testing.assert_allclose(p, [expected[0], 1, 1, expected[3]], rtol=1e-6)


def test_holms_correction() -> None:
    corrected = significance.holm_correction(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(corrected, [0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(
    ("some", "rows", "low", "high"),
    [(0, 10, 0, 0.2775), (8, 10, 0.4902, 0.9433), (10, 10, 0.7225, 1), (0, 0, 0, 1)],
)
def test_the_interval_of_wilson(some: int, rows: int, low: float, high: float) -> None:
    assert share(some, rows).interval == pytest.approx((low, high), abs=1e-4)


def hashes_of(numbers: NDArray[np.float64], *words: str) -> row_hashes.Hashes:
    texts = np.array(words)[np.arange(len(numbers)) % len(words)]
    return row_hashes.row_hashes([row_hashes.number_hashes(numbers), row_hashes.text_hashes(texts)])


def test_a_table_of_copies_is_recognized_by_its_parts_in_any_order() -> None:
    random = np.random.default_rng(1)
    hashes = hashes_of(random.normal(size=5000), "red", "blue", "")
    once, tenfold = RowSample.of_hashes(hashes), np.repeat(hashes, 10)
    random.shuffle(tenfold)
    parts = [RowSample.of_hashes(part) for part in np.array_split(tenfold, 7)]
    assert once.copies() == 1
    assert RowSample.merged([once] * 10).copies() == RowSample.merged(parts).copies() == 10
    assert RowSample.merged([once, RowSample.of_hashes(hashes[:2500])]).copies() == 1
    assert RowSample.of_hashes(hashes[:0]).copies() == 1


def test_rows_that_lost_what_told_them_apart_are_no_copies() -> None:
    empty = RowSample.of_hashes(hashes_of(np.full(1000, np.nan), "red", "blue", "green"))
    assert (len(empty.rows), empty.copies()) == (3, 1)


def test_a_hash_tells_values_and_columns_apart() -> None:
    numbers = np.array([0.0, -0.0, np.nan, -np.nan, 1.0])
    assert len({*hashes_of(numbers, "red").tolist()}) == 3
    one, other = row_hashes.number_hashes(numbers[:1]), row_hashes.number_hashes(numbers[4:])
    assert row_hashes.row_hashes([one, other]) != row_hashes.row_hashes([other, one])


def test_p_values_are_corrected_for_the_number_of_columns() -> None:
    close, far = spread([500, 500], [262, 238]), spread([500, 500], [290, 210])
    alone = drift.measure_drifts([far])[0].p
    among_many = drift.measure_drifts([far, *[close] * 30])[0].p
    assert alone < 0.01 < among_many
