"""Tells whether two models give the same answers for the same rows.

`python -m mlops.compare.agreement SCORES SCORES` reads the answers that mlops.compare.answer_rows wrote for
each model, and prints JSON: `rows`, how many rows there are; `flipped`, for how many the models predict
different classes; `apart`, the largest difference of a probability; `tolerance`, the largest that is allowed;
and whether the models `agree`. It refuses models whose positive classes differ, and answers that are NaN.
"""

import json
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops import errors
from mlops.errors import Incomparable
from mlops.metrics import refuse_unanswered

TOLERANCE = 1e-5
"""The largest difference of two probabilities that count as equal, the same as for an exported model and its
estimator."""


def main() -> None:
    one, other = map(read_answers, sys.argv[1:])
    if (first := str(one["positive"])) != (second := str(other["positive"])):
        raise Incomparable(f"the positive class of one model is {first!r}, of the other {second!r}")
    for answers in (one, other):
        refuse_unanswered(answers["probability"])
    flipped = int((one["predicted"] != other["predicted"]).sum())
    apart = float(np.abs(one["probability"] - other["probability"]).max(initial=0))
    report = {
        "rows": len(one["predicted"]),
        "flipped": flipped,
        "apart": apart,
        "tolerance": TOLERANCE,
        "agree": flipped == 0 and apart <= TOLERANCE,
    }
    print(json.dumps(report, allow_nan=False))


def read_answers(file: str) -> dict[str, NDArray[Any]]:
    """Returns the arrays that mlops.compare.answer_rows wrote, by name."""
    with np.load(file) as answers:
        return dict(answers)


if __name__ == "__main__":
    errors.report_errors(main)
