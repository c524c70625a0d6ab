"""The command `mlops`: its groups of commands, its exit codes, and its errors in one line each.

Exit codes: 0 done; 1 something is missing or broken; 2 wrong usage; 3 refused, the state does not
allow it; 4 a stage or gate said no, a reproduction differs, or too many rows were rejected; 5 what is
elsewhere is out of reach now. After any but 0, nothing is half-done.
"""

import sys

import typer

from mlops.cli import answers, batches, printing, releases, stages
from mlops.errors import MlopsError

GROUPS = {
    "Stages": stages.commands,
    "Releases": releases.commands,
    "Answers": answers.commands,
    "Batches": batches.commands,
}
"""The commands of each group, under the title that `mlops --help` gives it."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train, check and release models on the branches dev, staging and prod.",
)

for title, group in GROUPS.items():
    for command in group.registered_commands:
        command.rich_help_panel = title
    app.registered_commands += group.registered_commands


def main() -> None:
    """Runs the command that was asked for; an error that is known ends it with a line and its code."""
    try:
        app()
    except MlopsError as error:
        printing.complain(f"mlops: {error}")
        sys.exit(error.exit_code)
