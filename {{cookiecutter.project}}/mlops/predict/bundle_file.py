"""Reads and writes the files of a bundle that are JSON."""

from pathlib import Path
from typing import TypeVar

import msgspec

from mlops.predict.errors import BundleError

T = TypeVar("T", bound=msgspec.Struct)


def read_struct(path: Path, kind: type[T], what: str) -> T:
    """Returns the content of a file; `what` says in messages what it should be.

    Raises BundleError if the file is missing or holds anything else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise BundleError(f"{path} is missing: run `mlops repro`, or `dvc pull`") from None
    except msgspec.DecodeError as error:
        raise BundleError(
            f"{path} is not {what} ({error}): delete it and run `mlops repro`"
        ) from None


def write_struct(content: msgspec.Struct, path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
