"""How commands print: lines on standard output or standard error, questions, and tables.

No character that a terminal would obey comes through.
"""

import sys
from collections.abc import Sequence

from mlops.errors import printable_text


def say(line: str) -> None:
    """Prints a line of the result; a reader at the other end of a pipe gets it at once."""
    print(printable_text(line), flush=True)


def complain(line: str) -> None:
    """Prints a line about the work, which is not part of the result, on standard error."""
    print(printable_text(line), file=sys.stderr)


def ask(question: str) -> bool:
    """Returns whether a person at the terminal answers yes. Where there is no terminal the answer is no."""
    import typer

    return sys.stdin.isatty() and typer.confirm(printable_text(question), err=True)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns the rows as columns of text under their headings.

    The last word of a heading is a line of its own, so that the columns stay narrow. No cell is cut or
    wrapped, however narrow the terminal is.
    """
    headings = [printable_cell(heading) for heading in headings]
    rows = [[printable_cell(cell) for cell in row] for row in rows]
    split = [heading.rpartition(" ") for heading in headings]
    head = [[first for first, _, _ in split], [last for _, _, last in split]]
    if not any(head[0]):
        del head[0]
    widths = [max(map(len, column)) for column in zip(*head, *rows, strict=True)]
    lines = [*head, ["-" * width for width in widths], *rows]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def printable_cell(cell: str) -> str:
    """Returns the text of a cell on one line."""
    if cell.isprintable():
        return cell
    return printable_text(cell).translate({ord("\n"): r"\n", ord("\t"): r"\t"})
