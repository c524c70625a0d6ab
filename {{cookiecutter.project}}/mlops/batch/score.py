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
from mlops.batch.batches import ROWS, Batch, Finished, batch_identity, digest_of_texts
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

    errors.report_errors(
        lambda: score_files(order.read_order(Order), lambda line: print(line, flush=True))
    )


def score_files(asked: Order, say: Say) -> None:
    Limit.parse(asked.max_rejects)
    url = urls.parse_url(asked.to)
    folder = Path(asked.release)
    released = release.read_release(folder)
    found = files.find_files(asked.inputs)
    batch = batch_of(asked, found, released, schema.read_schema(folder / BUNDLE / SCHEMA))
    with closing(destinations.open_destination(url)) as destination:
        if not asked.force and (done := destination.finished(batch.batch_id)):
            say(already_scored(batch, done))
            return
        release.verify_bundle(released, folder / BUNDLE)
        try:
            score_sources(asked, batch, found, destination, say)
        except AlreadyScored:
            say(f"batch {batch.batch_id} was scored by another run at the same time")


def batch_of(asked: Order, found: Sequence[File], released: Release, known: Schema) -> Batch:
    source_hash = digest_of_texts(sorted(file.digest for file in found))
    made_by = (released.bundle, released.version, released.environment)
    first, *others = map(urls.redact_passwords, asked.inputs)
    negative, positive = known.classes
    return Batch(
        batch_id=batch_identity(source_hash, asked.key, *made_by),
        source=f"{first} and {len(others)} more" if others else first,
        source_hash=source_hash,
        model_version=released.name,
        model_hash=released.files[MODEL],
        environment=released.environment,
        negative=negative,
        positive=positive,
        started_at=datetime.now(UTC),
    )


def already_scored(batch: Batch, done: Finished) -> str:
    return (
        f"already scored: {batch.source} with {batch.model_version} ({batch.environment}) at "
        f"{done.finished_at:%Y-%m-%d %H:%M:%S} UTC, {done.rows:,} rows; --force scores again\n"
        f"batch {batch.batch_id}"
    )


def score_sources(
    asked: Order, batch: Batch, found: Sequence[File], destination: Destination, say: Say
) -> None:
    from mlops.batch.engines import engines
    from mlops.batch.scorer import Scorer
    from mlops.batch.tally import Tally
    from mlops.tables import sources

    started = time.monotonic()
    scorer = Scorer(Path(asked.release) / BUNDLE, asked.key)
    opened = [sources.open_source(file, scorer.wanted) for file in found]
    announce_sources(opened, scorer.wanted, say)
    rejects = RejectsFile(Path(asked.rejects, f"{batch.batch_id}.csv"))
    with (
        progress.progress_bar(sum(file.size for file in found)) as advance,
        closing(rejects),
        engines.start_engine(asked, scorer) as engine,
    ):
        tally = Tally(Limit.parse(asked.max_rejects), rejects, advance)
        parts = engine(sources.pieces_of(opened, scorer.wanted))
        rows = pa.RecordBatchReader.from_batches(ROWS, tally.count_parts(parts))
        destination.store(batch, rows, tally.outcome, force=asked.force)
    for line in summary_lines(
        batch, tally, rejects, urls.redact_passwords(asked.to), time.monotonic() - started
    ):
        say(line)


def announce_sources(opened: "Sequence[Source]", wanted: "Wanted", say: Say) -> None:
    from mlops.tables import sources

    for source in opened:
        if source.notice:
            say(source.notice)
    if names := sources.ignored_columns(opened, wanted):
        more = f" and {len(names) - MOST_COLUMNS} more" if len(names) > MOST_COLUMNS else ""
        say(f"ignored, as the model does not know them: {', '.join(names[:MOST_COLUMNS])}{more}")


def summary_lines(
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
