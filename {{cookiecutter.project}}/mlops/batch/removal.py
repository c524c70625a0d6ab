"""Removes the rows of old batches from a destination: `python -m mlops.batch.removal ORDER`."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct

from mlops.batch import errors
from mlops.batch.destinations import destinations
from mlops.batch.order import read_order
from mlops.errors import counted
from mlops.predict import release
from mlops.tables import urls


class RemovalOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """An order to remove the rows of batches that an environment began to score more than `days` days ago.
    `url` is that of the destination, and `release` the folder of a deployment of the environment."""

    url: str
    days: float
    release: str


def main() -> None:
    import mlops.batch.without_pandas  # noqa: F401

    errors.report_errors(lambda: remove_old_batches(read_order(RemovalOrder)))


def remove_old_batches(order: RemovalOrder) -> None:
    """Removes the rows, and prints how many there were. The record of a batch stays, so that a file that is
    still there is not scored again."""
    environment = release.read_release(Path(order.release)).environment
    before = datetime.now(UTC) - timedelta(days=order.days)
    with closing(destinations.open_existing(urls.parse_url(order.url))) as destination:
        removed = destination.remove_before(environment, before)
    errors.say(
        f"removed {counted(sum(removed), 'row')} of {counted(len(removed), 'batch', 'batches')} that "
        f"{environment} scored before {before:%Y-%m-%d %H:%M} UTC"
    )


if __name__ == "__main__":
    main()
