"""Batches into a real PostgreSQL: the same as into SQLite, and what only a server can do to them."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import small_batch
from mlops.batch.batches import ROWS, Batch, Count, Outcome
from mlops.batch.destinations import destinations
from mlops.batch.destinations.relational import Relational
from mlops.batch.errors import AlreadyScored, DuplicateKey
from mlops.tables import urls
from servers import execute
from small_batch import process, stored, table

START = datetime(2026, 11, 23, 14, tzinfo=UTC)
ANSWERS = """SELECT row_key, prediction, probability_negative, probability_positive
    FROM predictions ORDER BY row_key"""

Asked = Callable[[str], list[Any]]


@pytest.fixture
def asked(database: str) -> Asked:
    """The rows of a query; of one column, its values."""

    def asked(sql: str) -> list[Any]:
        with closing(opened(database)) as found:
            rows = [tuple(row.values()) for row in found.query(sql).to_pylist()]
        return [row[0] for row in rows] if rows and len(rows[0]) == 1 else rows

    return asked


def opened(url: str) -> Relational:
    found = destinations.open_destination(urls.parse_url(url))
    assert isinstance(found, Relational)
    return found


def batch(name: str, hours: int = 0, environment: str = "prod") -> Batch:
    when = START + timedelta(hours=hours)
    return Batch(name, "rows.csv", "s", "v1", "m", environment, "no", "yes", when)


def store(url: str, batch: Batch, *keys: str, force: bool = False) -> None:
    answers = [pa.array(["yes"] * len(keys)), *[pa.array([0.1] * len(keys), pa.float32())] * 2]
    rows = pa.record_batch([pa.array(keys), *answers], schema=ROWS)
    reader = pa.RecordBatchReader.from_batches(ROWS, [rows])
    outcome = Outcome(len(keys), 0, 0, START, (Count("age", 0, 2),))
    with closing(opened(url)) as database:
        database.store(batch, reader, lambda: outcome, force=force)


def test_the_same_rows_as_in_sqlite(
    released: Path, arrived: Path, database: str, asked: Asked
) -> None:
    for to in (f"sqlite:///{small_batch.DATABASE}", database):
        assert process(released, to=to, key="id").returncode == 0
    key = 'ORDER BY row_key COLLATE "C"'
    found = asked(ANSWERS.replace("ORDER BY row_key", key))
    assert found == stored(ANSWERS)
    profiles = 'SELECT "column", bin, rows FROM profiles ORDER BY 1, 2'
    assert {*asked(profiles)} == {*stored(profiles)}
    assert stored("SELECT batch_id, rows FROM batches") == asked(
        "SELECT batch_id, rows FROM batches"
    )


def test_a_batch_is_scored_once_and_replaced_by_force(
    released: Path, arrived: Path, database: str, asked: Asked
) -> None:
    process(released, to=database)
    before = asked("SELECT *, xmin::text FROM scores ORDER BY row_key")
    assert "already scored" in process(released, to=database).stdout
    assert asked("SELECT *, xmin::text FROM scores ORDER BY row_key") == before
    assert "scored 200 rows" in process(released, to=database, force=True).stdout
    assert asked("SELECT count(*) FROM predictions") == [200]
    assert asked("SELECT min(batch) > 1 FROM scores") == [True]


def test_the_latest_prediction_is_the_newest_of_its_environment(
    database: str, asked: Asked
) -> None:
    store(database, batch("newest", 2), "x", "y")
    store(database, batch("older", 1), "x", "z")
    store(database, batch("dev", 3, "dev"), "x")
    sql = "SELECT batch_id FROM latest_predictions WHERE environment = 'prod' ORDER BY row_key"
    assert asked(sql) == ["newest", "newest", "older"]
    assert asked("SELECT scored_at FROM latest_predictions WHERE row_key = 'z'") == [
        START + timedelta(hours=1)
    ]


def test_a_batch_that_is_there_is_not_stored_again(database: str, asked: Asked) -> None:
    store(database, batch("b"), "x")
    with pytest.raises(AlreadyScored):
        store(database, batch("b"), "y")
    store(database, batch("b"), "z", force=True)
    assert asked("SELECT row_key FROM predictions") == ["z"]
    assert asked("SELECT count(*) FROM profiles") == [1]


def test_a_key_that_comes_twice_is_named_and_nothing_stored(database: str, asked: Asked) -> None:
    with pytest.raises(DuplicateKey, match=r"have the key 'a, \(b\)', and nothing was stored"):
        store(database, batch("b"), "x", "a, (b)", "y", "a, (b)")
    assert asked("SELECT count(*) FROM batches") == [0]


def test_two_processes_at_once_make_one_batch(
    released: Path, arrived: Path, database: str, asked: Asked
) -> None:
    table(20_000).to_csv("rows.csv", index=False)
    both = [start(released, database) for _ in range(2)]
    said = [each.communicate()[0] for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert sum("scored 20,000 rows" in each for each in said) == 1
    assert asked("SELECT count(*) AS n, count(DISTINCT row_key) AS m FROM predictions") == [
        (20_000, 20_000)
    ]


def test_processes_that_make_the_tables_at_once_make_them_once(
    database: str, asked: Asked, released: Path
) -> None:
    script = f"""import mlops.batch.without_pandas; from mlops.batch.destinations import destinations
