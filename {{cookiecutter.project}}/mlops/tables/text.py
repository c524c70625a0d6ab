"""Opens files of text, compressed or not and in any encoding, as UTF-8 in which "\n" ends a line."""

import codecs
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import pyarrow as pa

from mlops.tables.errors import SourceError
from mlops.tables.files import COMPRESSED, File, format_suffix

SPACED_CELL = re.compile(r'(?:"[^"]*"|[^ \t\ufeff])+')
"""A cell of a line in which spaces and tabs separate cells; a byte order mark belongs to none."""


@dataclass(frozen=True)
class StoredText:
    """How a text is stored: its encoding, whether a line ends with "\r" alone, as on the first Macs, and
    whether any number of spaces and tabs separates two cells, which are read as one tab."""

    encoding: str = "utf-8"
    ends_lines_with_cr: bool = False
    has_spaced_cells: bool = False

    @property
    def is_plain(self) -> bool:
        """Returns whether the text is read as it is stored."""
        is_utf8 = codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig")
        return is_utf8 and not self.ends_lines_with_cr and not self.has_spaced_cells


def spaces_as_tabs(text: str) -> str:
    """Returns the lines of a text with one tab between two cells that spaces and tabs separate."""
    return "\n".join("\t".join(SPACED_CELL.findall(line.rstrip("\r"))) for line in text.split("\n"))


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Recoded:
    """A text as UTF-8 in which "\n" ends a line, and a tab a spaced cell."""

    def __init__(self, stream: Readable, text: StoredText, path: str) -> None:
        self._stream, self._text, self._path = stream, text, path
        self._decoder = codecs.getincrementaldecoder(text.encoding)()
        self._waiting = b""
        self._begun = ""
        self._line = 1

    def read(self, size: int, /) -> bytes:
        """Returns as many bytes, fewer only at the end of the text."""
        is_more = True
        while is_more and len(self._waiting) < size:
            stored = self._stream.read(size)
            self._waiting += self._recode(stored)
            is_more = bool(stored)
        part, self._waiting = self._waiting[:size], self._waiting[size:]
        return part

    def _recode(self, stored: bytes) -> bytes:
        try:
            text = self._decoder.decode(stored, final=not stored)
        except UnicodeDecodeError as error:
            line = self._line + stored.count(b"\n", 0, error.start)
            raise SourceError(
                f"{self._path}, near line {line}: byte {error.object[error.start]:#x} is not "
                f"{self._text.encoding}: name another encoding in params.yaml (prepare.source.encoding)"
            ) from None
        except UnicodeError as error:  # without the mark with which UTF-16 begins
            raise SourceError(
                f"{self._path} is not {self._text.encoding} ({error}): name another encoding in params.yaml "
                "(prepare.source.encoding)"
            ) from None
        if self._text.has_spaced_cells:
            text = self._with_tabs(text, is_last=not stored)
        recoded = text.encode("utf-8", "replace")
        if self._text.ends_lines_with_cr:
            recoded = recoded.replace(b"\r", b"\n")
        self._line += recoded.count(b"\n")
        return recoded

    def _with_tabs(self, text: str, *, is_last: bool) -> str:
        """Returns the lines that have ended, with a tab between two cells; the rest waits for more text."""
        text = self._begun + text
        end = len(text) if is_last else text.rfind("\n") + 1
        self._begun = text[end:]
        return spaces_as_tabs(text[:end])


@contextmanager
def open_utf8(file: File, text: StoredText) -> Iterator[tuple[BinaryIO, Readable]]:
    """Yields the stored file, and its text as UTF-8. Raises SourceError if it is broken or in another
    encoding; UTF-8 itself is not checked."""
    codec = COMPRESSED.get(format_suffix(file.path))
    with file.open() as raw:
        try:
            stream = pa.CompressedInputStream(pa.PythonFile(raw, "r"), codec) if codec else raw
            yield raw, stream if text.is_plain else Recoded(stream, text, file.path)
        except (OSError, pa.ArrowInvalid) as error:
            raise SourceError(f"{file.path} is broken or cut off: {error}") from None
