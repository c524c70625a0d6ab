"""Tests that the caller's variables about Git, code and Python reach no process that `mlops` starts."""

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from machinery import PROJECT
from mlops.errors import MlopsError
from mlops.release import child_environment

STARTS = {
    *("run", "Popen", "call", "check_call", "check_output", "getoutput"),
    *("create_subprocess_exec", "create_subprocess_shell", "system", "popen"),
    *(f"exec{how}" for how in ("l", "le", "lp", "v", "ve", "vp", "vpe")),
    *("posix_spawn", "posix_spawnp", "spawnv", "spawnve"),
}
STARTERS = {"subprocess", "asyncio", "os"}
INHERITS = {
    "mlops/release/places/tethered.py": 2,  # hands on what it was given itself
    "mlops/process_group.py": 1,  # a tool of Windows
}
"""Calls without `env`."""
READS_OS_ENVIRON = {
    "mlops/release/child_environment.py",
    "mlops/release/follow/image.py",  # where pip's settings are
    "mlops/release/prove/doctor.py",  # where a service would listen
    "mlops/deploy/guard.py",  # knows nothing of release/ either
    "mlops/contract/measure.py",  # knows nothing of release/
    "mlops/predict/__init__.py",
    "mlops/service/__main__.py",  # settings of the service
    "mlops/batch/destinations/redis_store.py",  # a password
    "mlops/batch/destinations/postgresql.py",  # how long a connection may take
    "mlops/train/threads.py",  # how threads wait
    "mlops/text_table.py",  # whether colours are wanted
    "mlops/cli/clock.py",  # whether the terminal can erase a line
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted((PROJECT / "mlops").rglob("*.py")):
        yield file.relative_to(PROJECT).as_posix(), ast.parse(file.read_text())


def starts(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in STARTERS
            and node.func.attr in STARTS
            and f"{node.func.value.id}.{node.func.attr}" != "asyncio.run"
        ):
            yield node


def test_every_process_is_given_its_environment() -> None:
    inheriting = {
        name: count
        for name, tree in modules()
        if (
            count := sum("env" not in {word.arg for word in call.keywords} for call in starts(tree))
        )
    }
    assert inheriting == INHERITS
    assert sum(1 for _, tree in modules() for _ in starts(tree)) > 10


def test_no_module_starts_a_process_by_a_name_that_the_test_above_does_not_see() -> None:
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in STARTERS:
                assert not STARTS & {alias.name for alias in node.names}, name


def test_only_one_module_hands_the_environment_of_the_caller_on() -> None:
    reading = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv")
    }
    assert reading == READS_OS_ENVIRON


@pytest.fixture(autouse=True)
def caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the variables of a caller that was started by Git, from its own Python."""
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX", "GIT_COMMON_DIR"):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "A. Caller")
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -v")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setenv("PATH", "/conda/bin:/usr/bin")


def test_git_is_led_to_no_other_repository_and_keeps_who_commits_and_how_it_connects() -> None:
    variables = child_environment.for_command()
    git = {name: value for name, value in variables.items() if name.startswith("GIT_")}
    assert {"GIT_AUTHOR_NAME": "A. Caller", "GIT_SSH_COMMAND": "ssh -v"}.items() <= git.items()
    assert "/elsewhere" not in git.values()
    assert variables["PATH"] == "/conda/bin:/usr/bin"


def test_a_python_finds_the_code_first_and_this_interpreter(tmp_path: Path) -> None:
    variables = child_environment.for_python(tmp_path)
    assert variables["PYTHONPATH"] == str(tmp_path)
    assert "PYTHONSAFEPATH" not in variables
    assert variables["PATH"].split(os.pathsep) == [
        str(Path(sys.executable).parent), "/conda/bin", "/usr/bin",
    ]  # fmt: skip


def test_this_process_has_its_own_variables_again_afterwards(tmp_path: Path) -> None:
    before = dict(os.environ)
    with child_environment.in_this_process(tmp_path):
        assert os.environ == child_environment.for_python(tmp_path)
    assert dict(os.environ) == before


def test_an_interpreter_without_a_python_beside_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child_environment.require_python()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    with pytest.raises(MlopsError, match=r"run `python3 install\.py`, which makes \.venv"):
        child_environment.require_python()
