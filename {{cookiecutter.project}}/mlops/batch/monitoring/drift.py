"""How far rows that were scored have moved from those of the training, column by column.

The population stability index (PSI) says how far: under 0.1 little, over 0.25 far. The chi-square test says
whether chance could have done it; its p-values are corrected for the number of columns (Benjamini and
Hochberg), so that among many columns some do not stand out by chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, false_discovery_control

from mlops.contract.profile import CategoryBins, Counts, NumberBins, Reference

SMALLEST = 1e-4
"""The share that an empty bin counts as; else one new category would be infinitely far."""

SIGNIFICANT = 0.01

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Rows in each named bin: of the training, and of the batches. `unknown` and `missing` are the
    positions of their bins; None where there is none."""

    name: str
    bins: Sequence[str]
    training: Counts
    scored: Counts
    unknown: int | None = None
    missing: int | None = None


@dataclass(frozen=True)
class Drift:
    """`p` is the chance, corrected, of so much difference between rows of one origin."""

    spread: Spread
    psi: float
    p: float

    def passes(self, max_psi: float) -> bool:
        return self.psi <= max_psi or self.p >= SIGNIFICANT


def drift_of_columns(reference: Reference, scored: Mapping[str, Counts]) -> list[Drift]:
    """The columns of the table, the one that moved furthest first."""
    spreads = [
        spread_of(name, bins, scored[name])
        for name, bins in reference.columns.items()
        if name in scored
    ]
    return sorted(drifts_of(spreads), key=lambda drift: -drift.psi)


def drift_of_predictions(reference: Reference, target: str, scored: Counts) -> Drift:
    tenths = [f"{tenth / 10:g} to {(tenth + 1) / 10:g}" for tenth in range(len(scored))]
    found = Spread(f"probability of {target}", tenths, np.array(reference.probability), scored)
    return drifts_of([found])[0]


def spread_of(name: str, bins: NumberBins | CategoryBins, scored: Counts) -> Spread:
    names = bins.names()
    unknown = len(names) - 2 if isinstance(bins, CategoryBins) else None
    return Spread(name, names, np.array(bins.rows), scored, unknown, len(names) - 1)


def drifts_of(spreads: Sequence[Spread]) -> list[Drift]:
    chances = [p_value_of(each) for each in spreads]
    corrected = false_discovery_control(chances) if chances else []
    return [
        Drift(each, psi(shares_of(each.training), shares_of(each.scored)), float(p))
        for each, p in zip(spreads, corrected, strict=True)
    ]


def shares_of(counts: Counts) -> Shares:
    """Of all rows, 0 to 1."""
    found: Shares = counts / max(counts.sum(), 1)
    return found


def psi(before: Shares, after: Shares) -> float:
    before, after = np.maximum(before, SMALLEST), np.maximum(after, SMALLEST)
    return float(((after - before) * np.log(after / before)).sum())


def p_value_of(found: Spread) -> float:
    """The p-value of the chi-square test of homogeneity over the bins that hold any row."""
    table = np.array([found.training, found.scored])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return 1.0
    return float(chi2_contingency(table, correction=False).pvalue)
