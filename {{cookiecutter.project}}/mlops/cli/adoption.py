"""The commands that give a project its table."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from mlops.cli import clock, printing
from mlops.errors import UsageError, printable_text
from mlops.release.history.git import Git

if TYPE_CHECKING:
    from mlops.adopt.dialogue import Dialogue

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
        Literal["binary", "multiclass", "regression"] | None,
        typer.Option(help="The task, if it is not the one that was found."),
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="The sheet of a workbook.")] = None,
    header: Annotated[
        int | None,
        typer.Option(min=0, metavar="LINE", help="The line of the header; 0 if there is none."),
    ] = None,
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
    form: Annotated[
        Literal["text", "json"],
        typer.Option("--format", help="How to print what was found, with --dry-run."),
    ] = "text",
) -> None:
    """Give the project another table: find out how it is written, declare it, and commit it.

    It replaces the table in data/raw, its declaration in params.yaml, the bounds in environments/ and the
    derived columns of other tables. The working tree must be clean; `git revert` undoes it.
    """
    from mlops.adopt import adopt as adoption
    from mlops.adopt.layout import Header

    if form == "json" and not dry_run:
        raise UsageError("--format json prints what was found and asks nothing: add --dry-run")
    order = adoption.Order(
        paths or (),
        target,
        task,
        sheet,
        Header(header, tuple(map(str.strip, names.split(","))) if names else ()),
        encoding,
        sql,
        url,
        drop_leaks,
    )
    person = dialogue(asked=not (yes or dry_run))
    if not dry_run:
        adoption.adopt(Git.of_current_directory(), order, person)
        return
    found = adoption.look(order, person)
    if form == "json":
        printing.say_json(adoption.facts(*found))
        return
    for line in adoption.summary(*found):
        printing.say(line)
    printing.say("nothing was changed (--dry-run)")


@commands.command()
def data(
    action: Annotated[str, typer.Argument(metavar="add", help="What to do with the table.")],
    paths: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="New rows: CSV, Parquet, Excel or JSON lines."),
    ],
    *,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="FILEs were scored into this database: add the rows of which it has labels.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="With --labels: the --key of `mlops score`."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing, and add the rows.")
    ] = False,
) -> None:
    """Add files of new rows to the table, after showing what they change: `mlops data add FILE...`."""
    from mlops.adopt import addition

    if action != "add":
        raise UsageError(f"mlops data {action}: there is only `mlops data add FILE...`")
    if key and not labels:
        raise UsageError("--key is the column of the keys of scored rows: add --labels URL")
    scores = addition.Scores(labels, key) if labels else None
    addition.add(Git.of_current_directory(), paths, dialogue(asked=not yes), scores)


def dialogue(*, asked: bool) -> "Dialogue":
    """Returns a dialogue at the terminal. If nothing is to be asked, the answers are those that are taken
    otherwise; what has none raises UsageError, and so does any question without a terminal."""
    from mlops.adopt.dialogue import Dialogue

    if not asked:
        return Dialogue(
            printing.say, lambda _, default: default, unanswered, lambda _, default: default
        )
    if not sys.stdin.isatty():
        return Dialogue(printing.say, no_terminal, no_terminal, no_terminal)

    def ask(question: str, default: bool) -> bool:
        return printing.confirm(question, default=default)

    def tell(question: str, default: str) -> str:
        with clock.paused_clock():
            return str(typer.prompt(printable_text(question), default=default, err=True))

    return Dialogue(printing.say, ask, chosen, tell)


def no_terminal(question: str, _: object) -> NoReturn:
    raise UsageError(
        f"there is no terminal to ask at ({printable_text(question)}): add --yes, to take what is proposed"
    )


def chosen(question: str, known: Sequence[str]) -> str:
    """Returns which of the known texts a person at the terminal chooses, by its number or as it is."""
    for number, text in enumerate(known, 1):
        printing.complain(f"  {number} {text}")
    while True:
        with clock.paused_clock():
            answer = typer.prompt(printable_text(question), err=True)
        if answer in known:
            return str(answer)
        if answer.isdecimal() and 0 < int(answer) <= len(known):
            return known[int(answer) - 1]


def unanswered(question: str, known: Sequence[str]) -> NoReturn:
    raise UsageError(f"{question} Say it: {', '.join(map(repr, known[:20]))}")
