"""Tests batches into a real PostgreSQL: the same rows as into SQLite, and the faults that only a server
has."""

import random
import re
import signal
import string
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
import pytest

import small_batch
from mlops.batch import waiting
from mlops.batch.answers import ROWS
from mlops.batch.batches import Batch, Count, Outcome
from mlops.batch.destinations import destinations
from mlops.batch.destinations.relational import Relational
from mlops.batch.errors import AlreadyScored, DuplicateKey, UnfitRow
from mlops.batch.monitoring import monitor
from mlops.batch.monitoring.monitor import MonitorOrder
from mlops.errors import Refused, UsageError
from mlops.tables import urls
from servers import execute
from small_batch import process, stored, table

START = datetime(2026, 11, 23, 14, tzinfo=UTC)
ANSWERS = """SELECT row_key, prediction, probability_negative, probability_positive
    FROM predictions ORDER BY row_key"""


def random_text(length: int) -> str:
    """Returns text that PostgreSQL cannot compress."""
    letters = random.Random(1)  # noqa: S311
    return "".join(letters.choice(string.ascii_letters) for _ in range(length))


Query = Callable[[str], list[Any]]


@pytest.fixture
def query(database: str) -> Query:
    """A function that returns the rows of a query, or the values if it has one column."""

    def query(sql: str) -> list[Any]:
        with closing(open_database(database)) as connection:
            rows = [tuple(row.values()) for row in connection.query(sql).to_pylist()]
        return [row[0] for row in rows] if rows and len(rows[0]) == 1 else rows

    return query


def open_database(url: str) -> Relational:
    database = destinations.open_destination(urls.parse_url(url))
    assert isinstance(database, Relational)
    return database


def batch(name: str, hours: int = 0, environment: str = "prod") -> Batch:
    when = START + timedelta(hours=hours)
    return Batch(name, "rows.csv", "s", "v1", "m", environment, "y", "binary", "no", "yes", when)


def store(url: str, batch: Batch, *keys: str, force: bool = False) -> None:
    answers = [pa.array(["yes"] * len(keys)), *[pa.array([0.1] * len(keys), pa.float32())] * 2]
    rows = pa.record_batch([pa.array(keys), *answers], schema=ROWS["binary"])
    reader = pa.RecordBatchReader.from_batches(ROWS["binary"], [rows])
    outcome = Outcome(len(keys), 0, 0, START, (Count("age", 0, 2),))
    with closing(open_database(url)) as database:
        database.store(batch, reader, lambda: outcome, force=force)


