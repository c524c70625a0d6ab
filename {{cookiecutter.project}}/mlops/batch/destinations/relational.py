"""Stores predictions in the tables of a relational database, in one transaction per batch.

The table `batches` has a row for each batch, and `scores` a row for each scored row; the views `predictions`
and `latest_predictions` join them. `mlops monitor` reads `profiles` and `row_hashes`, and compares with
`labels`.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from typing import ClassVar

import adbc_driver_manager as adbc
import pyarrow as pa

from mlops.batch.answers import ANSWER_COLUMNS
from mlops.batch.batches import Batch, Finished, Outcome
from mlops.batch.errors import AlreadyScored, DuplicateKey, duplicate_key
from mlops.batch.waiting import announce_wait
from mlops.errors import Away, MlopsError, Refused
from mlops.tables.errors import SourceError
from mlops.tables.urls import Url

PREDICTIONS = f"""\
SELECT batch_id, row_key, {", ".join(ANSWER_COLUMNS.names)}, target, model_version, environment,
    started_at AS scored_at"""

TABLES = (
    """CREATE TABLE batches (
        batch {identity},
        batch_id TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL,
        source_hash TEXT NOT NULL,
        model_version TEXT NOT NULL,
        model_hash TEXT NOT NULL,
        environment TEXT NOT NULL,
        target TEXT NOT NULL,
        task TEXT NOT NULL,
        negative TEXT,
        positive TEXT,
        started_at {moment} NOT NULL,
        rows BIGINT,
        rejected BIGINT,
        warnings BIGINT,
        finished_at {moment},
        status TEXT NOT NULL DEFAULT 'running'
    )""",
    "CREATE INDEX batches_started_at ON batches (started_at)",
    "CREATE INDEX batches_source_hash ON batches (source_hash)",
    """CREATE TABLE scores (
        batch INTEGER NOT NULL,
        row_key TEXT NOT NULL,
        prediction TEXT,
        probability_negative REAL,
        probability_positive REAL,
        probability REAL,
        probabilities {json},
        number DOUBLE PRECISION,
        PRIMARY KEY (row_key, batch)
    )""",
    "CREATE INDEX scores_batch ON scores (batch)",
    f"CREATE VIEW predictions AS {PREDICTIONS} FROM scores JOIN batches USING (batch)",
    f"""CREATE VIEW latest_predictions AS
    {PREDICTIONS.replace("started_at AS", "")} FROM (
        {PREDICTIONS}, ROW_NUMBER() OVER (
            PARTITION BY environment, row_key ORDER BY started_at DESC, batch DESC
        ) AS age
        FROM scores JOIN batches USING (batch)
    ) AS aged WHERE age = 1""",
    """CREATE TABLE profiles (
        batch INTEGER NOT NULL,
        "column" TEXT NOT NULL,
        bin INTEGER NOT NULL,
        rows BIGINT NOT NULL,
        PRIMARY KEY (batch, "column", bin)
    )""",
    """CREATE TABLE row_hashes (
        batch INTEGER NOT NULL,
        hash BIGINT NOT NULL,
        rows BIGINT NOT NULL,
        PRIMARY KEY (batch, hash)
    )""",
    """CREATE TABLE labels (
        row_key TEXT NOT NULL,
        target TEXT NOT NULL,
        label TEXT,
        number DOUBLE PRECISION,
        loaded_at {moment} NOT NULL,
        PRIMARY KEY (row_key, target)
    )""",
)

FINISHED = """
SELECT rows, rejected, finished_at, (
    SELECT model_version FROM batches AS later
    WHERE later.source_hash = batches.source_hash AND later.environment = batches.environment
        AND later.model_version <> ? AND later.started_at > batches.started_at
        AND later.status = 'finished'
    ORDER BY started_at DESC LIMIT 1
) AS superseded_by
FROM batches WHERE batch_id = ?"""

OLD = """
SELECT batch, rows FROM batches
WHERE environment = ? AND started_at < ? AND status = 'finished' ORDER BY batch"""

REMOVE_LABELS = """
DELETE FROM labels
WHERE loaded_at < ? AND NOT EXISTS (
    SELECT 1 FROM scores JOIN batches ON batches.batch = scores.batch
    WHERE scores.row_key = labels.row_key AND batches.target = labels.target
)"""


@dataclass(frozen=True)
class Migration:
    """A change of the tables. Code that does not know an `additive` one yet can still write to the tables."""

    version: int
    additive: bool
    statements: Sequence[str]


MIGRATIONS = (Migration(1, False, TABLES),)

VERSIONS_TABLE = "prediction_schema_versions"
"""The table of the applied migrations. Other programs often have a `schema_versions`."""

VERSIONS = (
    f"CREATE TABLE IF NOT EXISTS {VERSIONS_TABLE} "
    "(version INTEGER PRIMARY KEY, additive BOOLEAN NOT NULL, applied_at {moment} NOT NULL)"
)

APPLIED = f"SELECT version, additive FROM {VERSIONS_TABLE}"  # noqa: S608


class Relational(ABC):
    """A connection to a database that has all tables. In SQL, each question mark stands for a parameter.

    If a database without tables is opened and `create` is not set, SourceError is raised."""

    types: ClassVar[Mapping[str, str]]
    own_place: ClassVar[str]
    """What to do if the database has tables of the same names that belong to another program."""

    def __init__(self, url: Url, *, create: bool = True) -> None:
        self.url = url
        with self._driver_errors(), announce_wait(url):
            self._connection = self.connect()
            try:
                self.set_up()
                if not (create or self.has_table(VERSIONS_TABLE)):
                    raise SourceError(
                        f"{url} holds no predictions, and nothing was changed: name the database of "
                        "`mlops score --to`"
                    )
                self._migrate()
            except BaseException:
                self._connection.close()
                raise

    @abstractmethod
    def connect(self) -> adbc.AdbcConnection: ...

    @abstractmethod
    def set_up(self) -> None:
        """Makes the settings of a new connection."""

    @abstractmethod
    def has_table(self, table: str) -> bool: ...

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits at the end, or rolls back if an error is raised. Waits for another transaction that writes
        the same rows."""
        with self._driver_errors():
            with announce_wait(f"{self.url}, which another process is writing to,"):
                self.begin()
            try:
                yield
                self.commit()
            except BaseException:
                with suppress(adbc.Error, MlopsError):
                    self.rollback()
                raise

    @abstractmethod
    def begin(self) -> None: ...

    @abstractmethod
    def commit(self) -> None: ...

    @abstractmethod
    def rollback(self) -> None: ...

    @abstractmethod
    def lock_schema(self) -> None:
        """Prevents other connections from creating tables until the transaction ends."""

    @abstractmethod
    def lock_for_writing(self) -> None:
        """Waits for those that have locked whole tables, at the beginning of a transaction."""

    @abstractmethod
    def known_fault(self, error: adbc.Error, reason: str) -> MlopsError | None:
        """Returns what an error of this database means: a FileFault if no row of this kind can be stored,
        UsageError or Refused if the configuration or a missing right is the reason, Away if waiting may
        help, and None if nothing is known. `reason` is the line of the message that gives the reason."""

    def with_placeholders(self, sql: str) -> str:
        """Returns the statement with the placeholders that the database knows instead of question marks."""
        return sql

    def to_parameter(self, value: object) -> object:
        """Returns a value in the form in which the database stores it."""
        return value

    def finished(self, batch: Batch) -> Finished | None:
        for row in self.query(FINISHED, batch.model_version, batch.batch_id).to_pylist():
            finished_at = datetime_of(row["finished_at"])
            return Finished(row["rows"], row["rejected"], finished_at, row["superseded_by"])
        return None

    def store(
        self,
        batch: Batch,
        rows: pa.RecordBatchReader,
        outcome: Callable[[], Outcome],
        *,
        force: bool,
    ) -> None:
        with self.transaction():
            with announce_wait(f"{self.url}, which another process is writing to,"):
                self.lock_for_writing()
                if force:
                    self._remove(batch.batch_id)
                number = self._claim(batch)
            self._write(number, rows)
            result = outcome()
            self.execute(
                "UPDATE batches SET rows = ?, rejected = ?, warnings = ?, finished_at = ?, "
                "status = 'finished' WHERE batch = ?",
                *(result.rows, result.rejected, result.warnings, result.finished_at, number),
            )
            self.ingest("profiles", with_batch_number(profile_rows(result), number))
            self.ingest("row_hashes", with_batch_number(hash_rows(result), number))

    def remove_before(self, environment: str, moment: datetime) -> list[int]:
        """Removes rows as every destination does, and also the older labels of rows of which no prediction
        of their target is left."""
        old = self.query(OLD, environment, moment).to_pylist()
        for batch in old:
            with self.transaction():
                self.execute(
                    "UPDATE batches SET status = 'removed' WHERE batch = ?", batch["batch"]
                )
                self._remove_rows(batch["batch"])
        self.execute(REMOVE_LABELS, moment)
        return [batch["rows"] for batch in old]

    def query(self, sql: str, *parameters: object) -> pa.Table:
        """Returns the rows of a query. Raises DuplicateKey, Refused or Away, as `execute` and the others
        do."""
        with self._driver_errors(), self._prepared_statement(sql, parameters) as statement:
            stream, _ = statement.execute_query()
            return pa.RecordBatchReader.from_stream(stream).read_all()

    def execute(self, sql: str, *parameters: object) -> None:
        with self._driver_errors(), self._prepared_statement(sql, parameters) as statement:
            statement.execute_update()

    def execute_each(self, sql: str, rows: pa.Table) -> None:
        """Executes a statement once for each row; the columns are its parameters, in their order."""
        with self._driver_errors(), adbc.AdbcStatement(self._connection) as statement:
            statement.set_sql_query(self.with_placeholders(sql))
            statement.prepare()
            statement.bind_stream(rows.to_reader())
            statement.execute_update()

    def ingest(self, table: str, rows: pa.RecordBatchReader) -> None:
        """Appends rows to a table."""
        with self._driver_errors(), adbc.AdbcStatement(self._connection) as statement:
            statement.set_options(
                **{
                    adbc.INGEST_OPTION_TARGET_TABLE: table,
                    adbc.INGEST_OPTION_MODE: adbc.INGEST_OPTION_MODE_APPEND,
                }
            )
            statement.bind_stream(rows)
            statement.execute_update()

    def close(self) -> None:
        self._connection.close()

    def _remove(self, batch_id: str) -> None:
        """Removes a batch. Another run that replaces the same batch waits at the first statement."""
        sql = "DELETE FROM batches WHERE batch_id = ? RETURNING batch"
        for row in self.query(sql, batch_id).to_pylist():
            self._remove_rows(row["batch"])

    def _remove_rows(self, number: int) -> None:
        for table in ("scores", "profiles", "row_hashes"):
            self.execute(f"DELETE FROM {table} WHERE batch = ?", number)  # noqa: S608

    def _claim(self, batch: Batch) -> int:
        """Returns the number of the new batch. Until the transaction ends, no other run can insert the batch.
        Raises AlreadyScored if another run has stored it."""
        names = [field.name for field in fields(batch)]
        sql = (
            f"INSERT INTO batches ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "  # noqa: S608
            "ON CONFLICT (batch_id) DO NOTHING RETURNING batch"
        )
        for row in self.query(sql, *astuple(batch)).to_pylist():
            return int(row["batch"])
        raise AlreadyScored

    def _write(self, number: int, rows: pa.RecordBatchReader) -> None:
        stream = Stream(rows)
        try:
            self.ingest("scores", with_batch_number(stream.reader(), number))
        except MlopsError as error:
            if stream.failure:
                raise stream.failure from None
            if isinstance(error, DuplicateKey):
                raise self._duplicate_key_error(error, number, stream) from None
            raise

    def _duplicate_key_error(
        self, error: DuplicateKey, number: int, stream: "Stream"
    ) -> DuplicateKey:
        """Returns the error with the key. A database whose error does not name the key has stored the rows
        that came before it."""
        key = re.search(r"\(row_key, batch\)=\((.*), \d+\)", str(error.__cause__))
        if key:
            return duplicate_key(f"the key {key[1]!r}")
        sql = "SELECT count(*) AS rows FROM scores WHERE batch = ?"
        stored = self.query(sql, number)["rows"][0].as_py()
        return duplicate_key(f"the key {stream.key(stored)!r}")

    @contextmanager
    def _prepared_statement(
        self, sql: str, parameters: Sequence[object]
    ) -> Iterator[adbc.AdbcStatement]:
        with adbc.AdbcStatement(self._connection) as statement:
            statement.set_sql_query(self.with_placeholders(sql))
            if parameters:
                statement.prepare()
                values = [pa.array([self.to_parameter(each)]) for each in parameters]
                statement.bind(pa.record_batch(values, names=[*map(str, range(len(values)))]))
            yield statement

    @contextmanager
    def _driver_errors(self) -> Iterator[None]:
        """Turns an error of the driver into an MlopsError."""
        try:
            yield
        except adbc.Error as error:
            raise self._mlops_error(error) from error

    def _mlops_error(self, error: adbc.Error) -> MlopsError:
        reason = driver_reason(error)
        if error.sqlstate == "23505" or "UNIQUE constraint failed" in reason:
            return DuplicateKey(reason)
        if known := self.known_fault(error, reason):
            return known
        if isinstance(error, adbc.ProgrammingError):
            return Refused(
                f"{self.url} has other tables than expected: {reason}; nothing was stored: {self.own_place}"
            )
        return self.unavailable(reason)

    def unavailable(self, reason: str) -> Away:
        return Away(f"{self.url} is unavailable now: {reason}; nothing was stored, try again later")

    def _migrate(self) -> None:
        if self._version() == MIGRATIONS[-1].version:
            return
        with self.transaction():
            self.lock_schema()
            self.execute(VERSIONS.format(**self.types))
            version = self._version()
            for migration in MIGRATIONS[version:]:
                for statement in migration.statements:
                    self.execute(statement.format(**self.types))
                self.execute(
                    f"INSERT INTO {VERSIONS_TABLE} VALUES (?, ?, ?)",  # noqa: S608
                    *(migration.version, migration.additive, datetime.now(UTC)),
                )

    def _version(self) -> int:
        """Returns the version of the tables, at most the one that this code knows. Raises Refused for a later
        version that this code cannot write to."""
        if not self.has_table(VERSIONS_TABLE):
            return 0
        known = MIGRATIONS[-1].version
        applied = self.query(APPLIED).to_pylist()
        if newer := [row for row in applied if row["version"] > known and not row["additive"]]:
            raise Refused(
                f"{self.url} has tables of version {newer[-1]['version']}, but this code knows only "
                f"version {known}: score with a version that was released later"
            )
        return min(known, max((row["version"] for row in applied), default=0))


