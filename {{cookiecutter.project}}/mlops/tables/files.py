"""Finds the files of a batch, which are named by path, folder or pattern, locally or in object storage."""

import glob
import hashlib
import io
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, BinaryIO, cast

from mlops.errors import Away, MlopsError, Refused, UsageError
from mlops.tables import urls
from mlops.tables.errors import SourceError

TEXT = (".csv", ".tsv", ".txt", ".data", ".dat")
COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
PARQUET = ".parquet"
KNOWN = (PARQUET, *TEXT, *(text + suffix for text in TEXT for suffix in COMPRESSED))


@dataclass(frozen=True)
class File:
    """A file of a batch.

    `size` is in bytes, and `digest` is the SHA-256 of the content. `state`, `size` and `digest` are from
    before the file was read.
    """

    path: str
    size: int = 0
    state: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Returns the path without its folder."""
        return PurePath(self.path).name

    @property
    def is_remote(self) -> bool:
        return "://" in self.path

    def open(self) -> BinaryIO:
        if self.is_remote:
            filesystem, path = filesystem_of(self.path)
            with reading_errors(self):
                stored = filesystem.open(path, "rb")
            return io.BufferedReader(RemoteStream(self.path, stored))
        return Path(self.path).open("rb")


class RemoteStream(io.RawIOBase):
    """A file in object storage. A storage that fails while a format is read raises what `filesystem_errors`
    says: formats take any OSError for a broken file."""

    def __init__(self, url: str, stored: Any) -> None:
        self._url = url
        self._stored = stored

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._stored.seekable())

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._stored.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stored.tell())

    def readinto(self, buffer: Any) -> int:
        with filesystem_errors(self._url):
            return int(self._stored.readinto(buffer))

    def close(self) -> None:
        self._stored.close()
        super().close()


def find_paths(inputs: Iterable[str]) -> tuple[list[str], dict[str, SourceError]]:
    """Returns the paths of the files that the inputs name, each once, in the order of the inputs, and the
    errors of the inputs that name none. The paths of a folder or a pattern are sorted."""
    paths: dict[str, None] = {}
    unfound = {}
    for text in inputs:
        try:
            paths |= dict.fromkeys(paths_of_input(text))
        except SourceError as error:
            unfound[text] = error
    return list(paths), unfound


def size_of_file(path: str) -> int:
    """Returns the size of a file in bytes, or 0 if it cannot be read."""
    with suppress(OSError, MlopsError):
        if "://" not in path:
            return Path(path).stat().st_size
        filesystem, within = filesystem_of(path)
        with filesystem_errors(path):
            return int(filesystem.size(within) or 0)
    return 0


def paths_of_input(text: str) -> list[str]:
    """Returns the sorted paths of the files that an input names. Raises SourceError if there is none."""
    paths = sorted(filter(is_table_name, entries_of_input(text)))
    if not paths:
        raise SourceError(
            f"{urls.redact_passwords(text)} holds no table: names of tables end in "
            f"{', '.join((PARQUET, *TEXT))}, and text may be compressed ({', '.join(COMPRESSED)})"
        )
    return paths


def unread_entries(inputs: Iterable[str]) -> list[str]:
    """Returns what the inputs name but `find_paths` leaves out: files with other names, and folders, whose
    paths end in a slash. Hidden files and those of DVC are left out."""
    entries = sorted({entry for text in inputs for entry in entries_of_input(text)})
    return [
        entry
        for entry in entries
        if not is_table_name(entry)
        and not entry.endswith(".dvc")
        and not PurePath(entry).name.startswith(".")
    ]


def entries_of_input(text: str) -> list[str]:
    """Returns the paths of all files that an input names, and of the folders in it, which end in a slash."""
    return remote_entries(text) if "://" in text else local_entries(text)


def local_entries(text: str) -> list[str]:
    path = Path(text)
    with reading_errors(File(text)):
        if path.is_dir():
            return [f"{entry}/" if entry.is_dir() else str(entry) for entry in path.iterdir()]
        if path.exists():
            return [text]
    if not glob.has_magic(text):
        raise SourceError(f"{text} does not exist")
    matches = glob.glob(text, recursive=True)  # noqa: PTH207
    return [entry for entry in matches if Path(entry).is_file()]


def remote_entries(text: str) -> list[str]:
    urls.parse_url(text)
    filesystem, path = filesystem_of(text)
    with filesystem_errors(text):
        if glob.has_magic(path):
            found = filesystem.glob(path, detail=True)
        else:
            found = filesystem.find(path, maxdepth=1, withdirs=True, detail=True)
    return [
        filesystem.unstrip_protocol(entry) + ("/" if facts["type"] == "directory" else "")
        for entry, facts in found.items()
        if entry.strip("/") != path.strip("/") or facts["type"] == "file"
    ]


def is_table_name(path: str) -> bool:
    """Returns whether the name is that of a file of text or Parquet. Case does not matter. A leading
    dot or underscore marks an unfinished file."""
    return path.lower().endswith(KNOWN) and not PurePath(path).name.startswith((".", "_"))


def format_suffix(path: str) -> str:
    """Returns the last suffix of a path in lower case, such as `.gz`, which names the format of the file."""
    return PurePath(path).suffix.lower()


def filesystem_of(url: str) -> tuple[Any, str]:
    """Returns the file system of a URL, and the path in it."""
    import fsspec

    with filesystem_errors(url):
        filesystem, path = fsspec.core.url_to_fs(url)
    return filesystem, path


@contextmanager
def filesystem_errors(url: str) -> Iterator[None]:
    """Turns errors of the file system of a URL into UsageError, Refused, SourceError and Away."""
    scheme = url.partition("://")[0]
    try:
        yield
    except MlopsError:
        raise
    except ImportError as error:
        raise UsageError(
            f"{scheme}:// needs a library that is not installed ({error}): add it to the batch "
            "group of pyproject.toml, then run `make lock && make`"
        ) from None
    except ValueError as error:
        raise UsageError(f"{urls.redact_passwords(url)} can't be read: {error}") from None
    except FileNotFoundError:
        raise SourceError(f"{urls.redact_passwords(url)} does not exist") from None
    except PermissionError as error:
        raise Refused(
            f"{urls.redact_passwords(url)}: {error}: let this user use it, or correct the credentials"
        ) from error
    except Exception as error:  # each library has errors of its own
        if "credentials" in type(error).__name__.lower():
            raise UsageError(
                f"{urls.redact_passwords(url)} needs credentials ({error}): set the environment variables or "
                "the file of its own library, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from error
        raise Away(
            f"{urls.redact_passwords(url)} is unavailable now: {error}; try again later"
        ) from error


def file_at(path: str) -> File:
    """Returns a file whose content was not read. Raises SourceError or Away if the file cannot be read."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise SourceError(f"{path}: the name of this file is not UTF-8: rename it") from None
    file = File(path)
    return replace(file, state=state_of(file), size=size_of_file(path))


