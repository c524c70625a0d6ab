"""What `mlops score` asks of the process that scores."""

import msgspec

from batch.errors import UsageError


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`release` is the folder of a deployment, `rejects` that of the rejects files; `max_rejects` is
    a number of rows or a percentage."""

    inputs: list[str]
    to: str
    release: str
    key: str | None = None
    force: bool = False
    max_rejects: str = "1%"
    rejects: str = "rejects"
    engine: str = "threads"
    scheduler: str | None = None


def read(text: str) -> Order:
    try:
        return msgspec.json.decode(text, type=Order)
    except msgspec.DecodeError as error:
        raise UsageError(f"this is no order ({error}): start with `mlops score`") from None
