"""Writes the parameters of the best trial into params.yaml, and leaves the rest of the file as it is."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import Node

from mlops.errors import MlopsError
from mlops.trials import Trial

PARAMS = Path("params.yaml")
WORDS = ("true", "false", "yes", "no", "on", "off", "y", "n", "null")
"""Words that some version of YAML takes for something else than text."""


def parameters_of(trial: Trial) -> dict[str, Any]:
    """Returns the values of params.yaml that make the model of a trial, by their keys with dots."""
    architecture = trial.architecture
    train = {"architecture": architecture, "architectures": {architecture: trial.values}}
    return dict(leaves({"train": train}))


def write_winner(trial: Trial) -> bool:
    """Makes the parameters of a trial those of params.yaml, and returns whether that changed anything.

    Raises MlopsError if the file cannot be changed in place, such as one with aliases for these values.
    """
    values = parameters_of(trial)
    before = PARAMS.read_bytes().decode()
    after = with_values(before, values)
    wanted = dict(leaves(parsed(before))) | values
    try:
        is_right = dict(leaves(parsed(after))) == wanted
    except YAMLError:
        is_right = False
    if not is_right:
        written = ", ".join(f"{key}: {scalar(value)}" for key, value in values.items())
        raise MlopsError(
            f"{PARAMS} cannot be changed in place, since it repeats values by aliases or lacks a block: "
            f"write the values by hand: {written}"
        )
    PARAMS.write_bytes(after.encode())
    return after != before


def with_values(text: str, values: Mapping[str, Any]) -> str:
    """Returns a YAML text in which the scalars at these keys, which have dots, have other values, and every
    other character is as before. A scalar that has the value already stays as it is written."""
    document, present = YAML(typ="safe", pure=True).compose(text), dict(leaves(parsed(text)))
    changes = [
        (node.start_mark.index, node.end_mark.index, scalar(value))
        for key, value in values.items()
        if (node := node_at(document, key)) is not None and present.get(key) != value
    ]
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def node_at(node: Node | None, key: str) -> Node | None:
    for name in key.split("."):
        entries = {each.value: value for each, value in node.value} if node else {}
        node = entries.get(name)
    return node


def parsed(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def leaves(content: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each value that is no mapping, with its key, which has dots."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield from leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, content


def scalar(value: Any) -> str:
    """Returns the value in a form that every version of YAML reads as what it is: 1.0e-05, and not 1e-05."""
    if isinstance(value, str) and value.isidentifier() and value.lower() not in WORDS:
        return value
    text = json.dumps(value)
    if isinstance(value, float) and "." not in text:
        return text.replace("e", ".0e")
    return text
