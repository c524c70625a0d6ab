"""Tests that no number of an option leads beyond what a clock, a calendar or a machine can hold."""

from typing import Any

import pytest
import typer

from mlops.cli.app import app, refuse_empty_arguments
from mlops.errors import UsageError

COMMANDS = typer.main.get_group(app).commands
NUMBERS = [
    pytest.param(command, option, id=f"{name} {option.opts[0]}")
    for name, command in COMMANDS.items()
    for option in command.params
    if option.type.name.startswith(("int", "float"))
]


@pytest.mark.parametrize(("command", "option"), NUMBERS)
def test_a_number_has_a_least_value_and_one_of_time_a_greatest(
    command: typer.core.TyperCommand, option: Any
) -> None:
    assert getattr(option.type, "min", None) is not None
    is_time = option.metavar in ("SECONDS", "DAYS") or "days" in option.name
    assert option.type.max is not None or not (is_time or option.name == "minutes")


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "-NaN"])
@pytest.mark.parametrize(("command", "option"), NUMBERS)
def test_what_is_no_finite_number_is_refused_and_the_option_is_named(
    command: typer.core.TyperCommand,
    option: Any,
    text: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    needed = {"watch": ["in", "--to", "out"], "monitor": ["x"], "remove-batches": ["x"]}
    with pytest.raises(SystemExit) as ended:
        app([str(command.name), *needed.get(str(command.name), []), f"{option.opts[0]}={text}"])
    assert ended.value.code == 2
    assert f"Invalid value for '{option.opts[0]}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("watch", "in", "--to", "out", "--settle=-1"),
        ("watch", "in", "--to", "out", "--settle", "1e300"),
        ("watch", "in", "--to", "out", "--attempts", "0"),
        ("watch", "in", "--to", "out", "--pause", "0"),
        ("monitor", "sqlite:///x.db", "--days", "999999"),
        ("monitor", "sqlite:///x.db", "--label-days", "999999"),
        ("remove-batches", "sqlite:///x.db", "--older-than", "999999"),
        ("serve", "--every", "1e300"),
        ("search", "--minutes", "inf"),
    ],
)
def test_a_number_beyond_them_is_refused(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        app(words)
    assert ended.value.code == 2
    assert "is not in the range" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["rollback", "prod", "--to", ""], "--to is empty"),
        (["score", "a.csv", "--to="], "--to is empty"),
        (["watch", ""], "an argument is empty"),
    ],
)
def test_an_argument_without_a_value_is_refused(words: list[str], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        refuse_empty_arguments(words)
    refuse_empty_arguments(["tracker", "--where", "dataset=", "--format=json", "-f"])