def test_the_same_rows_and_report_as_in_sqlite(
    released: Path,
    arrived: Path,
    database: str,
    query: Query,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for to in (f"sqlite:///{small_batch.DATABASE}", database):
        assert process(released, to=to, key="id").returncode == 0
    key = 'ORDER BY row_key COLLATE "C"'
    assert query(ANSWERS.replace("ORDER BY row_key", key)) == stored(ANSWERS)
    profiles = 'SELECT "column", bin, rows FROM profiles ORDER BY 1, 2'
    assert {*query(profiles)} == {*stored(profiles)}
    hashes = "SELECT hash, rows FROM row_hashes"
    assert {*query(hashes)} == {*stored(hashes)}
    reports = []
    for to in (f"sqlite:///{small_batch.DATABASE}", database):
        monitor.monitor(MonitorOrder(to, str(released), max_psi=100))
        reports.append(re.sub(r"since .* UTC", "", capsys.readouterr().out))
    assert reports[0] == reports[1]
    assert "1 batch" in reports[0]
    assert stored("SELECT batch_id, rows FROM batches") == query(
        "SELECT batch_id, rows FROM batches"
    )


def test_a_batch_is_scored_once_and_replaced_by_force(
    released: Path, arrived: Path, database: str, query: Query
) -> None:
    process(released, to=database)
    before = query("SELECT *, xmin::text FROM scores ORDER BY row_key")
    assert "already scored" in process(released, to=database).stdout
    assert query("SELECT *, xmin::text FROM scores ORDER BY row_key") == before
    assert "scored 200 rows" in process(released, to=database, force=True).stdout
    assert query("SELECT count(*) FROM predictions") == [200]
    assert query("SELECT min(batch) > 1 FROM scores") == [True]


def test_the_latest_prediction_is_the_newest_of_its_environment(
    database: str, query: Query
) -> None:
    store(database, batch("newest", 2), "x", "y")
    store(database, batch("older", 1), "x", "z")
    store(database, batch("dev", 3, "dev"), "x")
    sql = "SELECT batch_id FROM latest_predictions WHERE environment = 'prod' ORDER BY row_key"
    assert query(sql) == ["newest", "newest", "older"]
    assert query("SELECT scored_at FROM latest_predictions WHERE row_key = 'z'") == [
        START + timedelta(hours=1)
    ]


def test_old_batches_are_superseded_and_lose_their_rows(database: str, query: Query) -> None:
    old = batch("old")
    store(database, old, "x", "y")
    store(database, replace(batch("new", 2), model_version="v2"), "x")
    with closing(open_database(database)) as opened:
        finished = opened.finished(old)
        assert finished
        assert finished.superseded_by == "v2"
        moment = START + timedelta(hours=1)
        assert opened.remove_before("prod", moment) == [2]
        assert opened.remove_before("prod", moment) == []
    for name in ("scores", "profiles"):
        assert query(f"SELECT batch_id FROM {name} JOIN batches USING (batch)") == ["new"]  # noqa: S608
    assert query("SELECT status FROM batches ORDER BY batch") == ["removed", "finished"]


def test_a_batch_that_is_there_is_not_stored_again(database: str, query: Query) -> None:
    store(database, batch("b"), "x")
    with pytest.raises(AlreadyScored):
        store(database, batch("b"), "y")
    store(database, batch("b"), "z", force=True)
    assert query("SELECT row_key FROM predictions") == ["z"]
    assert query("SELECT count(*) FROM profiles") == [1]


def test_a_key_that_comes_twice_is_named_and_nothing_stored(database: str, query: Query) -> None:
    with pytest.raises(DuplicateKey, match=r"have the key 'a, \(b\)', and nothing was stored"):
        store(database, batch("b"), "x", "a, (b)", "y", "a, (b)")
    assert query("SELECT count(*) FROM batches") == [0]


def test_two_processes_at_once_make_one_batch(
    released: Path, arrived: Path, database: str, query: Query
) -> None:
    table(20_000).to_csv("rows.csv", index=False)
    both = [start(released, database) for _ in range(2)]
    outputs = [each.communicate()[0] for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert sum("scored 20,000 rows" in each for each in outputs) == 1
    assert query("SELECT count(*) AS n, count(DISTINCT row_key) AS m FROM predictions") == [
        (20_000, 20_000)
    ]


def test_processes_that_create_the_tables_at_once_create_them_once(
    database: str, query: Query, released: Path
) -> None:
    script = f"""import mlops.batch.without_pandas; from mlops.batch.destinations import destinations
from mlops.tables import urls
destinations.open_destination(urls.parse_url({database!r})).close()"""
    command = [sys.executable, "-c", script]
    variables = small_batch.variables(released)
    started = [subprocess.Popen(command, env=variables) for _ in range(3)]
    assert [each.wait() for each in started] == [0, 0, 0]
    assert query("SELECT version FROM prediction_schema_versions") == [1]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_ended_leaves_nothing_and_the_next_completes(
    released: Path, arrived: Path, database: str, query: Query, end: signal.Signals
) -> None:
    table(20_000).to_csv("rows.csv", index=False)
    process(released, to=database, inputs=["no.csv"])
    running = start(released, database)
    assert running.stdout
    running.stdout.readline()
    time.sleep(0.1)
    running.send_signal(end)
    running.communicate()
    assert query("SELECT count(*) FROM predictions") == [0]
    assert process(released, to=database).returncode == 0
    assert query("SELECT count(*) FROM predictions") == [20_000]


def test_a_server_that_ends_the_connection_may_be_tried_again(
    released: Path, arrived: Path, postgresql: str, database: str, query: Query
) -> None:
    table(100_000).to_csv("rows.csv", index=False)
    running = start(released, database)
    name = database.partition("?")[0].rpartition("/")[2]
    others = f"FROM pg_stat_activity WHERE datname = '{name}' AND query LIKE 'COPY%'"
    with closing(open_database(postgresql)) as server:
        while not server.query(f"SELECT pg_terminate_backend(pid) {others}").num_rows:
            assert running.poll() is None
    _, errors = running.communicate()
    assert running.returncode == 5, errors
    assert errors.splitlines()[-1].endswith("nothing was stored, try again later")
    assert query("SELECT count(*) FROM batches") == [0]
    assert process(released, to=database).returncode == 0
    assert query("SELECT count(*) FROM predictions") == [100_000]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("postgres:@", "nobody:@", 'role "nobody" does not exist; .*or PGUSER'),
        ("/test_", "/no_", "does not exist; nothing was stored: .*or PGDATABASE"),
        ("?host", "?sslmode=none&host", "invalid sslmode value.*or PGSSLMODE"),
        ("?host", "?colour=red&host", "correct the URL"),
    ],
)
def test_a_wrong_configuration_is_named_and_nobody_is_told_to_wait(
    database: str, old: str, new: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words) as error:
        open_database(database.replace(old, new))
    assert "try again later" not in str(error.value)


