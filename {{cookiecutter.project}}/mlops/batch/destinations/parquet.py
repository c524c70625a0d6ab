"""Stores predictions as Parquet files in a folder or in object storage.

Each batch is a file TO/<batch id>.parquet, so that the folder is a table of all batches. The names of all
batches of one file of rows begin with the same digits. Its columns are
those of the view `predictions` of a database. The file's metadata holds what belongs to the whole batch as
JSON, under "batch" and "profile".
"""

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import astuple
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

import pyarrow as pa
from pyarrow import parquet

from mlops.batch.answers import ANSWER_COLUMNS, KEY
from mlops.batch.batches import SOURCE_DIGITS, Batch, Finished, Outcome, batch_facts
from mlops.batch.destinations import destinations
from mlops.batch.errors import AlreadyScored, storage_errors
from mlops.batch.waiting import announce_wait
from mlops.errors import UsageError
from mlops.file_lock import lock_file
from mlops.tables import files
from mlops.tables.errors import SourceError
from mlops.tables.urls import Url

SCHEMA = pa.schema(
    [
        pa.field("batch_id", pa.string(), nullable=False),
        KEY,
        *ANSWER_COLUMNS,
        pa.field("target", pa.string(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("environment", pa.string(), nullable=False),
        pa.field("scored_at", pa.timestamp("us", "UTC"), nullable=False),
    ]
)

FILE_SUFFIXES = (
    *(".db", ".db3", ".sqlite", ".sqlite3", ".duckdb", ".parquet", ".csv", ".tsv", ".txt"),
    *(".json", ".xlsx"),
)
"""The ends of names of files. Someone who names one does not mean a folder."""

GROUP = 100_000
"""The number of rows that are compressed together."""


class Folder(Protocol):
    def open_existing(self, name: str) -> IO[bytes] | None:
        """Returns the file of this name, or None if there is none."""

    def names(self, beginning: str) -> list[str]:
        """Returns the names of the Parquet files that begin with these digits."""

    def new_file(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Yields a file that appears under its name when it is complete, and never if an error is raised."""


class ParquetFolder:
    def __init__(self, url: Url, folder: Folder) -> None:
        self.url = url
        self._folder = folder

    def finished(self, batch: Batch) -> Finished | None:
        stored = self._read_facts(f"{batch.batch_id}.parquet")
        if stored is None:
            return None
        finished_at = datetime.fromisoformat(stored["finished_at"])
        return Finished(
            stored["rows"], stored["rejected"], finished_at, self._successor(batch, stored)
        )

    def _successor(self, batch: Batch, stored: dict[str, Any]) -> str | None:
        """Returns the version that last scored the same file, if it did so after a stored batch."""
        names = self._folder.names(batch.source_hash[:SOURCE_DIGITS])
        others = [facts for name in names if (facts := self._read_facts(name))]
        later = [
            (other["started_at"], other["model_version"])
            for other in others
            if other["model_version"] != batch.model_version
            and other["started_at"] > stored["started_at"]
            and other["status"] == "finished"
            and all(other[name] == stored[name] for name in ("source_hash", "environment"))
        ]
        return max(later)[1] if later else None

    def _read_facts(self, name: str) -> dict[str, Any] | None:
        file = self._folder.open_existing(name)
        if file is None:
            return None
        with file:
            return read_batch_facts(file)

    def store(
        self,
        batch: Batch,
        rows: pa.RecordBatchReader,
        outcome: Callable[[], Outcome],
        *,
        force: bool,
    ) -> None:
        with self._folder.new_file(f"{batch.batch_id}.parquet") as file:
            if not force and self.finished(batch):
                raise AlreadyScored
            self._write(file, batch, rows, outcome)

    def remove_before(self, environment: str, moment: datetime) -> list[int]:
        """Replaces the files of old batches by files without rows."""
        removed, names = [], self._folder.names("")
        if not names:
            raise SourceError(f"{self.url} holds no batches: name the folder of `mlops score --to`")
        for name in names:
            facts = self._read_facts(name)
            if not facts or facts["environment"] != environment or facts["status"] != "finished":
                continue
            if datetime.fromisoformat(facts["started_at"]) < moment:
                with self._folder.new_file(name) as file, storage_errors(self.url):
                    metadata = {"batch": json.dumps({**facts, "status": "removed"})}
                    parquet.write_table(SCHEMA.with_metadata(metadata).empty_table(), file)
                removed.append(int(facts["rows"]))
        return removed

    def close(self) -> None:
        """Does nothing, since no connection is kept open."""

    def _write(
        self,
        file: IO[bytes],
        batch: Batch,
        rows: pa.RecordBatchReader,
        outcome: Callable[[], Outcome],
    ) -> None:
        writer = parquet.ParquetWriter(file, SCHEMA, compression="zstd")
        try:
            for group in row_groups(rows):
                with storage_errors(self.url):
                    writer.write_table(with_batch_columns(group, batch))
            writer.add_key_value_metadata(batch_metadata(batch, outcome()))
            with storage_errors(self.url):
                writer.close()
        except BaseException:
            writer.is_open = False  # otherwise it completes the file when it is garbage-collected
            raise


class LocalFolder:
    def __init__(self, url: Url, path: Path) -> None:
        self._url = url
        self._path = path

    def open_existing(self, name: str) -> IO[bytes] | None:
        with storage_errors(self._url), suppress(FileNotFoundError):
            return (self._path / name).open("rb")
        return None

    def names(self, beginning: str) -> list[str]:
        with storage_errors(self._url):
            return [path.name for path in self._path.glob(f"{beginning}*.parquet")]

    @contextmanager
    def new_file(self, name: str) -> Iterator[IO[bytes]]:
        """Yields a file that another run of the same batch waits for. Its name begins with a dot until it is
        complete, so that readers ignore it."""
        partial = self._path / f".{name}.partial"
        with storage_errors(self._url):
            self._path.mkdir(exist_ok=True)
            with announce_wait(f"another run, which writes {self._path / name},"):
                file = lock_file(partial)
            file.truncate()
        try:
            yield file
            with storage_errors(self._url):
                file.flush()
                os.fsync(file.fileno())
                partial.replace(self._path / name)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        finally:
            with suppress(OSError):  # on a full disk
                file.close()


class RemoteFolder:
    def __init__(self, url: Url) -> None:
        self._url = url
        self._filesystem, self._path = files.filesystem_of(url.text)

    def open_existing(self, name: str) -> IO[bytes] | None:
        path = f"{self._path}/{name}"
        with files.filesystem_errors(self._url.text):
            self._filesystem.invalidate_cache()
            if not self._filesystem.exists(path):
                return None
            file: IO[bytes] = self._filesystem.open(path, "rb")
            return file

    def names(self, beginning: str) -> list[str]:
        with files.filesystem_errors(self._url.text):
            found = self._filesystem.glob(f"{self._path}/{beginning}*.parquet")
        return [PurePosixPath(path).name for path in found]

    @contextmanager
    def new_file(self, name: str) -> Iterator[IO[bytes]]:
        """Yields a local file that is uploaded when it is complete; object storage shows no part of a file.
        If two runs of a batch overlap, the later one replaces the rows by the same rows."""
        with tempfile.TemporaryDirectory() as folder:
            with LocalFolder(self._url, Path(folder)).new_file(name) as file:
                yield file
            with files.filesystem_errors(self._url.text):
                self._filesystem.put_file(f"{folder}/{name}", f"{self._path}/{name}")


def row_groups(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Yields the rows in tables of at least GROUP rows; the last one may be smaller."""
    waiting: list[pa.RecordBatch] = []
    for part in rows:
        waiting.append(part)
        if sum(map(len, waiting)) >= GROUP:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def with_batch_columns(rows: pa.Table, batch: Batch) -> pa.Table:
    """Returns the rows with the columns that are the same in every row of the batch."""
    same = {
        **dict.fromkeys({*ANSWER_COLUMNS.names} - {*rows.column_names}),
        "batch_id": batch.batch_id,
        "target": batch.target,
        "model_version": batch.model_version,
        "environment": batch.environment,
        "scored_at": batch.started_at,
    }
    columns = [
        pa.repeat(pa.scalar(same[field.name], field.type), len(rows))
        if field.name in same
        else rows[field.name]
        for field in SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def batch_metadata(batch: Batch, outcome: Outcome) -> dict[str, str]:
    """Returns what the metadata of a file holds about its batch."""
    profile = [astuple(count) for count in outcome.profile]
    return {"batch": json.dumps(batch_facts(batch, outcome)), "profile": json.dumps(profile)}


def read_batch_facts(file: IO[bytes]) -> dict[str, Any] | None:
    """Returns what the metadata says of the batch, or None if the file is cut off or holds no batch."""
    try:
        stored = (parquet.read_metadata(file).metadata or {}).get(b"batch")
    except pa.ArrowInvalid:
        return None
    return stored and json.loads(stored)


def open_destination(url: Url) -> ParquetFolder:
    if url.scheme in ("", "file"):
        with storage_errors(url):
            return ParquetFolder(url, local_folder(url))
    import fsspec

    if url.scheme not in fsspec.available_protocols():
        raise destinations.unknown_destination(url)
    return ParquetFolder(url, RemoteFolder(url))


def local_folder(url: Url) -> LocalFolder:
    path = Path(url.path)
    if url.host:
        raise UsageError(f"{url} names the host {url.host}: write file:///{url.host}{url.path}")
    if not url.scheme and re.match(r"[a-z]{2,}:", url.text):
        raise UsageError(
            f"{url} is a URL without //: write {url.text.replace(':', ':///', 1)}, or ./{url} for a folder"
        )
    if path.suffix.lower() in FILE_SUFFIXES and not path.exists():
        raise UsageError(
            f"{url} would be a folder of Parquet files: name a folder, or use sqlite:///{path} for a SQLite "
            "file"
        )
    if path.exists() and not path.is_dir():
        raise UsageError(
            f"{url} is a file: name a folder, in which each batch becomes a file of its own"
        )
    if not path.parent.is_dir():
        raise UsageError(f"{url}: there is no folder {path.parent}: create it")
    return LocalFolder(url, path)
