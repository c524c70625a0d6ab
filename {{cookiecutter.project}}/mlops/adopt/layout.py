"""Finds how a file of text is laid out: its encoding, its delimiter, and where its header and rows begin."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from mlops.adopt import spelling
from mlops.errors import counted
from mlops.predict.dialect import Dialect
from mlops.tables.csv_source import BOM, DELIMITERS, SPACES
from mlops.tables.errors import SourceError
from mlops.tables.files import File
from mlops.tables.text import StoredText, open_utf8, spaces_as_tabs

START = 1_000_000
"""The number of bytes at the beginning of a file by which its layout is found."""

RECORDS = 1000
FEWEST = 0.75
"""The share of records with one number of cells under which a text is no table."""

MOST_ABOVE = 50
MOST_HEADERS = 3
FEWEST_BELOW = 10
"""The number of rows below a second line of a header that tell it from a row."""

REGULAR = 0.9
"""The share of records that have one number of cells in a table."""

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Layout:
    """How a file of text is laid out. `dialect` has its encoding and delimiter, and `names` and `skip` if the
    header cannot be used as it is; `remarks` say what of it is unusual, by the name of its field. `columns`
    are the names of the columns, and `header_line` is the line of the header, 0 if there is none."""

    dialect: Dialect
    columns: tuple[str, ...]
    remarks: dict[str, str]
    header_line: int


@dataclass(frozen=True)
class Header:
    """What the user has said of a header: its `line`, which is 0 if there is none and None if it should be
    found, the `names` of the columns if those of the file should not be taken, and a `column` in it."""

    line: int | None = None
    names: tuple[str, ...] = ()
    column: str | None = None

    def position(self, rows: Sequence[Sequence[str]], found: int) -> int:
        """Returns the position of the header in rows, which is `found`, or below if the column is there."""
        if self.line is not None or self.names or not self.column:
            return found
        for n in range(found, min(len(rows), found + MOST_ABOVE)):
            others = [row for row in rows[n + 1 :] if len(row) == len(rows[n])]
            if self.column in rows[n] and others and not looks_like_row(rows[n], others):
                return n
        return found


TO_BE_FOUND = Header()


def find_layout(file: File, encoding: str | None, given: Header = TO_BE_FOUND) -> Layout:
    """Returns the layout of a file of text, of which a given encoding and header are taken as they are.
    Raises SourceError if the file is no table."""
    remarks = {}
    if encoding is None:
        encoding = find_encoding(file)
        if encoding != "utf-8":
            remarks["encoding"] = "the file is not UTF-8"
    with open_utf8(file, StoredText(encoding)) as (_, stream):
        start = stream.read(START)
    text = start.removeprefix(BOM).decode("utf-8", "replace")
    if not text.strip():
        raise SourceError(f"{file.path} is empty: it needs a header and rows")
    if "\0" in text:
        raise SourceError(
            f"{file.path} is not a table of text: it holds zero bytes; give a CSV, Parquet, Excel or JSON "
            "lines file"
        )
    splits = [split_records(text, delimiter, len(start) == START) for delimiter in DELIMITERS]
    best = max(splits, key=lambda split: split.quality)
    if not best.is_regular or best.has_gaps:
        spaced = split_records(spaces_as_tabs(text), "\t", len(start) == START)
        best = replace(spaced, delimiter=SPACES) if spaced.is_regular else best
    if best.width < 2 or best.share < FEWEST:
        raise SourceError(
            f"{file.path} is not a table: its lines do not have the same number of cells, whether they are "
            f"separated by {', '.join(DELIMITERS.values())} or spaces"
        )
    if best.delimiter == SPACES:
        remarks["delimiter"] = "cells are separated by spaces, however many"
    elif best.delimiter != ",":
        remarks["delimiter"] = f"cells are separated by a {DELIMITERS[best.delimiter]}"
    return arranged(file, best, encoding, given, remarks)


@dataclass(frozen=True)
class Records:
    """The first records of a text, split at a delimiter. `lines` is the line of the text at which each record
    ends, `width` the number of cells that most records have, `first` the position of the first of those, and
    `share` the share of them."""

    delimiter: str
    records: Sequence[Sequence[str]]
    lines: Sequence[int]
    width: int
    first: int
    share: float

    @property
    def is_regular(self) -> bool:
        return self.width > 1 and self.share >= REGULAR

    @property
    def has_gaps(self) -> bool:
        """Returns whether most records have a cell with several spaces side by side, as between columns that
        are aligned."""
        gaps = sum(any("  " in cell for cell in cells) for cells in self.records)
        return gaps >= REGULAR * len(self.records)

    @property
    def quality(self) -> tuple[bool, int, float]:
        return self.is_regular, -self.first, self.width * self.share


def split_records(text: str, delimiter: str, is_cut: bool) -> Records:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    records, lines = [], []
    try:
        for cells in islice(reader, RECORDS):
            records.append([cell.strip() for cell in cells])
            lines.append(reader.line_num)
    except csv.Error:  # such as a cell over the limit: the records before it tell enough
        pass
    if is_cut and len(records) > 1 and len(records) < RECORDS:
        del records[-1], lines[-1]
    widths = Counter(len(cells) for cells in records if cells)
    width = max(widths, key=lambda each: (widths[each], each), default=0)
    first = next((n for n, cells in enumerate(records) if len(cells) == width), 0)
    rows = sum(widths.values()) - sum(1 for cells in records[:first] if cells)
    return Records(delimiter, records, lines, width, first, widths[width] / max(rows, 1))


def arranged(
    file: File, split: Records, encoding: str, given: Header, remarks: dict[str, str]
) -> Layout:
    """Returns the layout of a file whose records were split."""

    def lines_before(position: int) -> int:
        return split.lines[position - 1] if position else 0

    first, width = given.position(split.records, split.first), split.width
    if given.line:
        if given.line > split.lines[-1]:
            raise SourceError(
                f"{file.path}: --header {given.line} is none of the first {split.lines[-1]:,} lines, among "
                "which it should be: name the line of the header, or 0 if there is none"
            )
        first = next(n for n, end in enumerate(split.lines) if end >= given.line)
        width = len(split.records[first])
    rows = [cells for cells in split.records[first:] if len(cells) == width]
    if len(rows) < 2:
        raise SourceError(f"{file.path} holds a header and no rows")
    header: Sequence[str] | None = rows[0]
    above = split.records[first - 1] if first else []
    skip, header_line = first, lines_before(first) + 1
    refuse_other_width(file.path, given.names, width)
    if given.names:
        header = None
        columns = given.names
        skip += bool(given.line)
    elif (
        given.line is None
        and len(above) == width - 1
        and not looks_like_row(above, [row[-len(above) :] for row in rows])
    ):
        is_last = not any(row[-1] for row in rows)  # rows end in a delimiter; else they have names
        columns = (*above, "end") if is_last else ("row", *above)
        header = None
        remarks["names"] = "the header has one name less than there are columns"
    elif given.line == 0 or (given.line is None and looks_like_row(rows[0], rows[1:])):
        header, header_line = None, 0
        columns = made_names(width)
        remarks["names"] = "the file has no header: its first line looks like data"
    else:
        columns = different(rows[0])
        more = further_headers(rows)
        if columns != tuple(rows[0]) or more:
            skip = split.records.index(rows[more], first) + 1
            header = None
        if columns != tuple(rows[0]):
            remarks["names"] = "the header has a name twice, or none"
        if more:
            remarks["names"] = (
                f"the header goes on for {counted(more, 'more line')}, such as "
                f"{', '.join(filter(None, rows[1]))[:60]}"
            )
    if first:
        remarks["skip"] = "the table begins below other lines"
    dialect = Dialect(
        encoding=encoding,
        delimiter=split.delimiter,
        names=() if header else columns,
        skip=lines_before(skip),
    )
    return Layout(dialect, columns, remarks, header_line)


def refuse_other_width(where: str, names: Sequence[str], width: int) -> None:
    """Raises SourceError if names are given, and not one for each column."""
    if names and len(names) != width:
        raise SourceError(
            f"{where} has {counted(width, 'column')}, and --names gives {len(names)}: {', '.join(names)}"
        )


def made_names(width: int) -> tuple[str, ...]:
    return tuple(f"column_{number}" for number in range(1, width + 1))


def different(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names, of which each that is empty or stood before gets its position."""
    found: list[str] = []
    for position, name in enumerate(names, 1):
        new = name or f"column_{position}"
        while new in found:
            new += f"_{position}"
        found.append(new)
    return tuple(found)


