import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as pa
import pytest

import small_batch
from machinery import PROJECT
from mlops.batch import errors, waiting
from mlops.batch.answers import ROWS
from mlops.batch.batches import Batch, Count, Outcome
from mlops.batch.destinations import destinations, sqlite
from mlops.batch.destinations.relational import Relational
from mlops.batch.errors import AlreadyScored, DuplicateKey
from mlops.errors import Away, Refused, UsageError
from mlops.tables import urls
from mlops.tables.errors import SourceError
from mlops.tables.row_hashes import RowSample
from small_batch import stored

START = datetime(2026, 11, 23, 14, tzinfo=UTC)
URL = urls.parse_url(f"sqlite:///{small_batch.DATABASE}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def open_database() -> Relational:
    database = destinations.open_destination(URL)
    assert isinstance(database, Relational)
    return database


def batch(name: str, hours: int = 0, environment: str = "prod") -> Batch:
    when = START + timedelta(hours=hours)
    return Batch(
        name, "rows.csv", "s", f"v{hours}", "m", environment, "y", "binary", "no", "yes", when
    )


def rows(*keys: str) -> pa.RecordBatchReader:
    """Returns rows with these keys, in record batches of two rows."""
    batches = [
        pa.record_batch(
            [
                pa.array(keys[start : start + 2]),
                pa.array(["yes"] * len(keys[start : start + 2])),
                *[pa.array([0.1] * len(keys[start : start + 2]), pa.float32())] * 2,
            ],
            schema=ROWS["binary"],
        )
        for start in range(0, len(keys), 2)
    ]
    return pa.RecordBatchReader.from_batches(ROWS["binary"], batches)


def outcome() -> Outcome:
    sample = RowSample(np.array([-(2**63), 7]), np.array([2, 1]))
    return Outcome(3, 1, 0, START, (Count("age", 0, 2), Count("age", 1, 1)), sample)


def store(batch: Batch, *keys: str, force: bool = False) -> None:
    with closing(open_database()) as database:
        database.store(batch, rows(*keys), outcome, force=force)


def test_a_batch_its_rows_and_its_profile_are_stored(folder: Path) -> None:
    store(batch("b"), "x", "y", "z")
    assert stored("SELECT row_key, batch_id, scored_at FROM predictions") == [
        (key, "b", "2026-11-23T14:00:00.000000+00:00") for key in "xyz"
    ]
    assert stored("SELECT rows, rejected, status FROM batches") == [(3, 1, "finished")]
    assert stored('SELECT "column", bin, rows FROM profiles') == [("age", 0, 2), ("age", 1, 1)]
    assert stored("SELECT hash, rows FROM row_hashes") == [(-(2**63), 2), (7, 1)]
    with closing(open_database()) as database:
        finished = database.finished(batch("b"))
        assert finished
        assert (finished.rows, finished.rejected, finished.finished_at) == (3, 1, START)
        assert database.finished(batch("other")) is None


def test_the_latest_prediction_is_the_newest_of_its_environment(folder: Path) -> None:
    store(batch("newest", 2), "x", "y")
    store(batch("older", 1), "x", "z")
    store(batch("dev", 3, "dev"), "x")
    sql = "SELECT batch_id FROM latest_predictions WHERE environment = 'prod' ORDER BY row_key"
    assert stored(sql) == ["newest", "newest", "older"]
    assert stored("SELECT count(*) FROM latest_predictions WHERE row_key = 'x'") == [2]
    assert stored("SELECT count(*) FROM predictions") == [5]
    names = "SELECT name FROM pragma_table_info('{}')"
    columns = stored(names.format("predictions"))
    assert columns == stored(names.format("latest_predictions"))
    assert {"row_key", "prediction", "model_version", "environment", "scored_at"} < {*columns}


@pytest.mark.parametrize(
    ("where", "index"),
    [
        ("row_key = 'x'", "row_key=?"),
        ("batch_id = 'b'", "scores_batch"),
        ("scored_at > '2026'", "batches_started_at"),
    ],
)
def test_common_queries_use_an_index(folder: Path, where: str, index: str) -> None:
    store(batch("b"), "x")
    plan = stored(f"EXPLAIN QUERY PLAN SELECT * FROM predictions WHERE {where}")  # noqa: S608
    steps = " ".join(step[-1] for step in plan)
    assert index in steps
    assert "SCAN" not in steps.replace("SCAN batches", "SCAN" if "batch" not in where else "")


def test_a_batch_that_is_there_is_not_stored_again(folder: Path) -> None:
    store(batch("b"), "x")
    with pytest.raises(AlreadyScored):
        store(batch("b"), "y")
    assert stored("SELECT row_key FROM predictions") == ["x"]


def test_force_replaces_all_of_a_batch_and_nothing_of_another(folder: Path) -> None:
    store(batch("a"), "x")
    store(batch("b"), "x", "y", "z")
    store(batch("b", 1), "y", force=True)
    assert stored("SELECT batch_id, row_key FROM predictions ORDER BY 1") == [
        ("a", "x"),
        ("b", "y"),
    ]
    assert stored("SELECT count(*) FROM profiles") == [4]
    assert stored("SELECT count(*) FROM row_hashes") == [4]


@pytest.mark.parametrize("force", [False, True])
def test_a_failure_leaves_what_was_stored_before(folder: Path, force: bool) -> None:
    store(batch("b"), "x")

    def failing() -> Outcome:
        raise KeyboardInterrupt

    with closing(open_database()) as database, pytest.raises(KeyboardInterrupt):
        database.store(batch("b" if force else "c"), rows("y", "z"), failing, force=force)
    assert stored("SELECT batch_id, row_key FROM predictions") == [("b", "x")]
    assert stored("SELECT count(*) FROM batches") == [1]


def test_an_error_of_the_rows_is_raised_unchanged(folder: Path) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield from rows("x", "y")
        raise ZeroDivisionError("mine")

    broken = pa.RecordBatchReader.from_batches(ROWS["binary"], failing())
    with closing(open_database()) as database, pytest.raises(ZeroDivisionError, match=r"^mine$"):
        database.store(batch("b"), broken, outcome, force=False)
    assert stored("SELECT count(*) FROM batches") == [0]


@pytest.mark.parametrize("keys", ["xx", "xyx", "xyzz", "wxyzvw"])
def test_a_key_that_occurs_twice_is_named_and_nothing_stored(folder: Path, keys: str) -> None:
    twice = next(key for number, key in enumerate(keys) if key in keys[:number])
    with pytest.raises(DuplicateKey, match=f"have the key '{twice}', and nothing was stored"):
        store(batch("b"), *keys)
    assert stored("SELECT count(*) FROM batches") == [0]


def test_tables_of_a_later_version_are_refused_unless_they_only_add(folder: Path) -> None:
    store(batch("a"), "x")
    insert(3, additive=True)
    store(batch("b"), "x")
    insert(4, additive=False)
    with pytest.raises(Refused, match="tables of version 4, but this code knows only version 1"):
        open_database()


def insert(version: int, *, additive: bool) -> None:
    with closing(sqlite3.connect(small_batch.DATABASE)) as connection, connection:
        row = (version, additive, START.isoformat())
        connection.execute("INSERT INTO prediction_schema_versions VALUES (?, ?, ?)", row)


OPENS_TOGETHER = f"""\
import pathlib
import mlops.batch.without_pandas
from mlops.batch.destinations import destinations
from mlops.tables import urls
print("ready", flush=True)
while not pathlib.Path("go").exists():
    pass
destinations.open_destination(urls.parse_url("sqlite:///{small_batch.DATABASE}")).close()
"""


def test_processes_that_create_the_tables_at_once_create_them_once(folder: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPENS_TOGETHER],
            env=small_batch.variables(PROJECT),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdout
        process.stdout.readline()
    Path("go").touch()
    for process in started:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert stored("SELECT version FROM prediction_schema_versions") == [1]


@pytest.mark.parametrize(
    "end",
    [
        *(
            "rows.db",
            "/",
            "/no/folder/rows.db",
            "/:memory:",
            "/file:rows.db",
            "/.",
            "/file::memory:",
        ),
        "//dev/null",
    ],
)
def test_a_url_that_names_no_file_is_refused(folder: Path, end: str) -> None:
    words = r"names no file: use sqlite:///file\.db|no folder no/folder|a meaning of its own"
    with pytest.raises(UsageError, match=words):
        destinations.open_destination(urls.parse_url(f"sqlite://{end}"))
    assert not [*folder.iterdir()]


def test_a_file_that_this_user_may_not_write_is_no_reason_to_wait(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refused, match=r"can't be opened; nothing was stored: let this user write"):
        destinations.open_destination(urls.parse_url("sqlite:////proc/rows.db"))
    store(batch("b"), "x")
    with closing(open_database()) as database:
        database.execute("PRAGMA query_only = 1")
        with pytest.raises(
            Refused, match=r"can't be written; nothing was stored: .*predictions\.db"
        ):
            database.store(batch("c"), rows("x"), outcome, force=False)


def test_tables_of_another_program_are_left_as_they_were(folder: Path) -> None:
    with closing(sqlite3.connect(small_batch.DATABASE)) as connection:
        connection.execute("CREATE TABLE labels (x INTEGER)")
    with pytest.raises(Refused, match=r"labels already exists.*name a file of its own in the URL"):
        open_database()
    assert stored("SELECT name FROM sqlite_master") == ["labels"]


def test_one_that_waits_says_for_what(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waiting, "FIRST", 0.1)
    store(batch("b"), "x")
    with closing(open_database()) as other, other.transaction():
        waiter = Thread(target=store, args=(batch("c"), "x"))
        waiter.start()
        time.sleep(0.5)
        assert waiter.is_alive()
    waiter.join()
    assert "waiting for sqlite:///predictions.db, which another" in capfd.readouterr().err
    assert stored("SELECT count(*) FROM batches") == [2]


def overwrite(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * 4096)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a text": (lambda file: file.write_text("precious " * 100), "not a database"),
    "a word": (lambda file: file.write_text("precious"), "not a database"),
    "cut off": (lambda file: os.truncate(file, 10_000), "is damaged"),
    "a header alone": (lambda file: os.truncate(file, 100), "is damaged"),
    "half a header": (lambda file: os.truncate(file, 50), "is damaged"),
    "overwritten": (overwrite, "is damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_no_sound_database_is_named_and_left_alone(
    folder: Path, damage: str
) -> None:
    store(batch("b"), *map(str, range(500)))
    file, (harm, words) = Path(small_batch.DATABASE), DAMAGES[damage]
    harm(file)
    content = file.read_bytes()

    def score() -> None:
        store(batch("c"), "x")

    def remove() -> None:
        with closing(destinations.open_existing(URL)) as database:
            database.remove_before("prod", datetime.now(UTC))

    for use in (score, remove):
        with pytest.raises(Refused, match=rf"predictions\.db.*{words}.*it is left as it was: "):
            use()
    assert file.read_bytes() == content
    assert [*folder.iterdir()] == [folder / small_batch.DATABASE]


@pytest.mark.parametrize("kind", ["empty", "of another program"])
def test_what_holds_no_predictions_gets_no_tables_from_one_that_reads(
    folder: Path, kind: str
) -> None:
    file = Path(small_batch.DATABASE)
    file.touch()
    if kind != "empty":
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE mine (x INTEGER)")
    content = file.read_bytes()
    with pytest.raises(SourceError, match=r"holds no predictions, and nothing was changed: name"):
        destinations.open_existing(URL)
    assert file.read_bytes() == content
    assert [*folder.iterdir()] == [folder / small_batch.DATABASE]


def test_one_that_waits_too_long_for_another_program_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(batch("b"), "x")
    monkeypatch.setattr(sqlite, "SECONDS_TO_BEGIN", 0)
    monkeypatch.setattr(sqlite, "PRAGMAS", ("busy_timeout = 1",))
    with closing(open_database()) as other:
        other.query("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        for use in (destinations.open_destination, destinations.open_existing):
            with pytest.raises(Away, match=r"database is locked; nothing was stored, try again"):
                use(URL)
        other.execute("ROLLBACK")
    store(batch("c"), "x")


def test_a_name_that_no_system_takes_ends_a_command_with_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = urls.parse_url(f"sqlite:///{'a' * 300}.db")
    with pytest.raises(SystemExit, match="2"):
        errors.report_errors(lambda: destinations.open_destination(url).close())
    assert "aaa.db: File name too long: give a shorter name" in capsys.readouterr().err


def test_an_unknown_destination_is_refused() -> None:
    with pytest.raises(
        UsageError,
        match=r"--to mysql://host/db is not a destination of this project: .*postgresql://",
    ):
        destinations.open_destination(urls.parse_url("mysql://host/db"))
