"""A room is a set of libraries: what each may import, over all of its modules."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from small_project import PROJECT

FORBIDDEN = {
    "pipeline": {"release", "batch", "cli", "dvc", "git", "subprocess"},
    "batch": {"release", "pipeline", "cli", "dvc", "pandas", "sklearn"},
    "release": {"pipeline", "serving", "batch", "cli", "numpy", "onnxruntime", "pandas", "sklearn"},
}


def imported(file: Path) -> Iterator[str]:
    """The packages that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def imports_of(room: str) -> set[str]:
    return {name for file in (PROJECT / room).rglob("*.py") for name in imported(file)}


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_nothing_of_what_it_must_not_know(room: str) -> None:
    assert not imports_of(room) & FORBIDDEN[room]


def libraries(*groups: str) -> set[str]:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["dependency-groups"]
    names = [name for group in groups for name in declared[group] if isinstance(name, str)]
    return {name.replace("-", "_") for name in names}


def test_serving_imports_itself_and_the_libraries_of_its_lock() -> None:
    allowed = {"serving", *libraries("predict", "serve")}
    assert imports_of("serving") - sys.stdlib_module_names <= allowed


def loaded_by(modules: Iterable[str]) -> set[str]:
    process = subprocess.run(
        [sys.executable, "-c", f"import sys, {', '.join(modules)}; print(*sys.modules)"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in process.stdout.split()}


def test_serving_loads_no_other_room_and_none_of_their_libraries() -> None:
    modules = (f"serving.{file.stem}" for file in (PROJECT / "serving").glob("*.py"))
    others = {"pandas", "sklearn", "dvc", "pyarrow", "pipeline", "release", "batch", "cli"}
    assert not loaded_by(modules) & others


def test_what_other_rooms_predict_with_loads_nothing_of_the_service() -> None:
    modules = ("contract", "measure", "predictor", "profile", "release")
    service = libraries("serve") | {"pydantic"}
    assert not loaded_by(f"serving.{module}" for module in modules) & service


def test_only_the_door_knows_more_than_one_room() -> None:
    assert {"release", "serving"} <= set(imported(PROJECT / "cli.py"))
    assert "cli" not in imports_of("serving")
