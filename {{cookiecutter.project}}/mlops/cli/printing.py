"""How commands print: lines on standard output or standard error, questions, and tables.

No character that a terminal would obey comes through.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout

from mlops import errors
from mlops.cli import clock
from mlops.errors import UsageError, printable_text
from mlops.text_table import INDENT, shown_table, terminal_width, wrapped


def say(line: str) -> None:
    """Prints a line of the result; a reader at the other end of a pipe gets it at once."""
    clock.make_room()
    errors.say(line)


def say_sentence(line: str) -> None:
    """Prints a line of the result that holds no command to copy: a terminal gets it in its width, its further
    lines indented."""
    width = terminal_width() if sys.stdout.isatty() else sys.maxsize
    say(f"\n{INDENT}".join(wrapped(line, width - len(INDENT))))


def complain(line: str) -> None:
    """Prints a line about the work, which is not part of the result, on standard error."""
    clock.make_room()
    errors.complain(line)


def say_json(value: object) -> None:
    """Prints a value as JSON in ASCII; what JSON does not know is its text."""
    clock.make_room()
    with errors.writing_output():
        print(json.dumps(value, indent=1, default=str), flush=True)


@contextmanager
def result_alone(form: str) -> Iterator[None]:
    """While the context is open, what this process and its children print goes to standard error if the form
    is JSON, so that standard output holds nothing else."""
    if form != "json":
        yield
        return
    output = os.dup(1)
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(output, 1)
        os.close(output)


def ask(question: str) -> bool:
    """Returns whether a person at the terminal answers yes. Where there is no terminal the answer is no."""
    return sys.stdin.isatty() and confirm(question)


def confirm(question: str, *, default: bool = False) -> bool:
    """Returns whether a person at the terminal answers yes, or the default if the answer is empty. Raises
    UsageError where there is no terminal."""
    import typer

    if not sys.stdin.isatty():
        raise UsageError(f"there is no terminal to ask at ({question}): add --yes")
    with clock.paused_clock():
        return typer.confirm(printable_text(question), default=default, err=True)


def say_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], below: Sequence[str] = ()
) -> None:
    """Prints rows of text as a table; the columns `below` may become lines below each row."""
    clock.make_room()
    with errors.writing_output():
        print(shown_table(headings, rows, below), flush=True)
