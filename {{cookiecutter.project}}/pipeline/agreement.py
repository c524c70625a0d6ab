"""Whether two models answer the same for the same rows.

`python -m pipeline.agreement SCORES SCORES` reads what pipeline.rescore wrote for each and prints JSON:
how many rows there are, how many were called another class, the largest difference of a probability.
"""

import json
import sys

import numpy as np

TOLERANCE = 1e-5
"""How far apart two probabilities may be; as far as an exported model may be from its estimator."""


def main() -> None:
    one, other = (np.load(file) for file in sys.argv[1:])
    flipped = int((one["called"] != other["called"]).sum())
    apart = float(np.abs(one["probability"] - other["probability"]).max(initial=0))
    agree = flipped == 0 and apart <= TOLERANCE
    found = {"rows": len(one["called"]), "flipped": flipped, "apart": apart}
    print(json.dumps({**found, "tolerance": TOLERANCE, "agree": agree}))


if __name__ == "__main__":
    main()
