"""What the gates and the comparison with the champion say about a release, as lines and as reasons."""

from collections.abc import Iterator, Mapping
from typing import Any

from mlops.errors import counted

LIMITS = ("min", "max", "above_baseline", "below_baseline", "baseline", "rows")
"""What stands beside the value of a bound in reports/gate.json."""


def gate_lines(gate: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each bound of reports/gate.json."""
    for metric, result in bounded_metrics(gate):
        bounds = ", ".join(f"{name} {result[name]}" for name in LIMITS if name in result)
        yield f"{metric} {result.get('value')} ({bounds}) {verdict(result)}"


def comparison_lines(comparison: Mapping[str, Any] | None) -> Iterator[str]:
    """Yields a line for each metric that champion and challenger were compared by, and for each subgroup."""
    found = comparison or {}
    for metric, drop in (found.get("metrics") or {}).items():
        yield (
            f"{metric} {drop['champion']} -> {drop['challenger']}, advantage {drop['advantage']} "
            f"(95 % interval {drop['interval'][0]} to {drop['interval'][1]}, "
            f"max drop {drop['max_drop']}) {verdict(drop)}"
        )
    for name, drop in (found.get("subgroups") or {}).items():
        few = (
            f"not decided: about {drop['needed_rows']:,} rows are needed"
            if "needed_rows" in drop
            else ""
        )
        yield f"{subgroup_words(name, drop)} {few or verdict(drop)}"
    if found.get("left_out"):
        yield (
            f"compared on {counted(found['rows'], 'test row')}, without {found['left_out']:,} on which the "
            "champion was trained"
        )


def subgroup_words(name: str, drop: Mapping[str, Any]) -> str:
    return (
        f"{name}: drop {drop['drop']} on {counted(drop['rows'], 'row')} (interval {drop['interval'][0]} to "
        f"{drop['interval'][1]}, max drop {drop['max_drop']})"
    )


def gate_reasons(gate: Mapping[str, Any]) -> Iterator[str]:
    """Yields for each bound that has failed what is wrong, such as accuracy 0.76 is under 0.84."""
    for name, result in bounded_metrics(gate):
        if not result.get("passed"):
            yield f"{name} {result.get('reason', 'did not pass')}"


def drop_reasons(comparison: Mapping[str, Any]) -> Iterator[str]:
    """Yields for each metric by which the challenger is too much worse how it differs."""
    for metric, drop in comparison["metrics"].items():
        if not drop["passed"]:
            yield (
                f"{metric} was {drop['champion']} and is {drop['challenger']}, a drop of "
                f"{-drop['advantage']:.12g} where {drop['max_drop']} is allowed "
                f"(gate.max_drop; 95 % interval of the advantage {drop['interval']})"
            )
    for name, drop in (comparison.get("subgroups") or {}).items():
        if not drop["passed"]:
            yield f"{subgroup_words(name, drop)} (gate.subgroups)"


def bounded_metrics(gate: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((metric, result) for metric, result in gate.items() if isinstance(result, Mapping))


def verdict(result: Mapping[str, Any]) -> str:
    return "passed" if result.get("passed") else "FAILED"
