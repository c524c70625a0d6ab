"""Opens the files of a batch, and yields their rows in pieces."""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from mlops.errors import listed
from mlops.predict.dialect import Dialect
from mlops.tables import csv_source, files, parquet_source
from mlops.tables.errors import SourceError
from mlops.tables.files import File
from mlops.tables.pieces import Piece, Wanted


class Source(Protocol):
    @property
    def file(self) -> File: ...

    @property
    def names(self) -> tuple[str, ...]:
        """Returns the names of all columns."""

    @property
    def notice(self) -> str | None:
        """Returns a sentence about how the file is read that its owner should know, or None."""

    def refuse_unfit(self, wanted: Wanted) -> None:
        """Raises SourceError if the wanted columns cannot be read from the file."""

    def pieces(self, wanted: Wanted) -> Iterator[Piece]: ...


def open_source(file: File, wanted: Wanted) -> Source:
    """Returns the source of a file. Raises SourceError that names every wanted column that is missing or
    unfit."""
    source = open_file(file, wanted.names, wanted.dialect)
    names = dict.fromkeys(source.names)
    if lacking := [name for name in wanted.names if name not in names]:
        raise SourceError(
            f"{file.path} has no column {listed(lacking)}, which the model or --key needs; it has "
            f"{listed(source.names)}"
        )
    source.refuse_unfit(wanted)
    return source


def open_file(file: File, known: Collection[str], dialect: Dialect) -> Source:
    """Returns the source of a file, whatever its columns are; `known` are names that help to find how a text
    is delimited."""
    if files.format_suffix(file.path) == files.PARQUET:
        return parquet_source.open_parquet(file)
    return csv_source.open_csv(file, known, dialect)


def pieces_of(sources: Sequence[Source], wanted: Wanted) -> Iterator[Piece]:
    """Yields the pieces of each file in turn. Raises SourceError if a file changed meanwhile."""
    for source in sources:
        yield from source.pieces(wanted)
        files.refuse_changed(source.file)
