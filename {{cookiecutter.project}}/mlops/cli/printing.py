"""How commands print: lines on standard output or standard error, questions, and tables.

No character that a terminal would obey comes through.
"""

import json
import sys
from collections.abc import Sequence

from mlops.errors import printable_text
from mlops.text_table import shown_table


def say(line: str) -> None:
    """Prints a line of the result; a reader at the other end of a pipe gets it at once."""
    print(printable_text(line), flush=True)


def complain(line: str) -> None:
    """Prints a line about the work, which is not part of the result, on standard error."""
    print(printable_text(line), file=sys.stderr)


def say_json(value: object) -> None:
    """Prints a value as JSON in ASCII; what JSON does not know is its text."""
    print(json.dumps(value, indent=1, default=str), flush=True)


def ask(question: str) -> bool:
    """Returns whether a person at the terminal answers yes. Where there is no terminal the answer is no."""
    import typer

    return sys.stdin.isatty() and typer.confirm(printable_text(question), err=True)


def say_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], below: Sequence[str] = ()
) -> None:
    """Prints rows of text as a table; the columns `below` may become lines below each row."""
    print(shown_table(headings, rows, below), flush=True)
