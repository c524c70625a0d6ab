"""Reads the order of a process that `mlops` starts. An order is JSON, the only argument of the process."""

import json
import sys
from typing import TypeVar

import msgspec

from mlops.errors import UsageError


class ScoreOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to score. `to` is the URL of the destination, `release` the folder of a deployment, and
    `rejects` the folder of the rejects files; `max_rejects` is a number of rows or a percentage. With `json`,
    the report is for a program."""

    inputs: list[str]
    to: str
    release: str
    key: str | None = None
    force: bool = False
    max_rejects: str = "1%"
    rejects: str = "rejects"
    engine: str = "threads"
    scheduler: str | None = None
    json: bool = False


T = TypeVar("T", bound=msgspec.Struct)


def read_order(kind: type[T]) -> T:
    """Returns the order with which this process was started. Raises UsageError if it is not valid."""
    try:
        # msgspec's own reader refuses file names that are not UTF-8.
        return msgspec.convert(json.loads(" ".join(sys.argv[1:])), type=kind)
    except (ValueError, msgspec.ValidationError) as error:
        raise UsageError(
            f"the order is not valid ({error}): start this process with the command `mlops`"
        ) from None
