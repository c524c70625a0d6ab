"""Scores files of rows once, and stores the predictions: `python -m mlops.batch.score ORDER`.

A batch is identified by its rows, key, model and environment, so that the same order does not score it again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from mlops.batch import errors, progress
from mlops.batch.batches import ROWS, Batch, Finished, batch_identity, digest_of_texts
from mlops.batch.destinations import destinations
from mlops.batch.destinations.destinations import Destination
from mlops.batch.errors import AlreadyScored
from mlops.batch.order import ScoreOrder, read_order
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
        lambda: score_files(read_order(ScoreOrder), lambda line: print(line, flush=True))
    )


def score_files(order: ScoreOrder, say: Say) -> None:
    """Scores the files of an order and stores the predictions, unless the same batch was scored before. Calls
    `say` with each line of the report."""
    Limit.parse(order.max_rejects)
    url = urls.parse_url(order.to)
    folder = Path(order.release)
    released = release.read_release(folder)
    batch_files = files.find_files(order.inputs)
    batch = new_batch(order, batch_files, released, schema.read_schema(folder / BUNDLE / SCHEMA))
    with closing(destinations.open_destination(url)) as destination:
        if not order.force and (finished := destination.finished(batch.batch_id)):
            say(already_scored(batch, finished))
            return
        release.verify_bundle(released, folder / BUNDLE)
        try:
            score_sources(order, batch, batch_files, destination, say)
        except AlreadyScored:
            say(f"batch {batch.batch_id} was scored by another run at the same time")


def new_batch(
    order: ScoreOrder, batch_files: Sequence[File], released: Release, input_schema: Schema
) -> Batch:
    source_hash = digest_of_texts(sorted(file.digest for file in batch_files))
    model = (released.bundle, released.version, released.environment)
    first, *others = map(urls.redact_passwords, order.inputs)
    negative, positive = input_schema.classes
    return Batch(
        batch_id=batch_identity(source_hash, order.key, *model),
        source=f"{first} and {len(others)} more" if others else first,
        source_hash=source_hash,
        model_version=released.name,
        model_hash=released.files[MODEL],
        environment=released.environment,
        negative=negative,
        positive=positive,
        started_at=datetime.now(UTC),
    )


def already_scored(batch: Batch, finished: Finished) -> str:
    return (
        f"already scored: {batch.source} with {batch.model_version} ({batch.environment}) at "
        f"{finished.finished_at:%Y-%m-%d %H:%M:%S} UTC, {finished.rows:,} rows; --force scores it again\n"
        f"batch {batch.batch_id}"
    )


def score_sources(
    order: ScoreOrder,
    batch: Batch,
    batch_files: Sequence[File],
    destination: Destination,
    say: Say,
) -> None:
    from mlops.batch.engines import engines
    from mlops.batch.scorer import Scorer
    from mlops.batch.tally import Tally
    from mlops.tables import sources

    started = time.monotonic()
    scorer = Scorer(Path(order.release) / BUNDLE, order.key)
    batch_sources = [sources.open_source(file, scorer.wanted) for file in batch_files]
    announce_sources(batch_sources, scorer.wanted, say)
    rejects = RejectsFile(Path(order.rejects, f"{batch.batch_id}.csv"))
    with (
        progress.progress_bar(sum(file.size for file in batch_files)) as advance,
        closing(rejects),
        engines.start_engine(order, scorer) as engine,
    ):
        tally = Tally(Limit.parse(order.max_rejects), rejects, advance)
        parts = engine(sources.pieces_of(batch_sources, scorer.wanted))
        rows = pa.RecordBatchReader.from_batches(ROWS, tally.count_parts(parts))
        destination.store(batch, rows, tally.outcome, force=order.force)
    for line in summary_lines(
        batch, tally, rejects, urls.redact_passwords(order.to), time.monotonic() - started
    ):
        say(line)


def announce_sources(batch_sources: "Sequence[Source]", wanted: "Wanted", say: Say) -> None:
    from mlops.tables import sources

    for source in batch_sources:
        if source.notice:
            say(source.notice)
    if names := sources.ignored_columns(batch_sources, wanted):
        more = f" and {len(names) - MOST_COLUMNS} more" if len(names) > MOST_COLUMNS else ""
        say(
            f"ignored columns, which the model does not use: {', '.join(names[:MOST_COLUMNS])}{more}"
        )


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
        kinds = ", ".join(f"{warning} ({count:,})" for warning, count in most)
        yield f"warnings {tally.warnings.total():,}: {kinds}{more}"


if __name__ == "__main__":
    main()
