"""Checks that a stage runs with the libraries of its library lock.

`python -m mlops.train` may be run by any Python: that of conda, or one whose libraries are older than
the lock. DVC would then record the results as made with the locked libraries. The check compares the names
of the metadata directories, because reading the metadata would take longer than some stages.
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
"""The library lock among the `deps` of each stage in dvc.yaml. The stage gate has none."""

PIN = re.compile(r"^([\w.-]+)(?:\[.*?\])?==([^\s;\\]+)(?: ; ([^\\\n]+?))? *\\?$", re.MULTILINE)
METADATA = re.compile(r"(.+?)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")
CLAUSE = re.compile(r"(\w+) (==|!=|<|<=|>|>=) '([^']*)'")
OPERATORS = {
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
    """Raises OtherLibraries for the first library of the lock that is missing, or that is installed in
    another version."""
    lock = LOCKS.get(stage)
    if lock is None or not lock.exists():
        return
    installed = installed_versions()
    for name, version in pinned_versions(lock.read_text(encoding="utf-8")).items():
        if installed.get(name) != version and (difference := describe_difference(name, version)):
            raise OtherLibraries(
                f"{difference} installed for {sys.executable}, but {lock} asks for {version}: "
                "`make install` on this branch, then `mlops repro`"
            )


def describe_difference(name: str, locked: str) -> str:
    """Returns what is installed instead of the locked version, as the beginning of a sentence; "" if the
    installed version is the same in another spelling, such as 2026.06 for 2026.6."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version(name)
    except PackageNotFoundError:
        return f"{name} is not"
    return "" if are_equal_versions(installed, locked) else f"{name} {installed} is"


def are_equal_versions(installed: str, locked: str) -> bool:
    try:
        from packaging.version import InvalidVersion, Version
    except ImportError:
        return installed == locked
    try:
        return Version(installed) == Version(locked)
    except InvalidVersion:
        return False


def installed_versions() -> dict[str, str]:
    """Returns the version of each library on the import path, by normal name. If a library is there twice,
    the first one counts, as it does for an import."""
    versions: dict[str, str] = {}
    for folder in filter(Path.is_dir, map(Path, sys.path)):
        for entry in folder.iterdir():
            if match := METADATA.fullmatch(entry.name):
                versions.setdefault(normal_name(match[1]), match[2])
    return versions


def pinned_versions(lock: str) -> dict[str, str]:
    """Returns the version of each library that the text of a lock asks for on this machine, by normal name.
    A library whose marker has a form that is not known here is left out."""
    return {
        normal_name(name): version
        for name, version, marker in PIN.findall(lock)
        if not marker or marker_applies(marker)
    }


def marker_applies(marker: str) -> bool:
    return any(all(map(clause_holds, each.split(" and "))) for each in marker.split(" or "))


def clause_holds(clause: str) -> bool:
    match = CLAUSE.fullmatch(clause)
    if not match:
        return False
    variable, compare, value = match[1], OPERATORS[match[2]], match[3]
    if variable in PYTHON:
        return bool(NUMBERS.fullmatch(value) and compare(PYTHON[variable], version_numbers(value)))
    texts = {
        "sys_platform": lambda: sys.platform,
        "os_name": lambda: os.name,
        "platform_system": platform.system,
        "platform_machine": platform.machine,
        "implementation_name": lambda: sys.implementation.name,
        "platform_python_implementation": platform.python_implementation,
    }
    return variable in texts and bool(compare(texts[variable](), value))


def version_numbers(version: str) -> tuple[int, ...]:
    """Returns the three numbers of a version; 3.12 is 3.12.0."""
    return tuple(map(int, f"{version}.0.0".split(".")[:3]))


def normal_name(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()
