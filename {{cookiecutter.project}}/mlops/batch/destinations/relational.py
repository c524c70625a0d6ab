"""Predictions in a relational database: tables, their migrations, one transaction per batch.

`batches` holds what is one for a whole batch, `scores` what is of one row; the views `predictions` and
`latest_predictions` join them. `profiles` is what `mlops monitor` reads, `labels` what it compares with.
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

from mlops.batch.batches import Batch, Finished, Outcome
from mlops.batch.errors import AlreadyScored, DuplicateKey
from mlops.errors import Away, MlopsError, Refused
from mlops.tables.urls import Url

PREDICTIONS = """\
SELECT batch_id, row_key, prediction, probability_negative, probability_positive,
    model_version, environment, started_at AS scored_at"""

TABLES = (
    """CREATE TABLE batches (
        batch {identity},
        batch_id TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL,
        source_hash TEXT NOT NULL,
        model_version TEXT NOT NULL,
        model_hash TEXT NOT NULL,
        environment TEXT NOT NULL,
        negative TEXT NOT NULL,
        positive TEXT NOT NULL,
        started_at {moment} NOT NULL,
        rows BIGINT,
        rejected BIGINT,
        warnings BIGINT,
        finished_at {moment},
        status TEXT NOT NULL DEFAULT 'running'
    )""",
    "CREATE INDEX batches_started_at ON batches (started_at)",
    """CREATE TABLE scores (
        batch INTEGER NOT NULL,
        row_key TEXT NOT NULL,
        prediction TEXT NOT NULL,
        probability_negative REAL NOT NULL,
        probability_positive REAL NOT NULL,
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
    "CREATE TABLE labels (row_key TEXT PRIMARY KEY, label TEXT NOT NULL, loaded_at {moment} NOT NULL)",
)


@dataclass(frozen=True)
class Migration:
    """`additive`: code that does not know it yet may go on writing."""

    version: int
    additive: bool
    statements: Sequence[str]


MIGRATIONS = (Migration(1, False, TABLES),)

VERSIONS = (
    "CREATE TABLE IF NOT EXISTS schema_versions "
    "(version INTEGER PRIMARY KEY, additive BOOLEAN NOT NULL, applied_at {moment} NOT NULL)"
)


