"""Writes texts of others as Markdown that shows nothing but their characters, and tables of them."""

import re
from collections.abc import Iterable, Sequence

from mlops.errors import printable_text

SPECIAL = re.compile(r"[\\`*_{}\[\]<>&|~$]")
"""What Markdown may take for something else than text, within a line or a cell."""


def markdown_text(text: str) -> str:
    """Returns a text on one line, with every character as Markdown shows it; it may not begin a line."""
    return SPECIAL.sub(r"\\\g<0>", printable_text(text).replace("\n", " "))


def markdown_table(headings: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table with a line for each row."""
    head = [*headings]
    lines = [[*map(markdown_text, cells)] for cells in (head, *rows)]
    lines.insert(1, ["---"] * len(head))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
