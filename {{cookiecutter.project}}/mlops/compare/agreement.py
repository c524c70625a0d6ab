"""Whether two models answer the same for the same rows.

`python -m mlops.compare.agreement SCORES SCORES` reads what mlops.compare.answer_rows
wrote for each and prints JSON:
how many rows there are, how many were called another class, the largest difference of a probability.
It refuses models whose positive classes differ, and answers that are NaN.
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
"""How far apart two probabilities may be; as far as an exported model may be from its estimator."""


def main() -> None:
    one, other = map(read, sys.argv[1:])
    if (first := str(one["positive"])) != (second := str(other["positive"])):
        raise Incomparable(f"the positive class of one model is {first!r}, of the other {second!r}")
    for scores in (one, other):
        refuse_unanswered(scores["probability"])
    flipped = int((one["called"] != other["called"]).sum())
    apart = float(np.abs(one["probability"] - other["probability"]).max(initial=0))
    agree = flipped == 0 and apart <= TOLERANCE
    found = {"rows": len(one["called"]), "flipped": flipped, "apart": apart}
    print(json.dumps({**found, "tolerance": TOLERANCE, "agree": agree}, allow_nan=False))


def read(file: str) -> dict[str, NDArray[Any]]:
    with np.load(file) as scores:
        return dict(scores)


if __name__ == "__main__":
    errors.report_errors(main)
