"""Tests what holds a project on other systems than the one that the tests run on: macOS, Windows, ARM."""

import ast
from collections.abc import Iterator
from typing import TypeGuard

import pytest

from baking import TEMPLATE, UNBAKED

FILES = [*UNBAKED.rglob("mlops/**/*.py"), UNBAKED / "install.py", *TEMPLATE.glob("hooks/*.py")]
OPENERS = {"open", "fdopen", "NamedTemporaryFile", "TemporaryFile"}


def test_the_text_of_files_has_the_same_bytes_on_every_system() -> None:
    """Windows writes text in the code page of the user and ends lines with CRLF, unless it is told."""
    faults = [
        f"{file.relative_to(TEMPLATE)}:{call.lineno}: {fault}"
        for file in FILES
        for call, fault in faults_of(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert faults == []


@pytest.mark.parametrize(
    ("code", "faults"),
    [
        ("file.read_text()", ["no encoding"]),
        ("file.read_text(encoding='utf-8')", []),
        ("file.write_text(text)", ["no encoding", "no newline"]),
        ("file.write_text(text, encoding='utf-8')", ["no newline"]),
        ("open(file)", ["no encoding"]),
        ("open(file, 'rb')", []),
        ("file.open('a')", ["no encoding", "no newline"]),
        ("file.open('xb')", []),
        ("os.fdopen(number, 'w', encoding='utf-8', newline='')", []),
        ("os.open(file, os.O_RDONLY)", []),
        ("tempfile.TemporaryFile()", []),
        ("tempfile.TemporaryFile('w+')", ["no encoding", "no newline"]),
    ],
)
def test_the_rule_for_text_finds(code: str, faults: list[str]) -> None:
    assert [fault for _, fault in faults_of(ast.parse(code))] == faults


def faults_of(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Yields each call that reads or writes text and leaves the encoding, or the line ends, to the system."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        given = {keyword.arg for keyword in call.keywords}
        if (mode := mode_of(call)) and "b" not in mode:
            if "encoding" not in given:
                yield call, "no encoding"
            if set(mode) & set("wax+") and "newline" not in given:
                yield call, "no newline"


def mode_of(call: ast.Call) -> str:
    """Returns the mode in which a call opens a file, or "" if it names none: `os.open` has none, and the
    method `open` of a table's source is binary."""
    name = ast.unparse(call.func)
    method = name.rpartition(".")[2]
    if method in ("read_text", "write_text"):
        return method[0]
    if name == "open" and len(call.args) == 1:
        return "r"
    modes = [argument for argument in call.args if is_mode(argument)] if method in OPENERS else []
    return "".join(str(mode.value) for mode in modes)


def is_mode(argument: ast.expr) -> TypeGuard[ast.Constant]:
    text = argument.value if isinstance(argument, ast.Constant) else None
    return isinstance(text, str) and 0 < len(text) <= 3 and set(text) <= set("rwaxbt+")
