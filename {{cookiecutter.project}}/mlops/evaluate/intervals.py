"""How far a metric of the test rows may be from that of all rows like them."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops.metrics import METRICS, Values, measure, reported
from mlops.predict.schema import Schema
from mlops.predict.task import Predictions

GROUPS = 20
T = 2.093
"""The 97.5 % quantile of Student's distribution with GROUPS - 1 degrees of freedom."""

MEASURED = 20_000
"""The number of rows on which the spread of a metric is measured; that of more rows follows from it."""

Interval = tuple[float, float] | None
"""The lower and the upper end, or None where nothing is known of the spread: for a metric without a value,
for one that is the same whatever rows are left out, and for fewer than GROUPS rows."""


def intervals(
    schema: Schema, measured: Values, target: NDArray[Any], predictions: Predictions
) -> dict[str, Interval]:
    """Returns a 95 % interval for each metric of the task, by name, around `measured`, which are the values
    that `measure` returns for the same rows.

    The spread of a metric is that of its values without a twentieth of the rows (the jackknife with groups:
    Shao and Wu, The Annals of Statistics 17, 1989), which holds for every metric that changes little when few
    rows do.
    """
    if len(target) < GROUPS:
        return dict.fromkeys(METRICS[schema.task])
    every = np.arange(0, len(target), max(1, len(target) // MEASURED))
    parts = [np.delete(every, slice(group, None, GROUPS)) for group in range(GROUPS)]
    without = [measure(schema, target[kept], predictions.take(kept)) for kept in parts]
    found: dict[str, Interval] = {}
    for name, metric in METRICS[schema.task].items():
        value, values = measured[name], [each[name] for each in without]
        if value is None or None in values or len({*values}) == 1:
            found[name] = None
            continue
        spread = (GROUPS - 1) * np.var(np.array(values, float)) * len(every) / len(target)
        ends = value - T * math.sqrt(spread), value + T * math.sqrt(spread)
        low, high = (min(max(end, metric.least), metric.greatest) for end in ends)
        found[name] = reported(low, schema.task), reported(high, schema.task)
    return found
