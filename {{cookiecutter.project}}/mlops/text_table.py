"""Writes rows of text as a table for a terminal: columns below their headings, made to fit its width."""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType

from mlops.errors import printable_text

GAP, INDENT = "  ", "    "

LEAST_WIDTH = 20
"""A terminal that is narrower breaks the lines itself: in fewer columns nobody can read a table."""

SYLLABLES = (
    *("Accu-racy", "(archi-tecture)", "Environ-ment", "para-meters", "posi-tives"),
    *("(test-ing)", "(train-ing)", "(vali-dation)"),
)
HYPHENATED = {each.replace("-", ""): each.replace("-", "- ") for each in SYLLABLES}
"""Where long words of headings are broken."""

JOINT = re.compile(r"(?<=[_/@.-])(?=[^\W\d])")
"""Where long words of cells are broken: within names, paths and addresses."""


GREEN, RED, YELLOW = 32, 31, 33
COLOURS = {
    **dict.fromkeys(("passed", "same", "promotion"), GREEN),
    **dict.fromkeys(("failed", "DIFFERENT", "DRIFT", "refused"), RED),
    "rollback": YELLOW,
}
"""The colour of a word that fills a cell, as its code in a terminal."""


def shown_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], below: Sequence[str] = ()
) -> str:
    """Returns a table as standard output can show it. On a terminal, it fits the width, and verdicts have a
    colour (not with NO_COLOR); elsewhere every cell has one line."""
    if not sys.stdout.isatty():
        return table_text(headings, rows)
    colours = {} if os.environ.get("NO_COLOR") else COLOURS
    return table_text(headings, rows, terminal_width(), colours, below)


def terminal_width() -> int:
    """Returns the number of columns for which text is wrapped."""
    return max(LEAST_WIDTH, shutil.get_terminal_size().columns)


def table_text(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int = sys.maxsize,
    colours: Mapping[str, int] = MappingProxyType({}),
    below: Sequence[str] = (),
) -> str:
    """Returns a table whose lines have at most `width` characters, unless a part of a word has more.

    Of a table that is too wide for that, what a column says in all rows, and that it says the same as another
    column, is said below it. Then long words of headings are broken, the columns with the headings `below`
    become lines below each row, as many as are needed, and at last cells are wrapped. `colours` are the codes
    of words that fill a cell.
    """
    columns = [
        [printable_cell(cell) for cell in column] for column in zip(headings, *rows, strict=True)
    ]
    notes: list[str] = []
    if len(rows) > 1 and total(least_widths(columns, 0)) > width:
        columns, notes = folded(columns)
    moved: list[list[str]] = []
    for heading in below:
        if total(least_widths(columns, 1)) > width:
            moved += [column for column in columns if column[0] == heading]
            columns = [column for column in columns if column[0] != heading]
    widths = fitted_widths(columns, width)
    head = [
        wrapped(column[0], size, HYPHENATED) for column, size in zip(columns, widths, strict=True)
    ]
    tall = max(map(len, head))
    lines = row_lines([[""] * (tall - len(cell)) + cell for cell in head], widths, {})
    lines.append(GAP.join("-" * size for size in widths))
    for row in range(1, len(rows) + 1):
        cells = [wrapped(each[row], size) for each, size in zip(columns, widths, strict=True)]
        lines += row_lines(cells, widths, colours)
        facts = "; ".join(f"{each[0]}: {each[row]}" for each in moved if each[row] != "-")
        lines += [INDENT + line for line in wrapped(facts, width - len(INDENT)) if facts]
    return "\n".join([*lines, *(line for note in notes for line in wrapped(note, width))])


def folded(columns: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """Returns the columns that say something of their own, and sentences about the others."""
    alike = [column for column in columns if len({*column[1:]}) == 1]
    first: dict[tuple[str, ...], list[str]] = {}
    same: dict[str, list[str]] = {}
    for column in columns:
        if column not in alike and first.setdefault((*column[1:],), column) is not column:
            same.setdefault(first[(*column[1:],)][0], []).append(column[0])
    told = ", ".join(f"{column[0]} {column[1]}" for column in alike if column[1] != "-")
    notes = [f"the same in all rows: {told}"] if told else []
    notes += [f"the same as {name}: {', '.join(others)}" for name, others in same.items()]
    return [*first.values()] or columns[:1], notes


def least_widths(columns: Sequence[Sequence[str]], level: int) -> list[int]:
    """Returns the least widths of the columns if headings are wrapped, at level 1 if their long words are
    broken, too, at level 2 if cells are wrapped, and at level 3 if the long words of cells are broken."""
    return [
        max(len(part) for part in (*heading_parts(heading, level), *cell_parts(cells, level), " "))
        for heading, *cells in columns
    ]


def heading_parts(heading: str, level: int) -> list[str]:
    words = heading.split()
    if not level:
        return words
    parts = " ".join(HYPHENATED.get(word, word) for word in words).split()
    return [joint for part in parts for joint in JOINT.split(part)]


def cell_parts(cells: Sequence[str], level: int) -> Iterable[str]:
    if level < 2:
        return cells
    words = (word for cell in cells for word in cell.split())
    return words if level == 2 else (part for word in words for part in JOINT.split(word))


def total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def fitted_widths(columns: Sequence[Sequence[str]], width: int) -> list[int]:
    """Returns the widths of the columns. While their sum is too large, the widest of those that can be is
    made narrower, first at level 1 of `least_widths`."""
    widths = least_widths(columns, 0)
    for level in (1, 2, 3):
        least = least_widths(columns, level)
        while total(widths) > width:
            spare = [size if size > few else 0 for size, few in zip(widths, least, strict=True)]
            if not any(spare):
                break
            widths[spare.index(max(spare))] -= 1
    return widths


def wrapped(
    text: str, width: int, hyphenated: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Returns the lines of a text; spaces in a text that has room stay as they are."""
    if len(text) <= width:
        return [text]
    words = (
        word if len(word) <= width else hyphenated.get(word) or broken(word, width)
        for word in text.split()
    )
    return textwrap.wrap(" ".join(words), width, break_on_hyphens=False)


def broken(word: str, width: int) -> str:
    """Returns a word with a space between parts that have room."""
    parts = [""]
    for part in JOINT.split(word):
        if len(parts[-1] + part) <= width:
            parts[-1] += part
        else:
            parts.append(part)
    return " ".join(parts).strip()


def row_lines(
    cells: Sequence[Sequence[str]], widths: Sequence[int], colours: Mapping[str, int]
) -> list[str]:
    """Returns the lines of a row, whose cells have a line or more each."""
    lines = []
    for parts in zip_longest(*cells, fillvalue=""):
        padded = (
            (coloured(part, colours) if len(cell) == 1 else part) + " " * (size - len(part))
            for part, size, cell in zip(parts, widths, cells, strict=True)
        )
        lines.append(GAP.join(padded).rstrip())
    return lines


def coloured(word: str, colours: Mapping[str, int]) -> str:
    return f"\x1b[{colours[word]}m{word}\x1b[0m" if word in colours else word


def printable_cell(cell: str) -> str:
    """Returns the text of a cell on one line."""
    if cell.isprintable():
        return cell
    return printable_text(cell).translate({ord("\n"): r"\n", ord("\t"): r"\t"})
