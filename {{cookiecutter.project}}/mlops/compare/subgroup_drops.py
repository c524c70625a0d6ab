"""Judges whether the challenger is worse than the champion on a subgroup of the test rows.

A subgroup has few rows, and among many subgroups one looks worse by chance. So there are three verdicts, by
an interval for the true drop:

- It passes if the whole interval is under `max_drop`. Of the true drops of `max_drop`, less than 1 % do.
- It fails if the whole interval is above 0 and reaches `max_drop`. Of the releases in which no subgroup has a
  drop, less than 5 % have one that does.
- It is not decided if the interval holds 0 and reaches `max_drop`: there are too few rows to tell.
"""

from math import ceil
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

FALSE_REFUSALS = 0.05
"""The share of the releases without a drop in which a subgroup may fail."""

MISSED = 0.01
"""The share of the drops of `max_drop` that may pass."""

Numbers = Any
"""A number, or one for each of several subgroups as an array."""


def judge_drop(gains: NDArray[np.float64], max_drop: float, judged: int) -> dict[str, Any]:
    """Returns the verdict on a subgroup: its `rows`, the `drop` of a metric with its `interval`, whether it
    `passed`, and `needed_rows`, about how many rows would decide, if these do not.

    Args:
        gains: by how much the challenger is better on each row, of shape (rows,).
        max_drop: the drop that is not to be missed, over 0.
        judged: how many drops are judged in this release: subgroups times metrics.
    """
    rows, drop, square = len(gains), -float(gains.mean()), float((gains**2).mean())
    unit = square / float(np.abs(gains).mean()) if square else 0.0
    low, high = map(float, drop_interval(rows, drop, square, unit, max_drop, judged=judged))
    verdict = {
        "rows": rows,
        "drop": float(f"{drop:.6g}"),
        "interval": [float(f"{end:.6g}") for end in (low, high)],
        "max_drop": max_drop,
    }
    if high < max_drop or low > 0:
        return verdict | {"passed": high < max_drop}
    deviation = np.sqrt(square + unit * max_drop)
    needed = ceil(
        ((quantile(FALSE_REFUSALS / judged) + quantile(MISSED)) * deviation / max_drop) ** 2
    )
    return verdict | {"passed": True, "needed_rows": max(needed, rows + 1)}


def drop_interval(
    rows: Numbers, drop: Numbers, square: Numbers, unit: Numbers, max_drop: float, *, judged: int
) -> tuple[Numbers, Numbers]:
    """Returns the ends of the interval for a true drop, from the mean of the paired differences (`drop`) and
    that of their squares.

    The lower end is above 0 by chance in FALSE_REFUSALS of all releases (Bonferroni, with the correction for
    continuity of Yates). The upper end supposes that what lacks to a drop of `max_drop` would be
    rows that differ by `unit`, the usual size of a difference, as in the score test of Tango (Statistics in
    Medicine 17, 1998): the few differences that a small drop shows would understate its deviation.
    """
    lacking = np.maximum(max_drop - drop, 0)
    none = np.sqrt(square / rows)
    full = np.sqrt(np.maximum(square + unit * lacking - max_drop**2, 0) / rows)
    low = drop - unit / 2 / rows - quantile(FALSE_REFUSALS / judged) * none
    return low, drop + quantile(MISSED) * full


def quantile(share: float) -> float:
    """Returns the standard normal number that a share of all are over."""
    return NormalDist().inv_cdf(1 - share)
