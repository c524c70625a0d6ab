"""`python -m mlops.batch.score ORDER`: files of rows to predictions in a database, once.

A batch is known by its rows, key, model and environment: the same order again finds it done.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from mlops.batch import errors, order, progress
from mlops.batch.batches import ROWS, Batch, Finished, digest, identity
from mlops.batch.destinations import destinations
from mlops.batch.destinations.destinations import Destination
from mlops.batch.errors import AlreadyScored
from mlops.batch.order import Order
from mlops.batch.rejects import Limit, RejectsFile
from mlops.predict import release, schema
from mlops.predict.predictor import MODEL, SCHEMA
from mlops.predict.release import BUNDLE, Release
from mlops.predict.schema import Schema
from mlops.tables import files, urls
from mlops.tables.files import File

if TYPE_CHECKING:
    from mlops.batch.tally import Tally
    from mlops.tables.pieces import Wanted
    from mlops.tables.sources import Source

Say = Callable[[str], None]

MOST_COLUMNS = 10
MOST_WARNINGS = 5


def main() -> None:
    import mlops.batch.without_pandas  # noqa: F401

    errors.run(lambda: score(order.given(Order), lambda line: print(line, flush=True)))


def score(asked: Order, say: Say) -> None:
    Limit.parse(asked.max_rejects)
    url = urls.parse(asked.to)
    folder = Path(asked.release)
    released = release.read(folder)
    found = files.find(asked.inputs)
    batch = batch_of(asked, found, released, schema.read(folder / BUNDLE / SCHEMA))
    with closing(destinations.opened(url)) as destination:
        if not asked.force and (done := destination.finished(batch.batch_id)):
            say(already(batch, done))
            return
        release.verify(released, folder / BUNDLE)
        try:
            run(asked, batch, found, destination, say)
        except AlreadyScored:
            say(f"batch {batch.batch_id} was scored by another run at the same time")


def batch_of(asked: Order, found: Sequence[File], released: Release, known: Schema) -> Batch:
    source_hash = digest(sorted(file.digest for file in found))
    made_by = (released.bundle, released.version, released.environment)
    first, *others = map(urls.redacted, asked.inputs)
    negative, positive = known.classes
    return Batch(
        batch_id=identity(source_hash, asked.key, *made_by),
        source=f"{first} and {len(others)} more" if others else first,
        source_hash=source_hash,
        model_version=released.name,
        model_hash=released.files[MODEL],
        environment=released.environment,
        negative=negative,
        positive=positive,
        started_at=datetime.now(UTC),
    )


def already(batch: Batch, done: Finished) -> str:
    return (
        f"already scored: {batch.source} with {batch.model_version} ({batch.environment}) at "
        f"{done.finished_at:%Y-%m-%d %H:%M:%S} UTC, {done.rows:,} rows; --force scores again\n"
        f"batch {batch.batch_id}"
    )


def run(
    asked: Order, batch: Batch, found: Sequence[File], destination: Destination, say: Say
) -> None:
    from mlops.batch.engines import engines
    from mlops.batch.scorer import Scorer
    from mlops.batch.tally import Tally
    from mlops.tables import sources

    started = time.monotonic()
    scorer = Scorer(Path(asked.release) / BUNDLE, asked.key)
    opened = [sources.open_source(file, scorer.wanted) for file in found]
    announce(opened, scorer.wanted, say)
    rejects = RejectsFile(Path(asked.rejects, f"{batch.batch_id}.csv"))
    with (
        progress.shown(sum(file.size for file in found)) as advance,
        closing(rejects),
        engines.started(asked, scorer) as engine,
    ):
        tally = Tally(Limit.parse(asked.max_rejects), rejects, advance)
        parts = engine(sources.pieces(opened, scorer.wanted))
        rows = pa.RecordBatchReader.from_batches(ROWS, tally.counted(parts))
        destination.store(batch, rows, tally.outcome, force=asked.force)
    for line in summary(batch, tally, rejects, urls.redacted(asked.to), time.monotonic() - started):
        say(line)


def announce(opened: "Sequence[Source]", wanted: "Wanted", say: Say) -> None:
    from mlops.tables import sources

    for source in opened:
        if source.notice:
            say(source.notice)
    if names := sources.ignored(opened, wanted):
        more = f" and {len(names) - MOST_COLUMNS} more" if len(names) > MOST_COLUMNS else ""
        say(f"ignored, as the model does not know them: {', '.join(names[:MOST_COLUMNS])}{more}")


def summary(
    batch: Batch, tally: "Tally", rejects: RejectsFile, to: str, seconds: float
) -> Iterator[str]:
    pace = tally.rows / max(seconds, 0.001)
    yield f"scored {tally.rows:,} rows of {batch.source} in {seconds:.1f} s, {pace:,.0f} rows/s"
    yield f"model {batch.model_version} ({batch.environment}); batch {batch.batch_id} in {to}"
    if tally.rejected:
        yield f"rejected {tally.rejected:,} rows: {rejects.path}"
    if tally.warnings:
        most = tally.warnings.most_common(MOST_WARNINGS)
        more = (
            f" and {len(tally.warnings) - len(most)} more"
            if len(tally.warnings) > len(most)
            else ""
        )
        kinds = ", ".join(f"{what} ({number:,})" for what, number in most)
        yield f"warnings {tally.warnings.total():,}: {kinds}{more}"


if __name__ == "__main__":
    main()
