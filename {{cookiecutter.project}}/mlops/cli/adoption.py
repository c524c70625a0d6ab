"""The commands that give a project its table."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from mlops.cli import printing
from mlops.errors import UsageError
from mlops.release.history.git import Git

commands = typer.Typer()


@commands.command()
def adopt(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="CSV in any dialect, Parquet, Excel, JSON lines, or a folder of tables.",
        ),
    ] = None,
    *,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column to predict.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="binary, multiclass or regression, if it is not what was found."),
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="The sheet of a workbook.")] = None,
    names: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="The names of the columns, if the file has no header."),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="The encoding of the file, such as cp1250.")
    ] = None,
    sql: Annotated[
        str | None, typer.Option(metavar="QUERY", help="A query whose rows are the table.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="URL", help="sqlite:///file.db or postgresql://user@host/db."
        ),
    ] = None,
    drop_leaks: Annotated[
        bool, typer.Option("--drop-leaks", help="Leave out columns that tell the answer.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; take what is proposed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what was found, and change nothing.")
    ] = False,
) -> None:
    """Give the project another table: find out how it is written, declare it, and commit it.

    It replaces the table in data/raw, its declaration in params.yaml, the bounds in environments/ and the
    derived columns of other tables. The working tree must be clean; `git revert` undoes it.
    """
    from mlops.adopt.adopt import Order, adopt

    if task not in (None, "binary", "multiclass", "regression"):
        raise UsageError(f"--task {task}: it is one of binary, multiclass, regression")
    asks = not (yes or dry_run)
    if asks and not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask questions at: add --yes, or --dry-run to look first"
        )
    order = Order(
        paths or (),
        target,
        task,  # type: ignore[arg-type] # it was checked
        sheet,
        tuple(name.strip() for name in names.split(",")) if names else (),
        encoding,
        sql,
        url,
        drop_leaks,
        dry_run,
    )

    def ask(question: str, default: bool) -> bool:
        return typer.confirm(question, default=default, err=True) if asks else default

    def choose(question: str, known: Sequence[str]) -> str:
        return chosen(question, known) if asks else first_or_refused(question, known)

    adopt(Git.of_current_directory(), order, printing.say, ask, choose)


def chosen(question: str, known: Sequence[str]) -> str:
    """Returns which of the known texts a person at the terminal chooses, by its number or as it is."""
    for number, text in enumerate(known, 1):
        printing.complain(f"  {number} {text}")
    while True:
        answer = typer.prompt(question, err=True)
        if answer in known:
            return str(answer)
        if answer.isdecimal() and 0 < int(answer) <= len(known):
            return known[int(answer) - 1]


def first_or_refused(question: str, known: Sequence[str]) -> str:
    raise UsageError(f"{question} Say it: {', '.join(map(repr, known[:20]))}")
