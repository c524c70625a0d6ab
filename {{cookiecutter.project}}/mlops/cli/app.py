"""The command `mlops`: its groups of commands, its exit codes, and its errors in one line each.

Exit codes: 0 done; 1 something is missing or broken; 2 wrong usage; 3 refused, since the present state does
not allow it; 4 a stage or gate failed, a reproduction differs, or too many rows were rejected; 5 a database,
remote or cluster is unavailable; 141 nobody reads the output. After any code but 0 and 141, nothing is left
half done.
"""

import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.models import CommandInfo

import mlops
from mlops.cli import adoption, answers, batches, clock, printing, project, releases, stages
from mlops.cli.examples import EXAMPLES
from mlops.errors import MlopsError, UsageError, open_streams, system_fault

GROUPS = {
    "Stages": stages.commands,
    "Your table": adoption.commands,
    "Releases": releases.commands,
    "Answers": answers.commands,
    "Batches": batches.commands,
    "This project": project.commands,
}
"""The commands of each group, under the title that `mlops --help` gives it."""

EMPTY_OPTION = re.compile(r"--[\w-]+=")

WITHOUT_CLOCK = ("search", "serve", "watch")
"""The commands that say themselves how long they have been at work, or that run until they are ended."""


class Command(TyperCommand):
    """A command whose options are finite numbers: with nan, a bound would never be exceeded."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        for option in self.params:
            value = ctx.params.get(str(option.name))
            if isinstance(value, float) and not isfinite(value):
                raise typer.BadParameter(f"{value} is no finite number", ctx, option)
        return rest


app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


def name_of(command: CommandInfo) -> str:
    return command.name or str(command.callback and command.callback.__name__).replace("_", "-")


for title, group in GROUPS.items():
    for command in group.registered_commands:
        command.rich_help_panel, command.cls = title, Command
        if example := EXAMPLES.get(name_of(command)):
            command.epilog = f"Example: {example}"
    app.registered_commands += group.registered_commands


def show_version(asked: bool) -> None:
    if asked:
        printing.say(
            f"mlops {Path(mlops.__file__).with_name('VERSION').read_text(encoding='utf-8').strip()}"
        )
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Show the machinery's version."
        ),
    ] = False,
) -> None:
    """Train, check and release models on the branches dev, staging and prod."""
    if context.invoked_subcommand not in WITHOUT_CLOCK:
        context.with_resource(clock.running_clock())


def refuse_empty_arguments(words: Sequence[str]) -> None:
    """Raises UsageError for an argument without a value, with which a command would do what it does
    without the argument."""
    for before, word in pairwise(["", *words]):
        if not word or EMPTY_OPTION.fullmatch(word):
            place = word or (before if before.startswith("-") else "an argument")
            raise UsageError(
                f"{place.removesuffix('=')} is empty, perhaps from a variable that is not set: give a value, "
                "or leave it out"
            )


def main() -> None:
    """Runs the command; an MlopsError ends it with one line on standard error and its exit code.

    So does a full disk, a file that this user may not read or write, and a name that is too long.
    """
    open_streams()
    try:
        refuse_empty_arguments(sys.argv[1:])
        app()
    except MlopsError as error:
        printing.complain(f"mlops: {error}")
        sys.exit(error.exit_code)
    except OSError as error:
        printing.complain(f"mlops: {system_fault(error)}")
        sys.exit(MlopsError.exit_code)
