"""Library locks that an owner has changed: they are resolved again, and never merged as text."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from mlops.errors import Away, MlopsError
from mlops.release import child_environment
from mlops.release.history.git import Git
from mlops.release.places import process

FOLDER = "requirements"
ENTRY = re.compile(r"^([\w.-]+)==.*\n(?:[ \t]+.*\n?)*", re.MULTILINE)
COMMAND = ("make", "--no-print-directory", "lock", "INSTALL=:", "ACTIVATE=:")
"""Makefile's own way to write the locks, with the tools of the environment that runs now."""

OF_MAKE = re.compile(r"make lock: |make(\[\d+\])?: \*\*\* \[")
"""What make adds to the words of uv; within another make it counts its level in brackets."""

OUT_OF_REACH = re.compile(
    "Failed to fetch|could not be queried|network was disabled|Failed to read `--find-links`"
)
"""What uv says of an index that does not answer, refuses the user or may not be asked, and of a folder of
libraries that is missing."""


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


def write_locks(root: Path, remedy: str) -> None:
    """Writes the library locks of the working tree at `root` from its pyproject.toml, by `make lock`.

    Raises Away if the package index does not answer, and MlopsError if the libraries exclude each other, or
    one is unknown or mistyped; its message says with `remedy` what to do. The locks are then unchanged.
    """
    try:
        process.run_watched(COMMAND, root, child_environment.for_python(root))
    except subprocess.CalledProcessError as error:
        lines = error.output.strip().splitlines()
        words = "\n".join(line for line in lines if not OF_MAKE.match(line))
        if OUT_OF_REACH.search(words):
            raise Away(
                f"the libraries can't be resolved, since the package index can't be reached:\n{words}\n"
                "Nothing has changed: try again when it is in reach"
            ) from error
        raise MlopsError(
            f"the libraries can't be resolved:\n{words}\nNothing has changed: {remedy}"
        ) from error


def resolve(tree: Git, new: Mapping[str, str]) -> None:
    """Writes the locks of the working tree from its pyproject.toml and the pins that they hold.

    A lock that ends with the pins of the template's, which `new` holds by path, is the template's to the
    byte. Raises MlopsError and Away as `write_locks` does.
    """
    write_locks(
        tree.root,
        "change what your pyproject.toml asks for so that it goes with the template's libraries, commit, "
        "then again",
    )
    for path, text in new.items():
        file = tree.root / path
        if file.exists() and pins(file.read_text(encoding="utf-8")) == pins(text):
            file.write_text(text, encoding="utf-8", newline="\n")
