"""What a bundle costs: `python -m serving.measure BUNDLE` prints it as JSON."""

import json
import sys
import time
from pathlib import Path
from statistics import median

from serving.inputs import Columns
from serving.predictor import Predictor
from serving.rows import columns_of

ATTEMPTS = 50


def measured(bundle: Path) -> dict[str, float]:
    """Milliseconds for one row, the median of ATTEMPTS, and megabytes of the bundle's files."""
    predictor = Predictor(bundle)
    row = columns_of([predictor.schema.example()], predictor.schema)
    return {
        "milliseconds": round(median(seconds(predictor, row) for _ in range(ATTEMPTS)) * 1000, 3),
        "megabytes": megabytes(bundle),
    }


def seconds(predictor: Predictor, row: Columns) -> float:
    start = time.perf_counter()
    predictor.predict(row)
    return time.perf_counter() - start


def megabytes(bundle: Path) -> float:
    return round(sum(file.stat().st_size for file in bundle.iterdir()) / 1e6, 3)


if __name__ == "__main__":
    print(json.dumps(measured(Path(sys.argv[1]))))
