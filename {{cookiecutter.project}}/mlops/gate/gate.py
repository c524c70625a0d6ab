"""The stage gate compares the metrics of the test rows with the bounds of the environment.

It reads reports/metrics.json and writes reports/gate.json, which holds for each bounded metric its value, its
bounds and whether it passed.
"""

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops.errors import GateFailed, printable_text
from mlops.params import Bound, GateSettings, load_configuration

METRICS = Path("reports/metrics.json")
GATE = Path("reports/gate.json")


def main() -> None:
    settings = load_configuration().environment.gate
    measured = json.loads(METRICS.read_text(encoding="utf-8"))["test"]
    results = {
        metric: judge_metric(measured[metric], bound) for metric, bound in settings.bounds.items()
    }
    passed = all(result["passed"] for result in results.values())
    report = json.dumps({"passed": passed, **results}, indent=1, allow_nan=False)
    GATE.write_text(report + "\n", encoding="utf-8", newline="\n")
    if not passed:
        report_failures(results, settings)
    print("gate: passed" if passed else "gate: failed, which this environment only reports")


def judge_metric(value: float | None, bound: Bound) -> dict[str, Any]:
    """Returns the value, its bounds and whether it passes. A value that is None, NaN or infinite passes no
    bound, and is None in the result."""
    limits = bound.model_dump(exclude_none=True)
    if value is None or not math.isfinite(value):
        return {"value": None, **limits, "passed": False}
    low = bound.min is None or value >= bound.min
    high = bound.max is None or value <= bound.max
    return {"value": value, **limits, "passed": low and high}


def report_failures(results: Mapping[str, Mapping[str, Any]], settings: GateSettings) -> None:
    """Raises GateFailed that names each failed metric, or prints this if the environment only reports."""
    failures = "; ".join(
        f"{metric} {value_words(result['value'])} and must be {required_words(settings.bounds[metric])}"
        for metric, result in results.items()
        if not result["passed"]
    )
    message = f"{failures} (gate.bounds of environments/*.yaml, which are changed on dev)"
    if settings.on_failure == "stop":
        raise GateFailed(message)
    print(printable_text(f"gate: {message}"), file=sys.stderr)


def value_words(value: float | None) -> str:
    return "has no value for these test rows" if value is None else f"is {value}"


def required_words(bound: Bound) -> str:
    limits = [("at least", bound.min), ("at most", bound.max)]
    return " and ".join(f"{words} {limit}" for words, limit in limits if limit is not None)
