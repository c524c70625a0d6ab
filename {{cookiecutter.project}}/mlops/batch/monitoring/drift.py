"""Measures how far scored rows have drifted from the training rows, column by column.

The population stability index (PSI) is the size of the drift: below 0.1 it is small, above 0.25 it is large.
A p-value tells whether chance can explain it; p-values are corrected for the number of columns, because among
many columns some differ by chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlops.batch.monitoring import significance
from mlops.batch.monitoring.significance import POWER, SIGNIFICANT
from mlops.contract.profile import Bins, CategoryBins, Counts, Reference

SMALLEST = 1e-4
"""The smallest share of a bin. Without it, a single new category would make the PSI infinite."""

Shares = NDArray[np.float64]

Verdict = Literal["drift", "no drift", "too few rows"]


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
    """The drift of a column. `p` is the corrected p-value, `rows` the number of scored rows if
    repeated rows count once, and `tests` the number of columns that were tested together."""

    spread: Spread
    psi: float
    p: float
    rows: int
    tests: int

    def verdict(self, max_psi: float) -> Verdict:
        """Returns "drift" if the PSI is over the bound and chance does not explain it, and "too few rows" if
        a drift as large as the bound would probably not have been found."""
        if self.psi > max_psi and self.p < SIGNIFICANT:
            return "drift"
        training = self.spread.training
        filled = int(np.count_nonzero(training + self.spread.scored))
        power = significance.power_of_test(
            max_psi, int(training.sum()), self.rows, filled, self.tests
        )
        return "no drift" if power >= POWER else "too few rows"


def drifts_of(
    reference: Reference, target: str, scored: Mapping[str, Counts], independent: float = 1
) -> list[Drift]:
    """Returns the drift of the predictions and then that of each column, the largest PSI first. `scored` are
    the counts of the scored rows by column, each of shape (bins,), with those of the predictions under the
    name of the target; `independent` is the share of them that is not repeated."""
    spreads = [
        spread_of(name, bins, scored[name])
        for name, bins in reference.columns.items()
        if name in scored
    ]
    if target in scored:
        spreads.append(spread_of_predictions(reference, target, scored[target]))
    drifts = measure_drifts(spreads, independent)
    return sorted(drifts, key=lambda drift: (drift.spread.missing is not None, -drift.psi))


def spread_of(name: str, bins: Bins, scored: Counts) -> Spread:
    names = bins.names()
    unknown = len(names) - 2 if isinstance(bins, CategoryBins) else None
    return Spread(name, names, np.array(bins.rows), scored, unknown, len(names) - 1)


def spread_of_predictions(reference: Reference, target: str, scored: Counts) -> Spread:
    answers = reference.answers
    return Spread(f"predictions of {target}", answers.names(), np.array(answers.rows), scored)


def measure_drifts(spreads: Sequence[Spread], independent: float = 1) -> list[Drift]:
    """Returns the drift of each spread, with p-values that are corrected for the number of spreads. They are
    those of the share `independent` of the rows, 0 to 1."""
    counted = [discounted(each.scored, independent) for each in spreads]
    p_values = [
        significance.homogeneity_p_value(each.training, rows, len(spreads))
        for each, rows in zip(spreads, counted, strict=True)
    ]
    corrected = significance.holm_correction(np.array(p_values))
    return [
        Drift(
            each,
            float(psi(shares_of(each.training), shares_of(each.scored))),
            float(p),
            round(each.scored.sum() * independent),
            len(spreads),
        )
        for each, p in zip(spreads, corrected, strict=True)
    ]


def discounted(rows: NDArray[Any], independent: NDArray[Any] | float) -> Counts:
    """Returns the numbers of rows without their repetitions, as whole numbers."""
    return np.rint(rows * independent).astype(np.int64)


def shares_of(counts: Counts) -> Shares:
    """Returns the share of the rows that is in each bin, 0 to 1, of shape (bins,)."""
    shares: Shares = counts / max(int(counts.sum()), 1)
    return shares


def psi(before: Shares, after: Shares) -> Shares:
    """Returns the population stability index, the sum over the first axis, which is that of the bins, of
    (after - before) ln(after / before)."""
    before, after = np.maximum(before, SMALLEST), np.maximum(after, SMALLEST)
    size: Shares = ((after - before) * np.log(after / before)).sum(axis=0)
    return size
