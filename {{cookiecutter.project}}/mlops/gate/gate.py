"""The stage gate compares the metrics of the test rows, and those of their subgroups, with the bounds of the
environment.

It reads reports/metrics.json and reports/subgroups.csv and writes reports/gate.json, which holds for each
bound the value, its limits, whether it passed and, if it did not, the reason.
"""

import csv
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlops.errors import GateFailed, printable_text, say
from mlops.params import (
    Bound,
    BoundWithBaseline,
    GateSettings,
    SubgroupSettings,
    load_configuration,
)

METRICS = Path("reports/metrics.json")
SUBGROUPS = Path("reports/subgroups.csv")
GATE = Path("reports/gate.json")

Result = dict[str, Any]
"""What a bound says: `value`, `passed`, the limits and, if it did not pass, the `reason`."""


def main() -> None:
    settings = load_configuration().environment.gate
    measured = json.loads(METRICS.read_text(encoding="utf-8"))
    results = judge_metrics(measured, settings)
    if settings.subgroups.bounds:
        with SUBGROUPS.open(encoding="utf-8", newline="") as file:
            results |= judge_subgroups([*csv.DictReader(file)], settings.subgroups)
    passed = all(result["passed"] for result in results.values())
    report = json.dumps({"passed": passed, **results}, indent=1, allow_nan=False)
    GATE.write_text(report + "\n", encoding="utf-8", newline="\n")
    if not passed:
        report_failures(results, settings)
    say("gate: passed" if passed else "gate: failed, which this environment only reports")


def judge_metrics(
    measured: Mapping[str, Mapping[str, Any]], settings: GateSettings
) -> dict[str, Result]:
    """Returns the result of each bound by metric. None passes if there are too few test rows."""
    found: dict[str, Result] = {}
    for metric, bound in settings.bounds.items():
        baseline = measured["baseline"][metric]
        found[metric] = judge_value(measured["test"][metric], bound, baseline)
        if few := too_few_rows(measured, settings.min_rows):
            found[metric] |= {"passed": False, "reason": few}
    return found


def too_few_rows(measured: Mapping[str, Mapping[str, Any]], least: int) -> str:
    """Returns why nothing can be said about the test rows, "" if they are enough."""
    by_class = measured["class_rows"] or {"": measured["test"]["rows"]}
    name, rows = min(by_class.items(), key=lambda item: item[1])
    if rows >= least:
        return ""
    of_class = f" of the class {name!r}" * bool(name)
    return f"cannot be judged: the number of test rows{of_class} is {rows:,}, and gate.min_rows is {least:,}"


def judge_subgroups(rows: list[dict[str, str]], settings: SubgroupSettings) -> dict[str, Result]:
    """Returns for each bounded metric the result of the subgroup that is farthest from passing, of those with
    enough rows. `rows` are those of reports/subgroups.csv."""
    large = [row for row in rows if int(row["rows"]) >= settings.min_rows]
    if not large:
        few = f"cannot be judged: no subgroup has {settings.min_rows:,} test rows (gate.subgroups.min_rows)"
        result = {"value": None, "passed": False, "reason": few}
        return {f"{metric} of subgroups": result for metric in settings.bounds}
    found: dict[str, Result] = {}
    for metric, bound in settings.bounds.items():
        value, group = min(
            ((float(row[metric] or "nan"), row) for row in large),
            key=lambda each: margin(each[0], bound),
        )
        found[f"{metric} of {group['group']}"] = {
            "rows": int(group["rows"]),
            **judge_value(value, bound),
        }
    return found


def margin(value: float, bound: Bound) -> float:
    """Returns by how much a value keeps a bound; it is negative if the value does not keep it."""
    if math.isnan(value):
        return -math.inf
    low = math.inf if bound.min is None else value - bound.min
    high = math.inf if bound.max is None else bound.max - value
    return min(low, high)


def judge_value(value: float | None, bound: Bound, baseline: float | None = None) -> Result:
    """Returns the result of a bound. A value that is None, NaN or infinite passes no bound, and is None in
    the result."""
    result: Result = {"value": value, **bound.model_dump(exclude_none=True)}
    if isinstance(bound, BoundWithBaseline) and bound.is_relative:
        result["baseline"] = baseline
    if value is None or not math.isfinite(value):
        result["value"], reasons = None, ["has no value for these test rows"]
    else:
        reasons = [*broken_limits(value, bound, baseline)]
    return result | ({"passed": False, "reason": reasons[0]} if reasons else {"passed": True})


def broken_limits(value: float, bound: Bound, baseline: float | None) -> Iterator[str]:
    """Yields what is wrong with a value for each limit that it does not keep."""
    if bound.min is not None and value < bound.min:
        yield f"{value} is under {bound.min}"
    if bound.max is not None and value > bound.max:
        yield f"{value} is over {bound.max}"
    if not isinstance(bound, BoundWithBaseline) or not bound.is_relative:
        return
    if baseline is None:
        yield "has no baseline for these test rows, and its bound is relative to one"
        return
    if bound.above_baseline is not None and value - baseline < bound.above_baseline:
        yield f"{value} is under {baseline_text(baseline, bound.above_baseline)}"
    if bound.below_baseline is not None and baseline - value < bound.below_baseline:
        yield f"{value} is over {baseline_text(baseline, -bound.below_baseline)}"


def baseline_text(baseline: float, more: float) -> str:
    return f"{baseline + more:.6g}, which is the baseline {baseline} {more:+g}"


def report_failures(results: Mapping[str, Result], settings: GateSettings) -> None:
    """Raises GateFailed that names each failed bound, or prints this if the environment only reports."""
    failures = "; ".join(
        f"{name} {result['reason']}" for name, result in results.items() if not result["passed"]
    )
    message = f"{failures} (gate of environments/*.yaml, which is changed on dev)"
    if settings.on_failure == "stop":
        raise GateFailed(message)
    print(printable_text(f"gate: {message}"), file=sys.stderr)
