"""Tests that a cluster of real processes scores each row once, with the same bits as this process."""

import gc
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import small_batch
from baking import UNBAKED, Run
from machinery import PROJECT
from mlops.batch.engines import dask_engine
from mlops.errors import Away, UsageError
from three_tasks import write_unanswering

ROWS = 60_000
ON_LOOPBACK = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard")
EVERYTHING = "SELECT * FROM predictions ORDER BY row_key"


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def scheduler(self) -> None:
        log = self.folder / "scheduler.log"
        self.start("scheduler", "--port", "0", log=log, code=self.folder)
        self.address = wait_for_line(log, r"Scheduler at:\s+(tcp://\S+)")

    def worker(self, code: Path) -> subprocess.Popen[bytes]:
        log = self.folder / f"worker{len(self.processes)}.log"
        process = self.start(
            "worker", self.address, "--no-nanny", "--nthreads", "1", log=log, code=code
        )
        wait_for_line(log, r"Starting established connection")
        return process

    def start(self, *words: str, log: Path, code: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *words, *ON_LOOPBACK],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(code)},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


def wait_for_line(log: Path, pattern: str) -> str:
    """Waits until the log matches a pattern, and returns its last group or the whole match."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if match := re.search(pattern, log.read_text()):
            return match[match.re.groups]
        time.sleep(0.05)
    pytest.fail(f"{log.name} never matched {pattern!r}: {log.read_text()}")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path / "cluster")
    cluster.folder.mkdir()
    cluster.scheduler()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def many_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("many") / "rows.csv"
    small_batch.table(ROWS).to_csv(file, index=False)
    return file


@pytest.fixture
def score(
    released: Path, many_rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Starts a batch of many rows."""
    monkeypatch.chdir(tmp_path)

    def score(database: str, **fields: Any) -> "subprocess.Popen[str]":
        order = {"inputs": [str(many_rows)], "to": f"sqlite:///{database}", **fields}
        return subprocess.Popen(
            small_batch.command(released, **order),
            env=small_batch.variables(released),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return score


def stored(database: str) -> list[Any]:
    with sqlite3.connect(database) as connection:
        rows = connection.execute(EVERYTHING).fetchall()
    connection.close()
    return [row[:-1] for row in rows]  # without the time


def finish(process: "subprocess.Popen[str]", code: int = 0) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, out + err
    return out + err


def test_without_a_scheduler_the_message_says_what_to_do(score: Callable[..., Any]) -> None:
    assert "--scheduler tcp://" in finish(score("p.db", engine="dask"), 2)
    assert "is for --engine dask" in finish(score("p.db", scheduler="tcp://127.0.0.1:9"), 2)
    dask = {"engine": "dask", "scheduler": "tcp://127.0.0.1:9"}
    assert "no Dask scheduler answers" in finish(score("p.db", **dask), 5)


@pytest.mark.parametrize(
    "address",
    ["nonsense", "tcp://host", "foo://host:1", "tcp://127.0.0.1:x", "tls://127.0.0.1:9"],
)  # fmt: skip
def test_what_is_no_address_of_a_scheduler_is_refused(address: str) -> None:
    with pytest.raises(
        UsageError, match=rf"--scheduler {address} is not the address of a Dask sch"
    ):
        dask_engine.connect_client(address)


def test_no_other_program_is_waited_for_that_listens_at_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dask_engine, "SECONDS_TO_ANSWER", 0.5)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(Away, match="no Dask scheduler answers at tcp://127"),
    ):
        dask_engine.connect_client(f"tcp://127.0.0.1:{silent.getsockname()[1]}")


def test_a_scheduler_without_workers_and_one_with_other_code_are_refused(
    cluster: Cluster, score: Callable[..., Any], tmp_path: Path
) -> None:
    dask = {"engine": "dask", "scheduler": cluster.address}
    assert "has no worker" in finish(score("p.db", **dask), 5)
    other = tmp_path / "other"
    for part in ("mlops", "science"):
        shutil.copytree(PROJECT / part, other / part)
    with (other / "mlops/batch/scorer.py").open("a") as file:
        file.write("# changed\n")
    cluster.worker(other)
    assert "other code or libraries" in finish(score("p.db", **dask), 3)
    assert not stored("p.db")


def test_workers_with_what_the_documents_send_them_score_what_prod_holds(
    run: Run, in_production: Path, cluster: Cluster, many_rows: Path, tmp_path: Path
) -> None:
    page = (UNBAKED / "docs/batch.md").read_text()
    (line,) = re.findall(r"^git archive prod .*$", page, re.MULTILINE)
    (tmp_path / "worker").mkdir()
    send = line.replace("WORKER_FOLDER", str(tmp_path / "worker"))
    run("bash", "-c", f"set -o pipefail; {send}", cwd=in_production)
    cluster.worker(tmp_path / "worker")
    score = ("mlops", "score", many_rows, "--to", "sqlite:///p.db")
    engine = ("--engine", "dask", "--scheduler", cluster.address)
    assert f"scored {ROWS:,} rows" in run(*score, *engine, cwd=in_production).stdout
    assert "already scored" in run(*score, cwd=in_production).stdout


def test_a_worker_keeps_the_latest_bundles_only(bundles: dict[str, Path], tmp_path: Path) -> None:
    folders = [*bundles.values(), write_unanswering(bundles["regression"], tmp_path / "third")]
    loaded = [
        weakref.ref(dask_engine.cached_scorer(dask_engine.Bundle(files), None))
        for files in ({file.name: file.read_bytes() for file in each.iterdir()} for each in folders)
    ]
    gc.collect()
    assert [each() is not None for each in loaded] == [False, True, True]


def test_a_batch_ends_when_no_worker_is_left(
    cluster: Cluster, released: Path, arrived: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = cluster.worker(released)
    digest = dask_engine.answers_digest()

    def digest_after_the_last_worker_died() -> str:
        worker.kill()
        worker.wait()
        return digest

    monkeypatch.setattr(dask_engine, "answers_digest", digest_after_the_last_worker_died)
    monkeypatch.setattr(dask_engine, "SECONDS_TO_ASK", 0.2)
    monkeypatch.setattr(dask_engine, "SECONDS_WITHOUT_WORKER", 1)
    with pytest.raises(Away, match=r"has had no worker for 1 s; nothing was stored: start one"):
        small_batch.run(released, engine="dask", scheduler=cluster.address)
    assert not stored(small_batch.DATABASE)


def test_the_same_bits_and_the_same_batch_although_a_worker_is_killed(
    cluster: Cluster, score: Callable[..., Any], released: Path
) -> None:
    finish(score("here.db"))
    first = cluster.worker(released)
    cluster.worker(released)
    dask = {"engine": "dask", "scheduler": cluster.address}
    batch = score("there.db", **dask)
    time.sleep(2.5)
    first.send_signal(signal.SIGKILL)
    finish(batch)
    expected = stored("here.db")
    assert len(expected) == ROWS
    assert stored("there.db") == expected
    assert "already scored" in finish(score("there.db", **dask))
    assert "already scored" in finish(score("there.db"))
