"""Reads CSV files in pieces of text, which are cut between two records.

Spaces around cells are ignored. A record that has another number of cells than the header is a broken record.
A file that cannot be cut into records and cells is refused.
"""

import csv
import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv

from mlops.errors import counted
from mlops.predict.dialect import Dialect
from mlops.tables.errors import SourceError
from mlops.tables.files import File
from mlops.tables.pieces import Broken, Piece, Records, Wanted
from mlops.tables.text import Readable, StoredText, open_utf8

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SPACES = " "
"""The declared delimiter of files whose cells are separated by any number of spaces and tabs."""

BOM = b"\xef\xbb\xbf"
PIECE = 1_000_000
"""The number of bytes that are read at a time. It is this for each WIDE columns of a table that has more: in
pieces of few rows, such a table would take much longer."""

WIDE = 100

LONGEST = 32_000_000
"""The largest size of a record in bytes; a longer one is taken for a quote that is not closed."""

csv.field_size_limit(LONGEST)

HEADER = 1_000_000
"""The largest size of a header in bytes."""

LONGEST_NAME = 131_072
"""The largest number of characters of a name of a column."""

TEXT = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class CsvSource:
    """A CSV file. `length` is the number of bytes, as UTF-8, before its first row, and `lines` the number of
    lines; `text` says how its text is stored. `declared` is the delimiter that was declared, None if it was
    found."""

    file: File
    names: tuple[str, ...]
    delimiter: str
    length: int
    lines: int
    text: StoredText
    declared: str | None

    @property
    def notice(self) -> str | None:
        if self.declared or self.delimiter == ",":
            return None
        return f"{self.file.path}: cells are separated by a {DELIMITERS[self.delimiter]}"

    def refuse_unfit(self, wanted: Wanted) -> None:
        wanted.refuse_twice(self.names, self.file.path)

    def pieces(self, wanted: Wanted) -> Iterator[Piece]:
        known = {*wanted.names}
        names = tuple(
            name if name in known else f"\0{position}" for position, name in enumerate(self.names)
        )
        with open_utf8(self.file, self.text) as (raw, stream):
            stream.read(self.length)
            line, before = self.lines + 1, 0
            size = PIECE * max(1, len(self.names) // WIDE)
            for text in whole_records(stream, size, self.file.path, self.delimiter, line):
                bytes_read = raw.tell() - before
                before += bytes_read
                content = CsvText(self.file.path, names, self.delimiter, line, text)
                yield Piece(self.file, content, bytes_read)
                line += text.count(b"\n")


@dataclass(frozen=True)
class CsvText:
    """Whole records of a CSV file as text; `first_line` is the line of the file at which the text begins."""

    file: str
    names: tuple[str, ...]
    delimiter: str
    first_line: int
    text: bytes

    def records(self, wanted: Wanted) -> Records:
        records = self._read(wanted)
        self._refuse_cut_end(records)
        return records

    def _read(self, wanted: Wanted) -> Records:
        if not has_regular_quotes(self.text, self.delimiter):
            return self._read_with_python(wanted)
        as_numbers = (
            self._read_with_arrow(wanted, pa.float64()) if may_be_numbers(wanted.dialect) else None
        )
        return as_numbers or self._read_with_arrow(wanted, TEXT) or self._refuse_text()

    def _refuse_cut_end(self, records: Records) -> None:
        """Raises SourceError if the last record of the file is broken and its line has no end. Only the text
        at the end of a file can end within a line."""
        is_last = bool(records.broken) and records.broken[-1].position == records.count - 1
        if is_last and not self.text.endswith((b"\n", b"\r")):
            raise SourceError(
                f"{self.file}, line {self.line(records.count - 1)}: the last line has no end "
                f"({records.broken[-1].reason}): the file is not complete; write the rest, or remove the line"
            )

    def line(self, position: int) -> int:
        if not self.has_one_line_per_record:
            return self.lines[position]
        return self.first_line + position + (self.text[:1] in b"\r\n")

    @cached_property
    def has_one_line_per_record(self) -> bool:
        return not any(sign in self.text for sign in (b'"', b"\n\n", b"\n\r"))

    @cached_property
    def lines(self) -> list[int]:
        """Returns the line of the file at which each record begins."""
        return [line for line, _ in self._python_records()]

    def _read_with_arrow(self, wanted: Wanted, number: pa.DataType) -> Records | None:
        """Returns the records, with number columns as `number`, or None if a cell does not fit its type."""
        broken: list[Broken] = []
        types = dict.fromkeys(wanted.names, TEXT) | dict.fromkeys(wanted.numbers, number)
        if wanted.key:
            types[wanted.key] = TEXT

        def skip_broken(row: pyarrow.csv.InvalidRow) -> str:
            broken.append(self._broken(row.number - 1, row.actual_columns))
            return "skip"

        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(self.text),
                pyarrow.csv.ReadOptions(
                    use_threads=False, block_size=len(self.text) + 1, column_names=self.names
                ),
                pyarrow.csv.ParseOptions(
                    delimiter=self.delimiter,
                    newlines_in_values=True,
                    invalid_row_handler=skip_broken,
                ),
                pyarrow.csv.ConvertOptions(
                    column_types=types,
                    include_columns=wanted.names,
                    null_values=wanted.dialect.missing,
                    decimal_point=wanted.dialect.decimal,
                ),
            ).combine_chunks()
        except pa.ArrowInvalid:
            return None
        columns = {name: array_of(table[name]) for name in table.column_names}
        if any(holds_words(column) for column in columns.values()):
            return None
        return Records(columns, broken, table.num_rows + len(broken))

    def _read_with_python(self, wanted: Wanted) -> Records:
        """Returns the records of a text with irregular quotes: one after spaces opens a quoted cell, and one
        inside a cell is an ordinary character. Arrow reads some of them otherwise."""
        records = [[*map(str.strip, cells)] for _, cells in self._python_records()]
        broken = [
            self._broken(position, len(cells))
            for position, cells in enumerate(records)
            if len(cells) != len(self.names)
        ]
        rows = [cells for cells in records if len(cells) == len(self.names)]
        places = {name: place for place, name in enumerate(self.names)}
        columns = {
            name: pa.array([cells[places[name]] for cells in rows], pa.string())
            for name in wanted.names
        }
        return Records(columns, broken, len(records))

    def _broken(self, position: int, cells: int) -> Broken:
        reason = f"{counted(cells, 'cell')}, and the header has {len(self.names)}"
        return Broken(position, reason)

    def _python_records(self) -> Iterator[tuple[int, list[str]]]:
        """Yields the line at which each record begins, and its cells. Raises SourceError that names the line
        of a record that cannot be read."""
        reader = csv_reader(decode_utf8(self.text, self.file, self.first_line), self.delimiter)
        line = self.first_line
        try:
            for cells in reader:
                if cells:
                    yield line, cells
                line = self.first_line + reader.line_num
        except csv.Error as error:
            raise SourceError(
                f"{self.file}, line {line}: {error}; put the whole cell in quotes, and double the quotes "
                "inside it"
            ) from None

    def _refuse_text(self) -> Records:
        """Raises SourceError that says why the text cannot be read."""
        for _ in self._python_records():
            pass
        raise SourceError(f"{self.file}, from line {self.first_line} on, can't be read as CSV")


