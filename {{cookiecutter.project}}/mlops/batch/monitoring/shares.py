"""Judges the shares of missing values and unknown categories, in the whole window and in each day and batch.

A column that is empty for one day can vanish among the rows of a week, and a small share of missing values
vanishes in the PSI of a whole column.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mlops.batch.monitoring import drift, significance
from mlops.batch.monitoring.drift import Spread
from mlops.batch.monitoring.significance import SIGNIFICANT
from mlops.batch.monitoring.window import Part, Window
from mlops.contract.profile import Reference


@dataclass(frozen=True)
class Surplus:
    """A share of missing or unknown values, 0 to 1, that is larger in a part of the window than in the
    training. `kind` is "missing" or "unknown", `psi` the PSI of the two bins that are the values of this kind
    and all others, and `p` the corrected p-value."""

    column: str
    kind: str
    part: str
    before: float
    after: float
    psi: float
    p: float


def surpluses_of(reference: Reference, window: Window, parts: list[Part]) -> list[Surplus]:
    """Returns the surpluses that chance does not explain. Their p-values are corrected for the number of
    columns, kinds and parts."""
    found = [
        surplus
        for name, bins in reference.columns.items()
        if name in window.counts
        for surplus in surpluses_of_column(drift.spread_of(name, bins, window.counts[name]), parts)
    ]
    corrected = significance.holm_correction(np.array([each.p for each in found]))
    return [
        Surplus(each.column, each.kind, each.part, each.before, each.after, each.psi, float(p))
        for each, p in zip(found, corrected, strict=True)
        if p < SIGNIFICANT
    ]


def surpluses_of_column(spread: Spread, parts: list[Part]) -> Iterator[Surplus]:
    """Yields a surplus for each kind and part, with its uncorrected p-value. The scored rows of the spread
    are of shape (batches, bins)."""
    by_part = np.array([spread.scored[[*part.members]].sum(axis=0) for part in parts])
    independent = np.array([part.independent for part in parts])
    rows, training_rows = by_part.sum(axis=1), int(spread.training.sum())
    for kind, position in (("missing", spread.missing), ("unknown", spread.unknown)):
        if position is None:
            continue
        training, some = int(spread.training[position]), by_part[:, position]
        before = np.full(len(parts), training / max(training_rows, 1))
        after = some / np.maximum(rows, 1)
        sizes = drift.psi(np.stack([before, 1 - before]), np.stack([after, 1 - after]))
        p_values = significance.surplus_p_values(
            training,
            training_rows,
            drift.discounted(some, independent),
            drift.discounted(rows, independent),
        )
        for part, *figures in zip(parts, before, after, sizes, p_values, strict=True):
            yield Surplus(spread.name, kind, part.name, *map(float, figures))