def hashed_file(path: str) -> File:
    file = file_at(path)
    with reading_errors(file), file.open() as stream:
        digest = hashlib.file_digest(cast(Any, stream), "sha256").hexdigest()
    return replace(file, digest=digest)


def state_of(file: File) -> str:
    """Returns a text that changes if the file changes. Raises SourceError or Away if the file cannot be
    read, and SourceError for a pipe or a device."""
    with reading_errors(file):
        if file.is_remote:
            filesystem, path = filesystem_of(file.path)
            filesystem.invalidate_cache()
            return str(filesystem.ukey(path))
        status = Path(file.path).stat()
    if not stat.S_ISREG(status.st_mode):  # a reader of a pipe would wait for a writer
        raise SourceError(f"{file.path} is a folder, a pipe or a device: name a file with the rows")
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"


def refuse_changed(file: File) -> None:
    """Raises SourceError if the file has changed since it was found."""
    if state_of(file) != file.state:
        raise SourceError(
            f"{file.path} changed while it was read: wait until it is complete, then try again"
        )


@contextmanager
def reading_errors(file: File) -> Iterator[None]:
    """Turns errors of a file that is read into SourceError if it is missing or may not be read, and else, if
    it is remote, into what `filesystem_errors` says."""
    with filesystem_errors(file.path) if file.is_remote else nullcontext():
        try:
            yield
        except OSError as error:
            if file.is_remote and not isinstance(error, FileNotFoundError | PermissionError):
                raise
            reason = error.strerror or error
            raise SourceError(
                f"{urls.redact_passwords(file.path)} can't be read: {reason}"
            ) from None
