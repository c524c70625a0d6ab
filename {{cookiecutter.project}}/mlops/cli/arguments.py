"""Arguments that several groups of commands share."""

from collections.abc import Callable
from typing import Annotated, Literal

import typer

from mlops.cli import printing

Form = Annotated[Literal["text", "json"], typer.Option("--format", help="How to print.")]

Run = Annotated[
    bool,
    typer.Option(
        "--run", help="Run the code of commits that no environment's branch holds, without asking."
    ),
]


def permission(run: bool) -> Callable[[str], bool]:
    """Returns a function that says whether foreign code may be run: by --run, or by a person who is asked."""
    return lambda question: run or printing.ask(question)


def chosen_revision(environment: str | None, version: str | None) -> str:
    """Returns the environment or version that was given, or prod. Raises BadParameter if both were."""
    if environment and version:
        raise typer.BadParameter("give --version or --environment, not both")
    return version or environment or "prod"
