"""Tells whether chance explains a difference between the training rows and the scored rows."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, hypergeom, ncx2

from mlops.contract.profile import Counts

SIGNIFICANT = 0.01
"""The corrected p-value below which chance does not explain a difference."""

POWER = 0.8
"""The smallest probability of finding a difference at which "no drift" is said (Cohen, 1988)."""

SMALLEST_EXPECTED = 5
"""The number of rows that the chi-square distribution needs to be expected in each bin (Cochran, 1954)."""

WORTH_A_PERMUTATION = 0.05
"""The chi-square p-value below which a column with few rows is judged by permutation."""

EXCEEDED = 20
"""The number of permutations with a larger difference after which no more are drawn."""

LARGEST_URN = 10**9
"""The number of rows from which NumPy cannot draw."""

PValues = NDArray[np.float64]


def homogeneity_p_value(training: Counts, scored: Counts, tests: int) -> float:
    """Returns the p-value of the difference between two rows of counts, each of shape (bins,). It is 1 if
    fewer than two bins hold a row, or there are no rows to compare.

    It is the p-value of Pearson's chi-square test of homogeneity, or, if few rows are expected in some bin,
    of the permutation test of the same statistic. `tests` is the number of p-values that are corrected
    together: the more there are, the more permutations a small p-value takes.
    """
    table = np.array([training, scored])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return 1.0
    pooled, rows = table.sum(axis=0), table.sum(axis=1)
    expected = np.outer(rows, pooled) / rows.sum()
    statistic = ((table - expected) ** 2 / expected).sum()
    p = float(chi2.sf(statistic, table.shape[1] - 1))
    few = expected.min() < SMALLEST_EXPECTED
    if few and p < WORTH_A_PERMUTATION and rows.sum() < LARGEST_URN:
        return permutation_p_value(table[1], pooled, int(4 * tests / SIGNIFICANT))
    return p


def permutation_p_value(scored: Counts, pooled: Counts, most: int) -> float:
    """Returns the p-value of the counts `scored` among the counts `pooled`, each of shape (bins,): the share
    of random draws from the pooled rows that differ from them at least as much.

    At most `most` draws are made, and fewer if many of them differ as much (Besag and Clifford, Sequential
    Monte Carlo p-values, 1991). The draws are the same in every run.
    """
    random = np.random.default_rng(0)
    expected = pooled * (scored.sum() / pooled.sum())
    difference = ((scored - expected) ** 2 / pooled).sum() * (1 - 1e-9)
    drawn, exceeded = 0, 0
    while drawn < most and exceeded < EXCEEDED:
        size = min(max(drawn, 500), most - drawn)
        draws = random.multivariate_hypergeometric(pooled, int(scored.sum()), size, "marginals")
        exceeded += int((((draws - expected) ** 2 / pooled).sum(axis=1) >= difference).sum())
        drawn += size
    return (exceeded + 1) / (drawn + 1)


def surplus_p_values(
    training: int, training_rows: int, scored: Counts, scored_rows: Counts
) -> PValues:
    """Returns the one-sided p-values of Fisher's exact test (1934): whether `scored` of `scored_rows` rows,
    each of shape (parts,), are a larger share than `training` of `training_rows` rows. They are 1 where the
    share is not larger."""
    p = np.ones(len(scored))
    larger = scored * training_rows > training * scored_rows
    some, rows = scored[larger], scored_rows[larger]
    p[larger] = hypergeom.sf(some - 1, training_rows + rows, training + some, rows)
    return p


def holm_correction(p_values: PValues) -> PValues:
    """Returns p-values that are corrected for their number, by Holm's sequential procedure (1979). The
    probability that any of them is small by chance is then bounded, whether or not they are independent."""
    order = np.argsort(p_values)
    ascending = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(ascending), 1)
    return corrected


def power_of_test(psi: float, training_rows: int, scored_rows: int, bins: int, tests: int) -> float:
    """Returns the probability that a drift of a size is found among `tests` corrected tests, 0 to 1.

    It is that of the chi-square test whose noncentrality is the PSI times half the harmonic mean of the
    numbers of rows (Yurdakul, Statistical properties of population stability index, 2018).
    """
    if not training_rows or not scored_rows:
        return 0.0
    noncentrality = psi / (1 / training_rows + 1 / scored_rows)
    critical = chi2.isf(SIGNIFICANT / tests, max(bins - 1, 1))
    return float(ncx2.sf(critical, max(bins - 1, 1), noncentrality))
