"""Measures how far scored rows have drifted from the training rows, column by column.

The population stability index (PSI) is the size of the drift: below 0.1 it is small, above 0.25 it is large.
The chi-square test tells whether chance can explain it. Its p-values are corrected for the number of columns
(Benjamini and Hochberg, 1995), because among many columns some differ by chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, false_discovery_control

from mlops.contract.profile import CategoryBins, Counts, NumberBins, Reference

SMALLEST = 1e-4
"""The smallest share of a bin. Without it, a single new category would make the PSI infinite."""

SIGNIFICANT = 0.01
"""The p-value below which a drift is not explained by chance."""

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """The number of rows in each bin of a column: of the `training` rows and of the `scored` rows, each of
    shape (bins,). `unknown` and `missing` are the positions of the bins for unknown categories and missing
    values, or None if there is no such bin."""

    name: str
    bins: Sequence[str]
    training: Counts
    scored: Counts
    unknown: int | None = None
    missing: int | None = None


@dataclass(frozen=True)
class Drift:
    """The drift of a column. `p` is the corrected p-value of the chi-square test."""

    spread: Spread
    psi: float
    p: float

    def passes(self, max_psi: float) -> bool:
        """Returns whether the PSI is within the bound, or chance can explain the drift."""
        return self.psi <= max_psi or self.p >= SIGNIFICANT


def drift_of_columns(reference: Reference, scored: Mapping[str, Counts]) -> list[Drift]:
    """Returns the drift of each column of the table, the largest PSI first. `scored` are the counts of the
    scored rows by column, each of shape (bins,)."""
    spreads = [
        spread_of(name, bins, scored[name])
        for name, bins in reference.columns.items()
        if name in scored
    ]
    return sorted(measure_drifts(spreads), key=lambda drift: -drift.psi)


def drift_of_predictions(reference: Reference, target: str, scored: Counts) -> Drift:
    """Returns the drift of the probability of the positive class, whose bins are its tenths."""
    tenths = [f"{tenth / 10:g} to {(tenth + 1) / 10:g}" for tenth in range(len(scored))]
    training = np.array(reference.probability)
    return measure_drifts([Spread(f"probability of {target}", tenths, training, scored)])[0]


def spread_of(name: str, bins: NumberBins | CategoryBins, scored: Counts) -> Spread:
    names = bins.names()
    unknown = len(names) - 2 if isinstance(bins, CategoryBins) else None
    return Spread(name, names, np.array(bins.rows), scored, unknown, len(names) - 1)


def measure_drifts(spreads: Sequence[Spread]) -> list[Drift]:
    """Returns the drift of each spread, with p-values that are corrected for the number of spreads."""
    p_values = [homogeneity_p_value(each) for each in spreads]
    corrected = false_discovery_control(p_values) if p_values else []
    return [
        Drift(each, psi(shares_of(each.training), shares_of(each.scored)), float(p))
        for each, p in zip(spreads, corrected, strict=True)
    ]


def shares_of(counts: Counts) -> Shares:
    """Returns the share of the rows that is in each bin, 0 to 1, of shape (bins,)."""
    shares: Shares = counts / max(int(counts.sum()), 1)
    return shares


def psi(before: Shares, after: Shares) -> float:
    """Returns the population stability index, the sum over the bins of (after - before) ln(after /
    before)."""
    before, after = np.maximum(before, SMALLEST), np.maximum(after, SMALLEST)
    return float(((after - before) * np.log(after / before)).sum())


def homogeneity_p_value(spread: Spread) -> float:
    """Returns the p-value of the chi-square test of homogeneity over the bins that hold any row; 1 if there
    are fewer than two such bins, or no rows to compare."""
    table = np.array([spread.training, spread.scored])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return 1.0
    return float(chi2_contingency(table, correction=False).pvalue)
