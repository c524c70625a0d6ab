"""Tests that every command has an example, of which its help ends, and that the example can be parsed."""

import re
import shlex

import pytest
import typer

from mlops.cli.app import app
from mlops.cli.examples import EXAMPLES

COMMANDS = typer.main.get_group(app).commands


def test_every_command_has_an_example_and_every_example_a_command() -> None:
    assert {*EXAMPLES} == {*COMMANDS}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_can_be_parsed_and_ends_the_help(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program, command, *words = shlex.split(EXAMPLES[name])
    assert (program, command) == ("mlops", name)
    COMMANDS[name].make_context(name, words)
    monkeypatch.setenv("COLUMNS", "200")
    app([name, "--help"], standalone_mode=False)
    shown = re.sub(r"\s+", " ", capsys.readouterr().out).strip()
    assert shown.endswith(f"Example: {EXAMPLES[name]}")
