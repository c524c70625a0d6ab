"""Scores files of rows once, and stores the predictions: `python -m mlops.batch.score ORDER`.

Each file is a batch, which is identified by its content, key, model and environment, so that the same order
does not score it again. A file whose own fault it is does not keep the others from being scored.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from mlops.batch import errors, progress
from mlops.batch.answers import ROWS
from mlops.batch.batches import Batch, Finished, batch_identity
from mlops.batch.destinations import destinations
from mlops.batch.destinations.destinations import Destination
from mlops.batch.errors import AlreadyScored
from mlops.batch.order import ScoreOrder, read_order
from mlops.batch.rejects import Limit, RejectsFile
from mlops.batch.report import Report, Say, listed_names
from mlops.errors import Away, MlopsError, counted
from mlops.predict import release, schema
from mlops.predict.predictor import MODEL, SCHEMA
from mlops.predict.release import BUNDLE, Release
from mlops.predict.schema import Schema
from mlops.tables import files, urls
from mlops.tables.files import File
from mlops.tables.urls import Url

if TYPE_CHECKING:
    from mlops.batch.engines.engines import Engine
    from mlops.batch.scorer import Scorer
    from mlops.batch.tally import Tally
    from mlops.tables.pieces import Wanted
    from mlops.tables.sources import Source

MOST_WARNINGS = 5


def main() -> None:
    import mlops.batch.without_pandas  # noqa: F401

    errors.report_errors(lambda: score_files(read_order(ScoreOrder), errors.say))


def score_files(order: ScoreOrder, say: Say) -> None:
    """Scores each file of an order as a batch of its own, small files first, and stores the predictions,
    unless the same batch was scored before and no other version has scored its file since. Calls `say` with
    each line of the report. Raises the error of a single file, and FilesFailed if some of several files
    failed; other errors end the run."""
    Limit.parse(order.max_rejects)
    url = urls.parse_url(order.to)
    paths, unfound = files.find_paths(order.inputs)
    report = Report(say, len(paths) + len(unfound), as_json=order.json)
    for text, error in unfound.items():
        report.begin(text)
        report.end(text, error)
    unread = files.unread_entries(text for text in order.inputs if text not in unfound)
    if unread:
        report.tell(f"not read, since only files with known names are: {listed_names(unread)}")
    try:
        with Run(order, url, report) as run:
            run.score_each(paths)
    except MlopsError as error:
        report.stop(error)
        raise
    report.finish()


class Run:
    """The run of an order. The model, the engine and the connection to the destination are made once, when
    the first file needs them."""

    def __init__(self, order: ScoreOrder, url: Url, report: Report) -> None:
        self._order = order
        self._url = url
        self._report = report
        self._bundle = Path(order.release) / BUNDLE
        self._released = release.read_release(Path(order.release))
        self._schema = schema.read_schema(self._bundle / SCHEMA)
        self._contexts = ExitStack()
        self._destination: Destination | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *how: object) -> None:
        self._disconnect()
        self._contexts.close()

    def score_each(self, paths: Sequence[str]) -> None:
        """Scores the files. If the destination is away for two files in turn, it is away for all of them."""
        started = datetime.now(UTC)
        moments = {path: started + timedelta(microseconds=n) for n, path in enumerate(paths)}
        was_away = False
        for path in sorted(paths, key=files.size_of_file):
            self._report.begin(path)
            try:
                self.score_file(path, moments[path])
            except Away as error:
                self._report.end(path, error)
                if was_away:
                    raise
                self._disconnect()
                was_away = True
            except errors.FAULTS_OF_FILES as error:
                self._report.end(path, error)
                was_away = False
            else:
                self._report.end(path)
                was_away = False

    def score_file(self, path: str, moment: datetime) -> None:
        file = files.hashed_file(path)
        batch = new_batch(file, self._order.key, self._released, self._schema, moment)
        destination = self._connect()
        finished = None if self._order.force else destination.finished(batch)
        if finished and not finished.superseded_by:
            self._report.tell_scored_before(already_scored(batch, finished))
            return
        if finished:
            self._report.tell(
                f"{path} is scored again: {finished.superseded_by} has scored it since "
                f"{batch.model_version} did, which {batch.environment} holds now"
            )
        force = self._order.force or finished is not None
        try:
            self._store(batch, file, destination, force=force)
        except AlreadyScored:
            self._report.tell(f"batch {batch.batch_id} was scored by another run at the same time")

    def _store(self, batch: Batch, file: File, destination: Destination, *, force: bool) -> None:
        from mlops.batch.tally import Tally
        from mlops.tables import sources

        started = time.monotonic()
        source = sources.open_source(file, self._scorer.wanted)
        announce_source(source, self._scorer.wanted, self._report.tell)
        rejects = RejectsFile(Path(self._order.rejects, f"{batch.batch_id}.csv"))
        with progress.progress_bar(file.size) as advance, closing(rejects):
            tally = Tally(Limit.parse(self._order.max_rejects), rejects, advance)
            parts = self._engine(sources.pieces_of([source], self._scorer.wanted))
            columns = ROWS[self._schema.task]
            rows = pa.RecordBatchReader.from_batches(columns, tally.count_parts(parts))
            destination.store(batch, rows, tally.outcome, force=force)
        for line in summary_lines(
            batch, tally, rejects, str(self._url), time.monotonic() - started
        ):
            self._report.tell(line)

    def _connect(self) -> Destination:
        if self._destination is None:
            self._destination = destinations.open_destination(self._url)
        return self._destination

    def _disconnect(self) -> None:
        if self._destination:
            self._destination.close()
            self._destination = None

    @cached_property
    def _scorer(self) -> "Scorer":
        from mlops.batch.scorer import Scorer

        release.verify_bundle(self._released, self._bundle)
        return Scorer(self._bundle, self._order.key)

    @cached_property
    def _engine(self) -> "Engine":
        from mlops.batch.engines import engines

        return self._contexts.enter_context(engines.start_engine(self._order, self._scorer))


def new_batch(
    file: File, key: str | None, released: Release, input_schema: Schema, moment: datetime
) -> Batch:
    model = (released.bundle, released.version, released.environment)
    negative, positive = input_schema.classes if input_schema.task == "binary" else (None, None)
    return Batch(
        batch_id=batch_identity(file.digest, key, *model),
        source=urls.redact_passwords(file.path),
        source_hash=file.digest,
        model_version=released.name,
        model_hash=released.files[MODEL],
        environment=released.environment,
        target=input_schema.target,
        task=input_schema.task,
        negative=negative,
        positive=positive,
        started_at=moment,
    )


def already_scored(batch: Batch, finished: Finished) -> str:
    return (
        f"already scored: {batch.source} with {batch.model_version} ({batch.environment}) at "
        f"{finished.finished_at:%Y-%m-%d %H:%M:%S} UTC, {counted(finished.rows, 'row')}; "
        f"--force scores it again\nbatch {batch.batch_id}"
    )


def announce_source(source: "Source", wanted: "Wanted", say: Say) -> None:
    if source.notice:
        say(source.notice)
    known = {*wanted.names}
    if names := [*dict.fromkeys(name for name in source.names if name not in known)]:
        say(f"ignored columns, which the model does not use: {listed_names(names)}")


def summary_lines(
    batch: Batch, tally: "Tally", rejects: RejectsFile, to: str, seconds: float
) -> Iterator[str]:
    pace = tally.rows / max(seconds, 0.001)
    yield f"scored {counted(tally.rows, 'row')} of {batch.source} in {seconds:.1f} s, {pace:,.0f} rows/s"
    yield f"model {batch.model_version} ({batch.environment}); batch {batch.batch_id} in {to}"
    if tally.rejected:
        yield f"rejected {counted(tally.rejected, 'row')}: {rejects.path}"
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
