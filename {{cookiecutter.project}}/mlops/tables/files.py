"""Finds the files of a batch: single files, directories or patterns, local or in object storage."""

import glob
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from mlops.errors import Away, UsageError
from mlops.tables import urls
from mlops.tables.errors import SourceError

TEXT = (".csv", ".tsv", ".txt")
COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
PARQUET = ".parquet"
KNOWN = (PARQUET, *TEXT, *(text + suffix for text in TEXT for suffix in COMPRESSED))


@dataclass(frozen=True)
class File:
    """A file. The keys of its rows begin with `name`: its own name, or its path if another file has the same
    name. `state` and `digest` are from before the file was read."""

    path: str
    name: str = ""
    size: int = 0
    state: str = ""
    digest: str = ""

    @property
    def is_remote(self) -> bool:
        return "://" in self.path

    def open(self) -> BinaryIO:
        if self.is_remote:
            filesystem, path = filesystem_of(self.path)
            return cast(BinaryIO, filesystem.open(path, "rb"))
        return Path(self.path).open("rb")


def find_files(inputs: Iterable[str]) -> list[File]:
    """Returns the files that the inputs mean, in the order of their names; equal contents count once."""
    files = [
        hashed_file(path)
        for path in sorted({path for text in inputs for path in paths_of_input(text)})
    ]
    names = Counter(PurePosixPath(file.path).name for file in files)
    once = {file.digest: file for file in reversed(files)}
    return [
        replace(file, name=own_name(file.path, names))
        for file in files
        if once[file.digest] is file
    ]


def own_name(path: str, names: Counter[str]) -> str:
    name = PurePosixPath(path).name
    return name if names[name] == 1 else path


def paths_of_input(text: str) -> Iterator[str]:
    """Yields the paths of the files that an input means. Raises SourceError if there is none."""
    found = remote_paths(text) if "://" in text else local_paths(text)
    if not found:
        raise SourceError(
            f"{urls.redact_passwords(text)} holds no file that could be scored: such a name ends in "
            f"{', '.join((PARQUET, *TEXT))}, and text may be compressed ({', '.join(COMPRESSED)})"
        )
    yield from found


def local_paths(text: str) -> list[str]:
    path = Path(text)
    if path.is_dir():
        return [str(file) for file in path.iterdir() if file.is_file() and is_known(str(file))]
    if path.exists():
        return [text] if is_known(text) else []
    if not glob.has_magic(text):
        raise SourceError(f"{text} does not exist")
    return [file for file in glob.glob(text, recursive=True) if is_known(file)]  # noqa: PTH207


def remote_paths(text: str) -> list[str]:
    urls.parse_url(text)
    filesystem, path = filesystem_of(text)
    with filesystem_errors(text):
        is_pattern = glob.has_magic(path)
        found = filesystem.glob(path) if is_pattern else filesystem.find(path, maxdepth=1)
    return [filesystem.unstrip_protocol(file) for file in found if is_known(file)]


def is_known(path: str) -> bool:
    """Returns whether the file can be scored; a leading dot or underscore marks an unfinished file."""
    return path.endswith(KNOWN) and not PurePosixPath(path).name.startswith((".", "_"))


def filesystem_of(url: str) -> tuple[Any, str]:
    """Returns the file system of a URL, and the path there."""
    import fsspec

    with filesystem_errors(url):
        filesystem, path = fsspec.core.url_to_fs(url)
    return filesystem, path


@contextmanager
def filesystem_errors(url: str) -> Iterator[None]:
    """Turns the errors of a file system into UsageError, SourceError and Away."""
    scheme = url.partition("://")[0]
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"{scheme}:// needs a library that is not installed ({error}): name it in the batch "
            "group of pyproject.toml, then `make lock && make`"
        ) from None
    except ValueError as error:
        raise UsageError(f"{urls.redact_passwords(url)} can't be read: {error}") from None
    except FileNotFoundError:
        raise SourceError(f"{urls.redact_passwords(url)} does not exist") from None
    except Exception as error:  # each library has errors of its own
        raise Away(f"{urls.redact_passwords(url)} is out of reach now: {error}") from error


def hashed_file(path: str) -> File:
    file = File(path)
    state = state_of(file)
    try:
        with file.open() as opened:
            digest = hashlib.file_digest(cast(Any, opened), "sha256").hexdigest()
            size = opened.seek(0, io.SEEK_END)
    except OSError as error:
        raise unreadable_error(file, error) from None
    return replace(file, size=size, state=state, digest=digest)


def state_of(file: File) -> str:
    """Returns a text that changes when the file does."""
    try:
        if file.is_remote:
            filesystem, path = filesystem_of(file.path)
            filesystem.invalidate_cache()
            return str(filesystem.ukey(path))
        status = Path(file.path).stat()
        return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"
    except OSError as error:
        raise unreadable_error(file, error) from None


def refuse_changed(file: File) -> None:
    if state_of(file) != file.state:
        raise SourceError(
            f"{file.path} changed while it was read: wait until it is complete, then again"
        )


def unreadable_error(file: File, error: OSError) -> SourceError | Away:
    reason = error.strerror or error
    if file.is_remote and not isinstance(error, FileNotFoundError | PermissionError):
        return Away(
            f"{urls.redact_passwords(file.path)} is out of reach now ({reason}): try again later"
        )
    return SourceError(f"{urls.redact_passwords(file.path)} can't be read: {reason}")
