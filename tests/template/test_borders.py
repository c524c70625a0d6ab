"""Tests which rooms may import which rooms and libraries: the arrows have one direction, and there is no
circle."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from machinery import PROJECT
from mlops.batch.engines import dask_engine
from mlops.release.follow import deployment
from mlops.release.history import versions

TRAINING = "errors params predict provenance stage tables"
RELEASE = "environments errors file_lock process_group release release.history yaml_faults"
ARROWS = {
    "architectures": "predict",
    "errors": "",
    "environments": "errors",
    "file_lock": "",
    "process_group": "",
    "log_stream": "",
    "text_table": "errors",
    "yaml_faults": "",
    "libraries": "errors",
    "stage": "errors libraries",
    "metrics": "errors predict",
    "params": "architectures errors metrics predict science.architectures yaml_faults",
    "provenance": "params predict",
    "declared": "errors params",
    "predict": "errors predict.derived science.features",
    "predict.derived": "",
    "contract": "errors predict",
    "tables": "errors predict",
    "prepare": TRAINING,
    "train": f"{TRAINING} architectures predict.derived science.architectures",
    "evaluate": f"{TRAINING} metrics",
    "gate": TRAINING,
    "deploy": f"{TRAINING} contract environments",
    "compare": f"{TRAINING} metrics prepare",
    "trials": "errors",
    "search": f"{TRAINING} architectures file_lock metrics text_table train trials",
    "service": "contract errors log_stream predict",
    "batch": "contract errors file_lock predict process_group tables text_table",
    "release": "errors",
    "release.history": "environments errors release yaml_faults",
    "release.places": RELEASE,
    "release.data": f"{RELEASE} deploy",
    "release.promote": f"{RELEASE} release.data release.places",
    "release.follow": f"{RELEASE} log_stream release.data release.places",
    "release.look": f"{RELEASE} release.data release.follow release.promote trials",
    "release.update": f"{RELEASE} release.data release.places",
    "release.prove": f"{RELEASE} deploy libraries release.data release.follow release.places release.update",
    "adopt": "environments errors params predict prepare release.data release.history tables",
    "site": f"{RELEASE} release.data release.look release.promote trials",
    "notebook": "errors metrics predict predict.derived release.follow release.history release.look "
    "science.architectures science.features site tables train",
    "cli": f"adopt batch site tables {RELEASE} release.data release.follow release.look release.promote "
    "release.prove release.update search text_table trials",
    "science.features": "predict.derived",
    "science.architectures": "architectures",
}
PROCESSES = {
    "batch": "batch",
    "cli": "batch cli service",
    "declared": "science.architectures science.features",
    "deploy": "",
    "release.data": "declared",
    "notebook": "service",
    "search": "search",
    "contract": "contract",
    "release.promote": "compare contract release.promote",
    "release.follow": "service",
    "release.look": "compare",
    "release.update": "release.data",
    "release.prove": "compare release.data release.prove",
}
"""Modules that a room runs as processes of their own, or loads by name."""

FORBIDDEN = {
    **{room: {"dvc"} for room in ("tables", "prepare", "train", "evaluate", "gate", "compare")},
    "predict": {"dvc", "pyarrow", "pydantic", "pandas", "sklearn"},
    "contract": {"dvc", "pyarrow", "pydantic", "pandas", "sklearn"},
    "batch": {"dvc", "pandas", "sklearn"},
    "release": {"numpy", "onnxruntime", "pandas", "sklearn"},
}
DVC = {"dvc", "dvc_data", "dvc_objects", "dvc_render", "dvc_task", "scmrepo"}


def dotted(file: Path) -> str:
    path = file.relative_to(PROJECT).with_suffix("").as_posix()
    return path.removesuffix("/__init__").replace("/", ".")


FILES = {
    dotted(file): file
    for folder in ("mlops", "science")
    for file in sorted((PROJECT / folder).rglob("*.py"))
}


def module(name: str) -> str:
    """The module that a dotted name leads to, which may go on into it."""
    while name not in FILES:
        name = name.rpartition(".")[0]
    return name


def imports(file: Path) -> Iterator[str]:
    """Returns the dotted names of all that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def named(file: Path) -> Iterator[str]:
    """Returns the modules of the project that a module names in strings."""
    for node in ast.walk(ast.parse(file.read_text())):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and re.fullmatch(r"(mlops|science)(\.\w+)+", text):
            yield module(text)


def ours(names: Iterable[str]) -> set[str]:
    return {module(name) for name in names if name.split(".")[0] in ("mlops", "science")}


def room(name: str) -> str:
    """`mlops.release.data.store` is of the room release.data, `mlops.params` a room of its own; so is
    `mlops.predict.derived`, which science/features.py imports and which imports nothing."""
    parts = name.split(".")
    if parts[0] == "science":
        return name
    deep = name == "mlops.predict.derived" or (
        parts[1] == "release" and len(parts) > 2 and (PROJECT / "/".join(parts[:3])).is_dir()
    )
    return ".".join(parts[1:3] if deep else parts[1:2])


