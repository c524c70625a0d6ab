"""Lines about what differs between two sets of values, such as two states of params.yaml."""

from collections.abc import Iterator, Mapping
from typing import Any


def flattened(content: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Returns each value by its dotted path."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        inner = isinstance(value, Mapping) and value
        found |= flattened(value, f"{path}{key}.") if inner else {f"{path}{key}": value}
    return found


def change_lines(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield change_line(name, before.get(name), after.get(name))


def change_line(name: str, before: object, after: object) -> str:
    old, new = ("none" if value is None else value for value in (before, after))
    return f"{name}: {old} -> {new}"
