"""Opens files of text, compressed or not and in any encoding, as UTF-8 in which "\n" ends a line."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import pyarrow as pa

from mlops.tables.errors import SourceError
from mlops.tables.files import COMPRESSED, File, format_suffix


@dataclass(frozen=True)
class StoredText:
    """How a text is stored: its encoding, and whether a line ends with "\r" alone, as on the first Macs."""

    encoding: str = "utf-8"
    ends_lines_with_cr: bool = False

    @property
    def is_utf8(self) -> bool:
        return codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig")


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Recoded:
    """A text as UTF-8 in which "\n" ends a line."""

    def __init__(self, stream: Readable, text: StoredText, path: str) -> None:
        self._stream, self._text, self._path = stream, text, path
        self._decoder = codecs.getincrementaldecoder(text.encoding)()
        self._waiting = b""
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
        recoded = text.encode("utf-8", "replace")
        if self._text.ends_lines_with_cr:
            recoded = recoded.replace(b"\r", b"\n")
        self._line += recoded.count(b"\n")
        return recoded


@contextmanager
def open_utf8(file: File, text: StoredText) -> Iterator[tuple[BinaryIO, Readable]]:
    """Yields the stored file, and its text as UTF-8. Raises SourceError if it is broken or in another
    encoding; UTF-8 itself is not checked."""
    codec = COMPRESSED.get(format_suffix(file.path))
    with file.open() as raw:
        try:
            stream = pa.CompressedInputStream(pa.PythonFile(raw, "r"), codec) if codec else raw
            is_plain = text.is_utf8 and not text.ends_lines_with_cr
            yield raw, stream if is_plain else Recoded(stream, text, file.path)
        except (OSError, pa.ArrowInvalid) as error:
            raise SourceError(f"{file.path} is broken or cut off: {error}") from None
