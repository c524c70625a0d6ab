"""Tests that all that mlops prints passes `printable_text`, which a terminal would otherwise obey."""

import ast
from collections.abc import Iterator

import pytest

from baking import UNBAKED

DOORS = {"printable_text", "json.dumps", "ascii"}
RENDERED = {"shown_table"}
"""A table whose cells pass `printable_text` one by one."""


def test_whatever_is_printed_is_printable() -> None:
    faults = [
        f"{file.relative_to(UNBAKED)}:{line}"
        for file in UNBAKED.rglob("mlops/**/*.py")
        for line in unguarded_lines(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert faults == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("print(f'read {path}')", [1]),
        ("print(error, file=sys.stderr)", [1]),
        ("print('a', line)", [1]),
        ("sys.exit(str(error))", [1]),
        ("sys.stderr.write(line)", [1]),
        ("warnings.warn(line)", [1]),
        ("typer.echo(line)", [1]),
        ("console.print(line)", [1]),
        ("print(printable_text(line), flush=True)", []),
        ("said = printable_text(line)\nprint(said)", []),
        ("print('done' if passed else 'failed')", []),
        ("sys.exit(main())", []),
        ("sys.exit(error.exit_code)", []),
    ],
)
def test_the_rule_finds(code: str, lines: list[int]) -> None:
    assert [*unguarded_lines(ast.parse(code))] == lines


def unguarded_lines(tree: ast.AST) -> Iterator[int]:
    """Yields the line of each call that prints what did not pass one of DOORS."""
    named = {
        target.id
        for assigned in ast.walk(tree)
        if isinstance(assigned, ast.Assign) and is_guarded(assigned.value, set())
        for target in assigned.targets
        if isinstance(target, ast.Name)
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and any(
            not is_guarded(each, named) for each in printed_by(call)
        ):
            yield call.lineno


def printed_by(call: ast.Call) -> list[ast.expr]:
    name = ast.unparse(call.func)
    if name == "sys.exit":
        return [each for each in call.args if not is_exit_code(each)]
    printers = ("sys.stdout.write", "sys.stderr.write", "warnings.warn", "typer.echo")
    is_printer = name == "print" or name.endswith(".print") or name in printers
    return call.args if is_printer else []


def is_exit_code(argument: ast.expr) -> bool:
    return ast.unparse(argument) in ("code", "NOBODY_READS") or ast.unparse(argument).endswith(
        ("exit_code", "main()", "main(*sys.argv[1:])")
    )


def is_guarded(printed: ast.expr, named: set[str]) -> bool:
    match printed:
        case ast.Constant():
            return True
        case ast.Name():
            return printed.id in named
        case ast.IfExp():
            return is_guarded(printed.body, named) and is_guarded(printed.orelse, named)
        case ast.Subscript():
            return is_guarded(printed.value, named)
        case ast.Call():
            return ast.unparse(printed.func) in DOORS | RENDERED
    return False
