"""A room is a set of libraries: what each may import, over all of its modules."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from machinery import PROJECT

MACHINERY = PROJECT / "mlops"
TRAINING = {"pandas", "sklearn"}
FORBIDDEN = {
    **{room: {"dvc"} for room in ("prepare", "train", "evaluate", "gate", "compare")},
    "predict": {"dvc", "pyarrow", "pydantic", *TRAINING},
    "contract": {"dvc", "pyarrow", "pydantic", *TRAINING},
    "batch": {"dvc", *TRAINING},
    "release": {"numpy", "onnxruntime", *TRAINING},
}


def imported(file: Path) -> Iterator[str]:
    """The packages that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def imports_of(room: str) -> set[str]:
    return {name for file in (MACHINERY / room).rglob("*.py") for name in imported(file)}


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_no_library_that_it_must_not_know(room: str) -> None:
    assert not imports_of(room) & FORBIDDEN[room]


def libraries(*groups: str) -> set[str]:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["dependency-groups"]
    names = [name for group in groups for name in declared[group] if isinstance(name, str)]
    return {name.replace("-", "_") for name in names}


@pytest.mark.parametrize("room", ["predict", "contract", "service"])
def test_what_answers_imports_itself_and_the_libraries_of_its_lock(room: str) -> None:
    allowed = {"mlops", "science", *libraries("predict", "serve")}
    assert imports_of(room) - sys.stdlib_module_names <= allowed


def loaded_by(modules: Iterable[str]) -> set[str]:
    process = subprocess.run(
        [sys.executable, "-c", f"import sys, {', '.join(modules)}; print(*sys.modules)"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in process.stdout.split()}


def modules(room: str) -> list[str]:
    return [f"mlops.{room}.{file.stem}" for file in (MACHINERY / room).glob("[!_]*.py")]


def test_the_service_loads_no_library_of_other_rooms() -> None:
    others = {"pandas", "sklearn", "dvc", "pyarrow"}
    assert not loaded_by(modules("service")) & others


def test_what_other_rooms_predict_with_loads_nothing_of_the_service() -> None:
    service = libraries("serve") | {"pydantic"}
    assert not loaded_by([*modules("predict"), *modules("contract")]) & service