def further_headers(rows: Sequence[Sequence[str]]) -> int:
    """Returns how many records below the header are no rows either, such as questions of a survey, or units:
    they have texts where all others have numbers or dates, and no cell that occurs again."""
    count = 0
    while count < MOST_HEADERS and len(rows) > count + FEWEST_BELOW:
        columns = [*zip(*rows[count + 2 :], strict=True)]
        typed = [*map(is_typed, columns)]
        cells = rows[count + 1]
        texts = [cell for cell, has_type in zip(cells, typed, strict=True) if cell and has_type]
        are_rows = any(spelling.is_marker(cell) or spelling.looks_typed(cell) for cell in texts)
        is_known = any(cell in column for cell, column in zip(cells, columns, strict=True) if cell)
        if not texts or are_rows or is_known or sum(map(bool, cells)) < 2:
            break
        count += 1
    return count


def looks_like_row(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Returns whether the first record is a row like the others, and not a header. Where columns hold numbers
    or dates, it is one if its cells do; otherwise, if its cells occur below."""
    numbers = [int(cell) for cell in first if cell.isdecimal()]
    if len(numbers) > 2 and numbers == [*range(numbers[0], numbers[0] + len(numbers))]:
        return False  # years, or the numbers of unnamed columns
    votes = [
        spelling.looks_typed(cell)
        for cell, column in zip(first, zip(*rows, strict=True), strict=True)
        if cell and is_typed(column)
    ]
    if votes:
        return sum(votes) * 2 > len(votes)
    again = [cell in column for cell, column in zip(first, zip(*rows, strict=True), strict=True)]
    return sum(again) * 2 > len(again)


def is_typed(cells: Sequence[str]) -> bool:
    words = [cell for cell in cells if cell and not spelling.is_marker(cell)]
    typed = sum(map(spelling.looks_typed, words))
    return bool(words) and typed >= REGULAR * len(words)


def find_encoding(file: File) -> str:
    """Returns the encoding of the whole file: UTF-8 if it is, otherwise what its byte order mark or its zero
    bytes tell, and else the one of Windows for western Europe, or Latin-1 if bytes have no meaning in it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    high = set[int]()
    is_utf8, start = True, b""
    with open_utf8(file, StoredText()) as (_, stream):
        while part := stream.read(START):
            start = start or part
            if mark := next((mark for mark in BYTE_ORDER_MARKS if start.startswith(mark)), None):
                return BYTE_ORDER_MARKS[mark]
            if start.count(b"\0") > len(start) / 4:
                return "utf-16-le" if start[1:200:2].count(b"\0") > 20 else "utf-16-be"
            if is_utf8:
                try:
                    decoder.decode(part)
                except UnicodeDecodeError:
                    is_utf8 = False
            if not part.isascii():
                high |= {byte for byte in set(part) if byte > 127}
    if is_utf8:
        return "utf-8"
    try:
        bytes(sorted(high)).decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"