class Stream:
    """Rows on their way into the database. It remembers the part that it passed on last, and the `failure` of
    what yields the rows, which a driver does not pass on."""

    def __init__(self, rows: pa.RecordBatchReader) -> None:
        self.failure: BaseException | None = None
        self._rows = rows
        self._before = 0
        self._last: pa.RecordBatch | None = None

    def reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self._rows.schema, self._parts())

    def key(self, number: int) -> str:
        """Returns the key of the row that came after `number` others, which is in the last part."""
        assert self._last is not None
        return str(self._last["row_key"][number - self._before])

    def _parts(self) -> Iterator[pa.RecordBatch]:
        try:
            for part in self._rows:
                self._before += self._last.num_rows if self._last else 0
                self._last = part
                yield part
        except BaseException as error:
            self.failure = error
            raise


def driver_reason(error: adbc.Error) -> str:
    """Returns the line of a driver's message that gives the reason; other lines repeat the statement."""
    text = re.sub(r"^[A-Z_]+: |\[\w+\] |Failed to \w+ query: ", "", str(error)).strip()
    reason = re.search(r"(?:ERROR|FATAL): +(.*)", text)
    return reason[1] if reason else text.splitlines()[0]


def with_batch_number(rows: pa.RecordBatchReader, number: int) -> pa.RecordBatchReader:
    """Returns the rows with the number of the batch as their first column."""
    field = pa.field("batch", pa.int32())
    scalar = pa.scalar(number, pa.int32())
    schema = pa.schema([field, *rows.schema])
    return pa.RecordBatchReader.from_batches(
        schema,
        (
            pa.RecordBatch.from_arrays([pa.repeat(scalar, len(part)), *part.columns], schema=schema)
            for part in rows
        ),
    )


def profile_rows(outcome: Outcome) -> pa.RecordBatchReader:
    counts = outcome.profile
    rows = pa.record_batch(
        {
            "column": pa.array([count.column for count in counts], pa.string()),
            "bin": pa.array([count.bin for count in counts], pa.int32()),
            "rows": pa.array([count.rows for count in counts], pa.int64()),
        }
    )
    return pa.RecordBatchReader.from_batches(rows.schema, [rows])


def hash_rows(outcome: Outcome) -> pa.RecordBatchReader:
    sample = outcome.sample
    rows = pa.record_batch({"hash": pa.array(sample.hashes), "rows": pa.array(sample.rows)})
    return pa.RecordBatchReader.from_batches(rows.schema, [rows])


def datetime_of(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
