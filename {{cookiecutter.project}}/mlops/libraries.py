"""Whether the libraries that a stage finds are those of its lock.

`python -m mlops.train` may be run by any Python: that of conda, or one whose libraries are older than
the lock. What it makes would then be recorded as made with the locked ones. The names of the
directories of metadata are compared, since reading the metadata would take longer than some stages.
"""

import operator
import os
import platform
import re
import sys
from pathlib import Path

from mlops.errors import OtherLibraries

LOCKS = {
    **dict.fromkeys(("prepare", "train", "evaluate"), Path("requirements/train.txt")),
    "deploy": Path("requirements/serve.txt"),
}
"""The lock among the `deps` of each stage in dvc.yaml; the others have none."""

PIN = re.compile(r"^([\w.-]+)(?:\[.*?\])?==([^\s;\\]+)(?: ; ([^\\\n]+?))? *\\?$", re.MULTILINE)
METADATA = re.compile(r"(.+?)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")
CLAUSE = re.compile(r"(\w+) (==|!=|<|<=|>|>=) '([^']*)'")
COMPARED = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NUMBERS = re.compile(r"\d+(\.\d+){0,2}")
PYTHON = {
    "python_full_version": tuple(sys.version_info[:3]),
    "python_version": (*sys.version_info[:2], 0),
}


def check_libraries(stage: str) -> None:
    """Raises OtherLibraries for the first that is missing, or there in another version than locked."""
    lock = LOCKS.get(stage)
    if lock is None or not lock.exists():
        return
    found = installed_versions()
    for name, version in pinned_versions(lock.read_text(encoding="utf-8")).items():
        if found.get(name) != version and (there := other_version(name, version)):
            raise OtherLibraries(
                f"{there} installed for {sys.executable}, where {lock} asks for {version}: "
                "`make install` on this branch, then `mlops repro`"
            )


def other_version(name: str, locked: str) -> str:
    """What is there instead, as words; empty where it is only spelled in another way, as 2026.06."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is not"
    return "" if is_same(found, locked) else f"{name} {found} is"


def is_same(found: str, locked: str) -> bool:
    try:
        from packaging.version import InvalidVersion, Version
    except ImportError:
        return found == locked
    try:
        return Version(found) == Version(locked)
    except InvalidVersion:
        return False


def installed_versions() -> dict[str, str]:
    """The version of each library on the import path, by normal name; the first that is found counts."""
    versions: dict[str, str] = {}
    for place in filter(Path.is_dir, map(Path, sys.path)):
        for entry in place.iterdir():
            if described := METADATA.fullmatch(entry.name):
                versions.setdefault(normal_name(described[1]), described[2])
    return versions


def pinned_versions(lock: str) -> dict[str, str]:
    """The version of each library that a lock asks for here; where its marker can be read, that is."""
    return {
        normal_name(name): version
        for name, version, marker in PIN.findall(lock)
        if not marker or applies(marker)
    }


def applies(marker: str) -> bool:
    return any(all(map(clause_holds, each.split(" and "))) for each in marker.split(" or "))


def clause_holds(clause: str) -> bool:
    read = CLAUSE.fullmatch(clause)
    if not read:
        return False
    variable, compared, value = read[1], COMPARED[read[2]], read[3]
    if variable in PYTHON:
        return bool(NUMBERS.fullmatch(value) and compared(PYTHON[variable], version_numbers(value)))
    texts = {
        "sys_platform": lambda: sys.platform,
        "os_name": lambda: os.name,
        "platform_system": platform.system,
        "platform_machine": platform.machine,
        "implementation_name": lambda: sys.implementation.name,
        "platform_python_implementation": platform.python_implementation,
    }
    return variable in texts and bool(compared(texts[variable](), value))


def version_numbers(version: str) -> tuple[int, ...]:
    """Three, so that 3.12 is 3.12.0."""
    return tuple(map(int, f"{version}.0.0".split(".")[:3]))


def normal_name(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()