class Relational(ABC):
    """A database in which every table is there. SQL takes its parameters at question marks."""

    types: ClassVar[Mapping[str, str]]

    def __init__(self, url: Url) -> None:
        self.url = url
        with self._told():
            self._connection = self.connect()
            self._migrate()

    @abstractmethod
    def connect(self) -> adbc.AdbcConnection: ...

    @abstractmethod
    def has(self, table: str) -> bool: ...

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Waits for another one that writes the same."""
        with self._told():
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
    def hold_schema(self) -> None:
        """In a transaction: let nobody else make tables until its end."""

    def placed(self, sql: str) -> str:
        """The statement with the placeholders of the database."""
        return sql

    def value(self, value: object) -> object:
        """A parameter as the database keeps it."""
        return value

    def finished(self, batch_id: str) -> Finished | None:
        sql = "SELECT rows, rejected, finished_at FROM batches WHERE batch_id = ?"
        for row in self.query(sql, batch_id).to_pylist():
            return Finished(row["rows"], row["rejected"], datetime_of(row["finished_at"]))
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
            if force:
                self._remove(batch.batch_id)
            number = self._claim(batch)
            self._write(number, rows)
            came = outcome()
            self.execute(
                "UPDATE batches SET rows = ?, rejected = ?, warnings = ?, finished_at = ?, "
                "status = 'finished' WHERE batch = ?",
                *(came.rows, came.rejected, came.warnings, came.finished_at, number),
            )
            self.ingest("profiles", with_batch_number(profile_rows(came), number))

    def query(self, sql: str, *parameters: object) -> pa.Table:
        with self._told(), self._prepared(sql, parameters) as statement:
            stream, _ = statement.execute_query()
            return pa.RecordBatchReader.from_stream(stream).read_all()

    def execute(self, sql: str, *parameters: object) -> None:
        with self._told(), self._prepared(sql, parameters) as statement:
            statement.execute_update()

    def execute_each(self, sql: str, rows: pa.Table) -> None:
        """Once for each row, whose columns are the parameters in their order."""
        with self._told(), adbc.AdbcStatement(self._connection) as statement:
            statement.set_sql_query(self.placed(sql))
            statement.prepare()
            statement.bind_stream(rows.to_reader())
            statement.execute_update()

    def ingest(self, table: str, rows: pa.RecordBatchReader) -> None:
        with self._told(), adbc.AdbcStatement(self._connection) as statement:
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
        """A second one that would replace it waits at the first statement."""
        sql = "DELETE FROM batches WHERE batch_id = ? RETURNING batch"
        for row in self.query(sql, batch_id).to_pylist():
            for table in ("scores", "profiles"):
                self.execute(f"DELETE FROM {table} WHERE batch = ?", row["batch"])  # noqa: S608

    def _claim(self, batch: Batch) -> int:
        """The number of the batch, of which no other run can have one until the transaction ends."""
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
                raise self._named(error, number, stream) from None
            raise

    def _named(self, error: DuplicateKey, number: int, stream: "Stream") -> DuplicateKey:
        """Says which key; a database that does not say it still has the rows before."""
        found = re.search(r"\(row_key, batch\)=\((.*), \d+\)", str(error.__cause__))
        if found:
            return duplicate_key(found[1])
        sql = "SELECT count(*) AS rows FROM scores WHERE batch = ?"
        stored = self.query(sql, number)["rows"][0].as_py()
        return duplicate_key(stream.key(stored))

    @contextmanager
    def _prepared(self, sql: str, parameters: Sequence[object]) -> Iterator[adbc.AdbcStatement]:
        with adbc.AdbcStatement(self._connection) as statement:
            statement.set_sql_query(self.placed(sql))
            if parameters:
                statement.prepare()
                values = [pa.array([self.value(parameter)]) for parameter in parameters]
                statement.bind(pa.record_batch(values, names=[*map(str, range(len(values)))]))
            yield statement

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except adbc.Error as error:
            raise self._translated(error) from error

    def _translated(self, error: adbc.Error) -> MlopsError:
        reason = driver_reason(error)
        if error.sqlstate == "23505" or "UNIQUE constraint failed" in reason:
            return DuplicateKey(reason)
        if isinstance(error, adbc.ProgrammingError):
            return Refused(f"{self.url} is not as it should be: {reason}; nothing was stored")
        return Away(f"{self.url} can't be used now: {reason}; nothing was stored, try again later")

    def _migrate(self) -> None:
        if self._version() == MIGRATIONS[-1].version:
            return
        with self.transaction():
            self.hold_schema()
            self.execute(VERSIONS.format(**self.types))
            done = self._version()
            for migration in MIGRATIONS[done:]:
                for statement in migration.statements:
                    self.execute(statement.format(**self.types))
                self.execute(
                    "INSERT INTO schema_versions VALUES (?, ?, ?)",
                    *(migration.version, migration.additive, datetime.now(UTC)),
                )

    def _version(self) -> int:
        """The version of the tables, as far as this code knows them."""
        if not self.has("schema_versions"):
            return 0
        known = MIGRATIONS[-1].version
        applied = self.query("SELECT version, additive FROM schema_versions").to_pylist()
        if newer := [row for row in applied if row["version"] > known and not row["additive"]]:
            raise Refused(
                f"{self.url} has tables of version {newer[-1]['version']}, and this code knows those "
                f"of {known}: score with a version that was released later"
            )
        return min(known, max((row["version"] for row in applied), default=0))


class Stream:
    """Rows on their way into the database, which remembers what it was told last."""

    def __init__(self, rows: pa.RecordBatchReader) -> None:
        self.failure: BaseException | None = None
        self._rows = rows
        self._before = 0
        self._last: pa.RecordBatch | None = None

    def reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self._rows.schema, self._kept())

    def key(self, number: int) -> str:
        """Of the row that came after `number` others."""
        assert self._last is not None
        return str(self._last["row_key"][number - self._before])

    def _kept(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._rows:
                self._before += self._last.num_rows if self._last else 0
                self._last = batch
                yield batch
        except BaseException as error:
            self.failure = error
            raise


def driver_reason(error: adbc.Error) -> str:
    """The line that says why, of the lines in which a driver says also what it was asked."""
    text = re.sub(r"^[A-Z_]+: |\[\w+\] ", "", str(error)).strip()
    why = re.search(r"(?:ERROR|FATAL): +(.*)", text)
    return why[1] if why else text.splitlines()[0]


def duplicate_key(key: str) -> DuplicateKey:
    return DuplicateKey(
        f"two rows of the batch have the key {key!r}, and nothing was stored: name another --key, or "
        "leave it out to know rows by file and number"
    )


def with_batch_number(rows: pa.RecordBatchReader, number: int) -> pa.RecordBatchReader:
    """With the number of the batch as their first column."""
    field = pa.field("batch", pa.int32())
    scalar = pa.scalar(number, pa.int32())
    schema = pa.schema([field, *rows.schema])
    return pa.RecordBatchReader.from_batches(
        schema,
        (
            pa.RecordBatch.from_arrays(
                [pa.repeat(scalar, len(batch)), *batch.columns], schema=schema
            )
            for batch in rows
        ),
    )


def profile_rows(outcome: Outcome) -> pa.RecordBatchReader:
    counts = outcome.profile
    batch = pa.record_batch(
        {
            "column": pa.array([count.column for count in counts], pa.string()),
            "bin": pa.array([count.bin for count in counts], pa.int32()),
            "rows": pa.array([count.rows for count in counts], pa.int64()),
        }
    )
    return pa.RecordBatchReader.from_batches(batch.schema, [batch])


def datetime_of(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
