"""How commands print: lines on standard output or standard error, questions, and tables.

No character that a terminal would obey comes through.
"""

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType

from mlops.errors import printable_text

GAP = "  "
GREEN, RED, YELLOW = 32, 31, 33
COLOURS = {
    **dict.fromkeys(("passed", "same", "promotion"), GREEN),
    **dict.fromkeys(("failed", "DIFFERENT", "refused"), RED),
    "rollback": YELLOW,
}
"""The colour of a word that fills a cell, as its code in a terminal."""


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


def say_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows of text as columns below their headings.

    On a terminal, verdicts have a colour (not with NO_COLOR), and a table that is wider is made to fit: what
    is the same in all rows is said below, and cells are wrapped. Elsewhere every cell has one line.
    """
    at_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if at_terminal else sys.maxsize
    colours = COLOURS if at_terminal and not os.environ.get("NO_COLOR") else {}
    print(table_text(headings, rows, width, colours), flush=True)


def table_text(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int = sys.maxsize,
    colours: Mapping[str, int] = MappingProxyType({}),
) -> str:
    """Returns a table; its lines are longer than the width only if words would have to be cut."""
    columns = [
        [printable_cell(cell) for cell in column] for column in zip(headings, *rows, strict=True)
    ]
    alike: list[list[str]] = []
    if sum(natural_widths(columns)) > width and len(rows) > 1:
        alike = [column for column in columns if len({*column[1:]}) == 1]
        columns = [column for column in columns if len({*column[1:]}) > 1]
    widths = fitted_widths(columns, width)
    head, *body = (
        [wrapped(cell, size) for cell, size in zip(line, widths, strict=True)]
        for line in zip(*columns, strict=True)
    )
    tall = max(map(len, head))
    head = [[""] * (tall - len(cell)) + cell for cell in head]
    lines = []
    for row in (head, [["-" * size] for size in widths], *body):
        whole = [len(parts) == 1 for parts in row]
        for parts in zip_longest(*row, fillvalue=""):
            padded = (
                (coloured(part, colours) if alone else part) + " " * (size - len(part))
                for part, size, alone in zip(parts, widths, whole, strict=True)
            )
            lines.append(GAP.join(padded).rstrip())
    if told := ", ".join(f"{column[0]} {column[1]}" for column in alike if column[1] != "-"):
        lines.append(f"the same in all rows: {told}")
    return "\n".join(lines)


def natural_widths(columns: Sequence[Sequence[str]]) -> list[int]:
    """Returns the width of each column in which only its heading is wrapped, with the gap beside it."""
    return [
        max(longest_word(heading), *map(len, cells), 1) + len(GAP) for heading, *cells in columns
    ]


def fitted_widths(columns: Sequence[Sequence[str]], width: int) -> list[int]:
    """Returns the widths of the columns. While their sum is too large, the widest is made narrower, but not
    narrower than its longest word."""
    widths = [size - len(GAP) for size in natural_widths(columns)]
    least = [max(map(longest_word, column)) for column in columns]
    while sum(widths) + len(GAP) * (len(widths) - 1) > width:
        spare = [size if size > few else 0 for size, few in zip(widths, least, strict=True)]
        if not any(spare):
            break
        widths[spare.index(max(spare))] -= 1
    return widths


def longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def wrapped(cell: str, width: int) -> list[str]:
    """Returns the lines of a cell; spaces in a cell that has room stay as they are."""
    return [cell] if len(cell) <= width else textwrap.wrap(cell, width, break_on_hyphens=False)


def coloured(word: str, colours: Mapping[str, int]) -> str:
    return f"\x1b[{colours[word]}m{word}\x1b[0m" if word in colours else word


def printable_cell(cell: str) -> str:
    """Returns the text of a cell on one line."""
    if cell.isprintable():
        return cell
    return printable_text(cell).translate({ord("\n"): r"\n", ord("\t"): r"\t"})
