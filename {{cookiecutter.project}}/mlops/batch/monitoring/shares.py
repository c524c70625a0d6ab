"""Judges the shares of missing values and unknown categories, in the whole window and in each day and batch.

A column that is empty for one day can vanish among the rows of a week, and a small share of missing values
vanishes in the PSI of a whole column.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mlops.batch.monitoring import drift, significance
from mlops.batch.monitoring.significance import SIGNIFICANT
from mlops.batch.monitoring.window import Part, Window
from mlops.contract.profile import Counts, Reference


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


@dataclass(frozen=True)
class Kind:
    """The missing or the unknown values of a column: how many of the training rows have one, and how many of
    the rows of each part, of shape (parts,)."""

    column: str
    name: str
    training: int
    training_rows: int
    scored: Counts
    scored_rows: Counts

    def surplus(self, position: int, part: str, p: float) -> Surplus:
        before = self.training / self.training_rows
        after = float(self.scored[position] / self.scored_rows[position])
        size = drift.psi(np.array([before, 1 - before]), np.array([after, 1 - after]))
        return Surplus(self.column, self.name, part, before, after, float(size), p)


def surpluses_of(reference: Reference, window: Window, parts: list[Part]) -> list[Surplus]:
    """Returns the surpluses that chance does not explain. Their p-values are corrected for the number of
    columns, kinds and parts."""
    kinds = [*kinds_of(reference, window, parts)]
    independent = np.array([part.independent for part in parts])
    p_values = [
        significance.surplus_p_values(
            kind.training,
            kind.training_rows,
            drift.discounted(kind.scored, independent),
            drift.discounted(kind.scored_rows, independent),
        )
        for kind in kinds
    ]
    corrected = significance.holm_correction(np.ravel(p_values)).reshape(len(kinds), len(parts))
    return [
        kinds[kind].surplus(part, parts[part].name, float(corrected[kind, part]))
        for kind, part in np.argwhere(corrected < SIGNIFICANT)
    ]


def kinds_of(reference: Reference, window: Window, parts: list[Part]) -> Iterator[Kind]:
    for name, bins in reference.columns.items():
        if name not in window.counts:
            continue
        spread = drift.spread_of(name, bins, window.counts[name])
        by_part = np.array([spread.scored[[*part.members]].sum(axis=0) for part in parts])
        for kind, position in (("missing", spread.missing), ("unknown", spread.unknown)):
            if position is not None:
                training, rows = int(spread.training[position]), int(spread.training.sum())
                scored = by_part[:, position], by_part.sum(axis=1)
                yield Kind(name, kind, training, rows, *scored)