MODULES = [name for name in FILES if name not in ("mlops", "science")]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_of_other_rooms_only_what_it_may(name: str) -> None:
    found = {room(other) for other in ours(imports(FILES[name])) if other != "mlops"}
    assert found - {room(name)} <= {*ARROWS[room(name)].split()}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_names_in_strings_only_what_it_may(name: str) -> None:
    found = {room(other) for other in named(FILES[name]) if other != "mlops"}
    assert found <= {*PROCESSES.get(room(name), "").split()}


def test_rooms_have_no_circle() -> None:
    TopologicalSorter({name: arrows.split() for name, arrows in ARROWS.items()}).prepare()


def test_modules_have_no_circle() -> None:
    TopologicalSorter(
        {name: ours(imports(file)) - {name} for name, file in FILES.items()}
    ).prepare()


@pytest.mark.parametrize(
    "group", ["adoption", "stages", "releases", "answers", "batches", "project"]
)
def test_a_group_of_commands_imports_no_other_group(group: str) -> None:
    own = {name for name in ours(imports(FILES[f"mlops.cli.{group}"])) if room(name) == "cli"}
    shared = {f"mlops.cli.{name}" for name in ("arguments", "clock", "printing")}
    assert own <= {"mlops.cli", *shared}


def libraries_of(where: str) -> set[str]:
    files = (PROJECT / "mlops" / where).rglob("*.py")
    return {name.split(".")[0] for file in files for name in imports(file)}


@pytest.mark.parametrize("where", FORBIDDEN)
def test_a_room_imports_no_library_that_it_must_not_know(where: str) -> None:
    assert not libraries_of(where) & FORBIDDEN[where]


def test_libraries_of_dvc_are_imported_in_one_room() -> None:
    importers = {
        room(name)
        for name, file in FILES.items()
        if name != "mlops" and {each.split(".")[0] for each in imports(file)} & DVC
    }
    assert importers == {"release.data"}


def closure(*names: str) -> set[str]:
    """Returns the files of modules and of all that they import in turn, packages included."""
    found, waiting = set[str](), [*names]
    while waiting:
        name = waiting.pop()
        if name and name not in found:
            found.add(name)
            waiting += [*ours(imports(FILES[name])), *named(FILES[name]), name.rpartition(".")[0]]
    return {FILES[name].relative_to(PROJECT).as_posix() for name in found}


def covered(file: str, parts: Iterable[str]) -> bool:
    return any(file == part or file.startswith(f"{part}/") for part in parts)


@pytest.mark.parametrize(
    ("modules", "parts"),
    [
        (["mlops.service.__main__", "mlops.service.ask"], deployment.SERVICE),
        (
            [
                "mlops.batch.score",
                "mlops.batch.monitoring.monitor",
                "mlops.batch.monitoring.labels",
            ],
            deployment.PARTS,
        ),
        (["mlops.batch.engines.dask_engine"], dask_engine.PARTS),
    ],
    ids=["service", "batch", "worker"],
)
def test_what_is_sent_away_has_all_that_it_imports(modules: list[str], parts: list[str]) -> None:
    assert [file for file in sorted(closure(*modules)) if not covered(file, parts)] == []


def test_what_answers_is_code_that_the_service_runs() -> None:
    without = {
        "mlops/__init__.py",
        "mlops/errors.py",
        "mlops/log_stream.py",
        "science/__init__.py",
    }
    code = closure("mlops.service.__main__") - without
    assert [file for file in sorted(code) if not covered(file, versions.CODE)] == []


def libraries(*groups: str) -> set[str]:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["dependency-groups"]
    names = [name for group in groups for name in declared[group] if isinstance(name, str)]
    return {name.replace("-", "_") for name in names}


@pytest.mark.parametrize("where", ["predict", "contract", "service"])
def test_what_answers_imports_itself_and_the_libraries_of_its_lock(where: str) -> None:
    allowed = {"mlops", "science", *libraries("predict", "serve")}
    assert libraries_of(where) - sys.stdlib_module_names <= allowed


def loaded_by(where: str) -> set[str]:
    files = (PROJECT / "mlops" / where).glob("[!_]*.py")
    names = ", ".join(dotted(file) for file in files)
    process = subprocess.run(
        [sys.executable, "-c", f"import sys, {names}; print(*sys.modules)"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in process.stdout.split()}


def test_the_service_loads_no_library_of_other_rooms() -> None:
    assert not loaded_by("service") & {"pandas", "sklearn", "dvc", "pyarrow"}


@pytest.mark.parametrize("where", ["predict", "contract"])
def test_what_other_rooms_predict_with_loads_nothing_of_the_service(where: str) -> None:
    assert not loaded_by(where) & (libraries("serve") | {"pydantic"})