def open_csv(file: File, known: Collection[str], dialect: Dialect) -> CsvSource:
    """Returns the source of a CSV file. If the dialect does not name its delimiter, it is the one with which
    the header has most of the known columns.

    Raises SourceError if the file is empty, is in another encoding or cannot be read.
    """
    stored = StoredText(dialect.encoding, has_spaced_cells=dialect.delimiter == SPACES)
    with open_utf8(file, stored) as (_, stream):
        start = stream.read(HEADER)
    if b"\r" in start and b"\n" not in start:
        stored = replace(stored, ends_lines_with_cr=True)
        start = start.replace(b"\r", b"\n")
    content = start.removeprefix(BOM)
    if len(start) == HEADER and content.count(b"\n") <= dialect.skip and not dialect.names:
        raise SourceError(
            f"{file.path}: the header has over {HEADER:,} bytes: leave columns out, or shorten their names"
        )
    text = decode_utf8(content[: content.rfind(b"\n") + 1] or content, file.path, 1)
    skipped = "".join(islice(io.StringIO(text, newline=""), dialect.skip))
    rest = text[len(skipped) :]
    delimiters = [dialect.delimiter] if dialect.delimiter else [*DELIMITERS]
    if stored.has_spaced_cells:
        delimiters = ["\t"]
    found = [read_header(rest, delimiter, file) for delimiter in delimiters]
    headers = [header for header in found if max(map(len, header[0])) <= LONGEST_NAME]
    if not headers:  # with another delimiter than that of the file, a cell is long
        raise SourceError(
            f"{file.path}: a cell of the header has over {LONGEST_NAME:,} characters: the file is "
            "no table, or name the delimiter between its cells in params.yaml (prepare.source.delimiter)"
        )
    names, lines, delimiter = max(
        headers, key=lambda header: (len({*header[0]} & {*known}), len(header[0]))
    )
    if dialect.names:
        names, lines = dialect.names, 0
    before = skipped + "".join(islice(io.StringIO(rest, newline=""), lines))
    length = len(start) - len(content) + len(before.encode())
    return CsvSource(
        file, names, delimiter, length, dialect.skip + lines, stored, dialect.delimiter
    )