from mlops.tables import urls
destinations.open_destination(urls.parse_url({database!r})).close()"""
    command = [sys.executable, "-c", script]
    variables = small_batch.variables(released)
    started = [subprocess.Popen(command, env=variables) for _ in range(3)]
    assert [each.wait() for each in started] == [0, 0, 0]
    assert asked("SELECT version FROM schema_versions") == [1]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_ended_leaves_nothing_and_the_next_completes(
    released: Path, arrived: Path, database: str, asked: Asked, end: signal.Signals
) -> None:
    table(20_000).to_csv("rows.csv", index=False)
    process(released, to=database, inputs=["no.csv"])
    running = start(released, database)
    assert running.stdout
    running.stdout.readline()
    time.sleep(0.1)
    running.send_signal(end)
    running.communicate()
    assert asked("SELECT count(*) FROM predictions") == [0]
    assert process(released, to=database).returncode == 0
    assert asked("SELECT count(*) FROM predictions") == [20_000]


def test_a_server_that_ends_the_connection_may_be_tried_again(
    released: Path, arrived: Path, postgresql: str, database: str, asked: Asked
) -> None:
    table(100_000).to_csv("rows.csv", index=False)
    running = start(released, database)
    name = database.partition("?")[0].rpartition("/")[2]
    others = f"FROM pg_stat_activity WHERE datname = '{name}' AND query LIKE 'COPY%'"
    with closing(opened(postgresql)) as server:
        while not server.query(f"SELECT pg_terminate_backend(pid) {others}").num_rows:
            assert running.poll() is None
    _, said = running.communicate()
    assert running.returncode == 5, said
    assert said.splitlines()[-1].endswith("nothing was stored, try again later")
    assert asked("SELECT count(*) FROM batches") == [0]
    assert process(released, to=database).returncode == 0
    assert asked("SELECT count(*) FROM predictions") == [100_000]


@pytest.mark.parametrize(("old", "new"), [("postgres:@", "nobody:@"), ("/test_", "/no_")])
def test_why_a_server_turns_us_away_is_said(
    released: Path, arrived: Path, database: str, old: str, new: str
) -> None:
    done = process(released, to=database.replace(old, new))
    assert done.returncode == 5
    assert "does not exist; nothing was stored" in done.stderr.splitlines()[-1]


def start(released: Path, url: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        small_batch.command(released, to=url),
        env=small_batch.variables(released),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_server_without_a_database_of_ours_is_left_as_it_was(
    released: Path, arrived: Path, database: str, asked: Asked
) -> None:
    execute(database, "CREATE TABLE precious (x INTEGER)")
    process(released, to=database)
    assert asked("SELECT count(*) FROM precious") == [0]
