"""Tells whether two models give the same answers for the same rows.

`python -m mlops.compare.agreement SCORES SCORES` reads the answers that mlops.compare.answer_rows wrote for
each model, and prints JSON: `rows`, how many rows there are on which neither was trained; `left_out`, on how
many one was trained; `flipped`, for how many the models predict different classes; `apart`, the largest
difference of a probability; `words` about both; `tolerance`, the largest difference that is allowed; and
whether the models `agree`. If they predict numbers, `apart` is the largest difference in standard deviations
of the target or, where that is less, relative to the distance of the number from its mean, and `flipped`
counts the rows that are further apart than the tolerance. It refuses models whose classes differ, and answers
that are NaN.
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
    seen = one["seen"] | other["seen"]
    if seen.any() and seen.all():
        raise Incomparable(
            f"each of the {len(seen)} test rows was one to train on for one of the models"
        )
    for answers in (one, other):
        answers |= {name: answers[name][~seen] for name in ("answers", "probabilities")}
    first, second = (each["classes"].tolist() for each in (one, other))
    if first != second:
        raise Incomparable(f"the classes of one model are {first}, of the other {second}")
    for answers in (one, other):
        refuse_unanswered(answers["probabilities" if first else "answers"])
    if first:
        apart = float(np.abs(one["probabilities"] - other["probabilities"]).max(initial=0))
        flipped = int((one["answers"] != other["answers"]).sum())
        words = f"are called another class, and probabilities are up to {apart:.2g} apart"
    else:
        offset, factor = one["scale"]
        unit = np.maximum(np.abs(one["answers"] - offset), factor)
        differences = np.abs(one["answers"] - other["answers"]) / unit
        apart, flipped = float(differences.max(initial=0)), int((differences > TOLERANCE).sum())
        words = f"get another number, and numbers are up to {apart:.2g} standard deviations apart"
    report = {
        "rows": len(one["answers"]),
        "left_out": int(seen.sum()),
        "flipped": flipped,
        "apart": apart,
        "words": words,
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
