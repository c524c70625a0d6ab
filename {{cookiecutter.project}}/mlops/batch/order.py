"""What `mlops` asks of a process of this room: JSON, its only argument."""

import sys
from typing import TypeVar

import msgspec

from mlops.errors import UsageError


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To score: `release` is the folder of a deployment, `rejects` that of the rejects files;
    `max_rejects` is a number of rows or a percentage."""

    inputs: list[str]
    to: str
    release: str
    key: str | None = None
    force: bool = False
    max_rejects: str = "1%"
    rejects: str = "rejects"
    engine: str = "threads"
    scheduler: str | None = None


T = TypeVar("T", bound=msgspec.Struct)


def read_order(kind: type[T]) -> T:
    """The order that this process was started with."""
    try:
        return msgspec.json.decode(" ".join(sys.argv[1:]), type=kind)
    except msgspec.DecodeError as error:
        raise UsageError(f"this is no order ({error}): `mlops` starts this process") from None
