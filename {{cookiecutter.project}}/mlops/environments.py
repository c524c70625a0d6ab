"""The environments, from upstream to downstream, and branch.yaml, which names the environment of a branch."""

import re
from pathlib import Path

from mlops.errors import MlopsError, Refused, UsageError

CHAIN = ("dev", "staging", "prod")
FILE = "branch.yaml"
LINE = re.compile(r"environment:[ ]+([\"']?)(\S+?)\1(?:[ ]+#.*)?[ ]*")


def upstream(environment: str) -> str:
    """Returns the environment from which promotions to this one come. Raises Refused for dev."""
    position = CHAIN.index(known_environment(environment))
    if position == 0:
        raise Refused(f"nothing is promoted to {environment}: commit there, or merge a branch")
    return CHAIN[position - 1]


def known_environment(name: str) -> str:
    """Returns the name. Raises UsageError if it is not the name of an environment."""
    if name not in CHAIN:
        raise UsageError(f"{name!r} is not an environment; use one of {', '.join(CHAIN)}")
    return name


def parse_environment(text: str) -> str:
    """Returns the environment that the text of a branch.yaml names. Raises MlopsError if it names none."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    line = LINE.fullmatch(lines[0]) if len(lines) == 1 else None
    if not line or line[2] not in CHAIN:
        raise MlopsError(
            f"{FILE} says {' / '.join(lines) or 'nothing'!r}; it must hold one line, "
            f"`environment: ` and one of {', '.join(CHAIN)}"
        )
    return line[2]


def environment_of(root: Path) -> str:
    """Returns the environment of the working tree at `root`. Raises MlopsError if branch.yaml is missing."""
    try:
        return parse_environment((root / FILE).read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        raise MlopsError(
            f"{root / FILE} is missing; restore it: `git checkout HEAD -- {FILE}`"
        ) from None
    except IsADirectoryError:
        raise MlopsError(
            f"{root / FILE} is a folder; rename it, and restore the file: `git checkout HEAD -- {FILE}`"
        ) from None