def test_a_password_that_is_missing_or_wrong_names_its_variable(
    postgresql: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(postgresql, "CREATE ROLE guarded LOGIN PASSWORD 'right'")
    with closing(open_database(postgresql)) as server:
        (file,) = server.query("SELECT current_setting('hba_file') AS file")["file"].to_pylist()
        before = Path(file).read_text()
        Path(file).write_text(f"local all guarded scram-sha-256\n{before}")
        server.query("SELECT pg_reload_conf()")
        try:
            wait_for_guard(guarded := database.replace("postgres:@", "guarded:@"))
            monkeypatch.setenv("PGPASSWORD", "wrong")
            with pytest.raises(UsageError, match=r"password authentication failed.*PGPASSWORD"):
                open_database(guarded)
            monkeypatch.setenv("PGPASSWORD", "right")
            with pytest.raises(Refused, match="permission denied for schema public"):
                open_database(guarded)
        finally:
            Path(file).write_text(before)
            server.query("SELECT pg_reload_conf()")


def wait_for_guard(url: str) -> None:
    """Waits until the server asks for a password, whose absence is then named."""
    words = ""
    while "password" not in words:
        try:
            open_database(url)
        except (Refused, UsageError) as error:
            words = str(error)
    assert re.search("no password supplied.*set PGPASSWORD", words)


@pytest.mark.parametrize("key", ["a\0b", random_text(9_000)])
def test_a_key_that_postgresql_cannot_hold_is_the_fault_of_the_file(
    database: str, query: Query, key: str
) -> None:
    store(database, batch("a"), "x")
    with pytest.raises(UnfitRow, match=r"can't hold a row of this file.*--key") as error:
        store(database, batch("b"), "y", key)
    assert error.value.exit_code == 1
    assert query("SELECT row_key FROM predictions") == ["x"]


def test_missing_rights_and_foreign_tables_have_a_cure_that_works(
    postgresql: str, database: str
) -> None:
    execute(postgresql, "CREATE ROLE poor LOGIN")
    execute(database, "CREATE TABLE schema_versions (version TEXT)")
    execute(database, "CREATE TABLE batches (x INTEGER)")
    poor = database.replace("postgres:@", "poor:@")
    with pytest.raises(Refused, match=r"permission denied for schema public.*GRANT USAGE"):
        open_database(poor)
    execute(database, "GRANT USAGE, CREATE ON SCHEMA public TO poor")
    with pytest.raises(Refused, match=r'"batches" already exists.*CREATE SCHEMA predictions'):
        open_database(poor)
    execute(database, "CREATE SCHEMA predictions AUTHORIZATION poor")
    own = f"{poor}&options=-csearch_path%3Dpredictions"
    store(own, batch("b"), "x")
    with closing(open_database(own)) as opened:
        opened.execute("SET default_transaction_read_only = on")
        with pytest.raises(Refused, match=r"read-only transaction.*primary server"):
            opened.execute("DELETE FROM batches")
        opened.execute("SET default_transaction_read_only = off")
    execute(database, "REVOKE INSERT ON predictions.scores FROM poor")
    with pytest.raises(Refused, match=r"permission denied for table scores.*GRANT SELECT, INSERT"):
        store(own, batch("c"), "x")


def test_one_that_waits_says_for_what(
    database: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Another program holds a table with a lock that a batch has to wait for."""
    monkeypatch.setattr(waiting, "FIRST", 0.1)
    store(database, batch("a"), "x")
    with closing(open_database(database)) as other:
        with other.transaction():
            other.execute("LOCK TABLE scores IN ACCESS EXCLUSIVE MODE")
            waiter = Thread(target=store, args=(database, batch("b"), "y"))
            waiter.start()
            time.sleep(1)
            assert waiter.is_alive()
        waiter.join()
    assert re.search("waiting for .*another process.* since", capfd.readouterr().err)


def start(released: Path, url: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        small_batch.command(released, to=url),
        env=small_batch.variables(released),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_tables_that_are_not_ours_are_left_as_they_were(
    released: Path, arrived: Path, database: str, query: Query
) -> None:
    execute(database, "CREATE TABLE precious (x INTEGER)")
    process(released, to=database)
    assert query("SELECT count(*) FROM precious") == [0]
