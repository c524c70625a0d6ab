"""Tells whether two models give the same answers for the same rows.

`python -m mlops.compare.agreement SCORES SCORES [TEST]` reads the answers that mlops.compare.answer_rows
wrote for each model, and prints JSON: `rows`, how many rows there are on which neither was trained;
`left_out`, on how many one was trained; `flipped`, for how many the models predict different classes;
`apart`, the largest difference of a probability; `words` about both; `tolerance`, the largest difference that
is allowed; and whether the models `agree`. If they predict numbers, `apart` is the largest difference in
standard deviations of the target or, where that is less, relative to the distance of the number from its
mean, and `flipped` counts the rows that are further apart than the tolerance. With the file of the rows,
TEST, it also prints how many flipped rows are right with the second model alone (`gained`) or with the first
alone (`lost`), and `examples`: those that are furthest apart. It refuses models whose classes differ, and
answers that are NaN or infinite.
"""

import json
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet

from mlops import errors
from mlops.errors import Incomparable
from mlops.predict.task import refuse_unanswered

TOLERANCE = 1e-5
"""The largest difference of two probabilities that count as equal, the same as for an exported model and its
estimator."""

EXAMPLES = 5


Answers = dict[str, NDArray[Any]]


def main() -> None:
    one, other = map(read_answers, sys.argv[1:3])
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
        apart = np.abs(one["probabilities"] - other["probabilities"]).max(axis=1, initial=0)
        flipped = one["answers"] != other["answers"]
        words = "are called another class, and probabilities are up to {:.2g} apart"
    else:
        offset, factor = one["scale"]
        unit = np.maximum(np.abs(one["answers"] - offset), factor)
        apart = np.abs(one["answers"] - other["answers"]) / unit
        flipped = apart > TOLERANCE
        words = "get another number, and numbers are up to {:.2g} standard deviations apart"
    largest = float(apart.max(initial=0))
    report = {
        "rows": len(flipped),
        "left_out": int(seen.sum()),
        "flipped": int(flipped.sum()),
        "apart": largest,
        "words": words.format(largest),
        "tolerance": TOLERANCE,
        "agree": not flipped.any() and largest <= TOLERANCE,
    }
    for file in sys.argv[3:]:
        furthest = np.flatnonzero(flipped)[np.argsort(-apart[flipped], kind="stable")]
        report |= shown_rows(file, np.flatnonzero(~seen), (one, other), furthest)
    print(json.dumps(report, allow_nan=False, default=str))


def shown_rows(
    file: str,
    positions: NDArray[np.intp],
    pair: tuple[Answers, Answers],
    furthest: NDArray[np.intp],
) -> dict[str, Any]:
    """Returns how many of the flipped rows are right with one model alone, and those that are furthest apart.
    `positions` are the places of the answers in the file."""
    table = parquet.read_table(file)
    target = str(pair[1]["target"])
    actual = np.array(table[target].to_pylist())[positions]
    old, new = (answers["answers"] for answers in pair)
    counts = {}
    if len(pair[1]["classes"]):
        right = [np.count_nonzero(answers[furthest] == actual[furthest]) for answers in (new, old)]
        counts = dict(zip(("gained", "lost"), map(int, right), strict=True))
    examples = [
        {
            "row": int(positions[place]) + 1,
            "old": old[place].item(),
            "new": new[place].item(),
            "actual": actual[place].item(),
            "inputs": {
                name: table[name][int(positions[place])].as_py()
                for name in table.column_names
                if name != target
            },
        }
        for place in furthest[:EXAMPLES]
    ]
    return {**counts, "examples": examples}


def read_answers(file: str) -> Answers:
    """Returns the arrays that mlops.compare.answer_rows wrote, by name."""
    with np.load(file) as answers:
        return dict(answers)


if __name__ == "__main__":
    errors.report_errors(main)
