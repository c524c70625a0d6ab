"""Library locks that an owner has changed: they are resolved again, and never merged as text."""

import re
import subprocess
from collections.abc import Mapping

from mlops.errors import Away, MlopsError
from mlops.release import child_environment
from mlops.release.history.git import Git
from mlops.release.places import process

FOLDER = "requirements"
ENTRY = re.compile(r"^([\w.-]+)==.*\n(?:[ \t]+.*\n?)*", re.MULTILINE)
COMMAND = ("make", "lock", "INSTALL=:", "ACTIVATE=:")
"""Makefile's own way to write the locks, with the tools of the environment that runs now."""


def entries(lock: str) -> dict[str, str]:
    """Returns the lines of each library of a lock; a library may have one entry for each platform."""
    found: dict[str, str] = {}
    for entry in ENTRY.finditer(lock):
        found[entry[1]] = found.get(entry[1], "") + entry[0].rstrip("\n") + "\n"
    return found


def pins(lock: str) -> list[str]:
    return [line.rstrip(" \\") for line in lock.splitlines() if "==" in line[:80] and line[0] > " "]


def preferred_pins(shipped: str, own: str, new: str) -> str:
    """Returns a lock with the pins to begin from: the template's new ones, and the project's own ones for
    libraries that the owner has added or pinned otherwise.

    The pins may exclude each other: uv leaves one where it has to.
    """
    before, ours, theirs = entries(shipped), entries(own), entries(new)
    chosen = {n: each for n, each in ours.items() if pins(before.get(n, "")) != pins(each)}
    return "".join(text for _, text in sorted({**theirs, **chosen}.items()))


def resolve(tree: Git, new: Mapping[str, str]) -> None:
    """Writes the locks of the working tree from its pyproject.toml and the pins that they hold.

    A lock that ends with the pins of the template's, which `new` holds by path, is the template's to the
    byte. Raises Away if the package index does not answer.
    """
    try:
        process.run_watched(COMMAND, tree.root, child_environment.for_python(tree.root))
    except subprocess.CalledProcessError as error:
        words = process.last_lines(error)
        if "No solution found" in words:
            raise MlopsError(
                f"your libraries and those of the template don't go together:\n{words}\nnothing has "
                "changed: loosen what pyproject.toml asks for, commit, then again"
            ) from error
        raise Away(
            f"`make lock` can't resolve the libraries again:\n{words}\nnothing has changed: try again "
            "when the package index is in reach"
        ) from error
    for path, text in new.items():
        file = tree.root / path
        if file.exists() and pins(file.read_text(encoding="utf-8")) == pins(text):
            file.write_text(text, encoding="utf-8", newline="\n")