def read_header(text: str, delimiter: str, file: File) -> tuple[tuple[str, ...], int, str]:
    """Returns the names, the number of the header's last line, and the delimiter."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    names = next((cells for cells in rows if cells), None)
    if names is None:
        raise SourceError(f"{file.path} is empty: add a header and rows, or leave it out")
    return tuple(name.strip() for name in names), rows.line_num, delimiter


def csv_reader(text: str, delimiter: str) -> "Reader":
    lines = io.StringIO(text, newline="")
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)


def decode_utf8(text: bytes, file: str, first_line: int) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        line = first_line + text.count(b"\n", 0, error.start)
        byte = text[error.start]
        raise SourceError(
            f"{file}, line {line}: byte {byte:#x} is not UTF-8; save the file as UTF-8"
        ) from None


def whole_records(
    stream: Readable, piece: int, file: str, delimiter: str, line: int
) -> Iterator[bytes]:
    """Yields the text of a stream in parts of about `piece` bytes, each of which ends with a record; `line`
    is the line at which the text begins. Raises SourceError for a quote that is not closed."""
    rest = b""
    while more := stream.read(max(piece, len(rest))):  # a long record is searched a few times
        rest += more
        end = end_of_records(rest)
        if not end and len(rest) > LONGEST:
            end = rest.rfind(b"\n") + 1
            refuse_open_quote(rest[:end], file, delimiter, line)
        if end:
            yield rest[:end]
            line += rest.count(b"\n", 0, end)
            rest = rest[end:]
    if rest:
        if rest.count(b'"') % 2:
            refuse_open_quote(rest, file, delimiter, line)
        yield rest


def end_of_records(text: bytes) -> int:
    """Returns the number of bytes up to the end of the last whole record. A line end between quotes does not
    end a record."""
    end = before = text.rfind(b"\n") + 1
    if text.count(b'"', 0, end) % 2:
        end = 0
        while not end and before > 0:
            opening = text.rfind(b'"', 0, before)
            before = text.rfind(b'"', 0, opening)
            end = text.rfind(b"\n", before + 1, opening) + 1
    return end


def refuse_open_quote(text: bytes, file: str, delimiter: str, line: int) -> None:
    """Raises SourceError for a quote that is not closed. A quote inside an unquoted cell is an ordinary
    character."""
    rows, last = csv_reader(decode_utf8(text, file, line), delimiter), 0
    try:
        for _ in rows:
            last = rows.line_num
    except csv.Error:
        last += line
    else:
        if text.endswith(b"\n") or len(text) <= LONGEST:
            return
        last = line
    raise SourceError(
        f"{file}, line {last}: a quote is opened here and not closed where it should be, or the file "
        "is cut off: put the whole cell in quotes, and double the quotes inside it"
    )


def may_be_numbers(dialect: Dialect) -> bool:
    """Returns whether Arrow can read numbers as the dialect writes them. If a text for "unknown" is a number,
    other spellings of the number mean it too, which only a comparison of texts can tell."""
    return dialect.has_plain_numbers and not any(
        np.isfinite(dialect.number_of(text)) for text in dialect.missing
    )


def array_of(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.array([], column.type) if not column.num_chunks else column.combine_chunks()


def holds_words(column: pa.Array) -> bool:
    """Returns whether a cell may say "nan" or "inf", which are not numbers."""
    if not pa.types.is_floating(column.type):
        return False
    values = column.to_numpy(zero_copy_only=False)
    return bool(np.count_nonzero(np.isfinite(values)) + column.null_count < len(values))


def has_regular_quotes(text: bytes, delimiter: str) -> bool:
    """Returns whether every quote opens or closes a whole cell, or is one of two that stand for one inside
    it."""
    characters = np.frombuffer(b"\n" + text + b"\n", np.uint8)
    quotes = np.flatnonzero(characters == ord('"'))
    ends = np.isin(np.arange(256), [*f'{delimiter}\r\n"'.encode()])
    before, after = characters[quotes[::2] - 1], characters[quotes[1::2] + 1]
    return len(quotes) % 2 == 0 and bool(ends[before].all() and ends[after].all())
