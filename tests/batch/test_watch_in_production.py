"""Tests `mlops watch` with a real database and real releases: the model of the time scores each file."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

import production
import small_project
from baking import Run

Row = tuple[str, int, str]


class Watched:
    """A project in production and the watches of its data/incoming."""

    def __init__(self, run: Run, project: Path) -> None:
        self.run = run
        self.project = project
        self.folder = project / "data/incoming"
        self.database = project.parent / "predictions.db"
        self.watches: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        times = ("--settle", "0.2", "--pause", "0.5", "--attempts", "2")
        target = ("--to", f"sqlite:///{self.database}")
        with (self.project.parent / "log").open("ab") as log:
            watch = subprocess.Popen(
                ["mlops", "watch", "data/incoming", *target, *times],
                cwd=self.project,
                env=self.run.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.watches.append(watch)
        return watch

    def arrive(self, name: str, rows: int) -> None:
        partial = self.folder / f"{name}.partial"
        small_project.table(rows).to_csv(partial, index=False)
        partial.rename(self.folder / name)

    def wait_until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not true():
            assert time.monotonic() < end, (self.project.parent / "log").read_text()
            time.sleep(0.05)

    def wait_for_score(self, name: str) -> None:
        self.wait_until((self.folder / "done" / name).exists)

    def batches(self) -> set[Row]:
        with closing(sqlite3.connect(self.database)) as connection:
            batches = connection.execute("select source, rows, model_version from batches")
            return {(Path(source).name, rows, version) for source, rows, version in batches}

    def rows(self) -> int:
        with closing(sqlite3.connect(self.database)) as connection:
            return int(connection.execute("select count(*) from predictions").fetchone()[0])


@pytest.fixture
def watched(run: Run, in_production: Path) -> Iterator[Watched]:
    watched = Watched(run, in_production)
    yield watched
    for watch in watched.watches:
        watch.kill()
        watch.wait()


def test_a_rollback_between_two_files_needs_no_restart(run: Run, watched: Watched) -> None:
    small_project.table(700).to_csv(watched.project / production.TABLE, index=False)
    production.release(run, watched.project, "More rows")
    watched.start()
    watched.arrive("october.csv", 30)
    watched.wait_for_score("october.csv")
    run("mlops", "rollback", "prod", cwd=watched.project)
    watched.arrive("november.csv", 40)
    watched.wait_for_score("november.csv")
    expected = {("october.csv", 30, "v1.1.0"), ("november.csv", 40, "v1.0.0")}
    assert watched.batches() == expected
    assert run.git("status", "--porcelain", cwd=watched.project) == ""


def test_bad_files_are_moved_and_the_others_scored(watched: Watched) -> None:
    (watched.folder / "rejects.csv").write_text(
        small_project.table(30).to_csv(index=False).replace("\n", ",\n")
    )
    table = small_project.table(30)
    table.iloc[:, 0] = "no number"
    table.to_csv(watched.folder / "rejects.csv", index=False)
    (watched.folder / "broken.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    watched.start()
    watched.arrive("good.csv", 20)
    watched.wait_for_score("good.csv")
    for name in ("rejects.csv", "broken.csv"):
        watched.wait_until((watched.folder / "failed" / name).exists)
        assert (watched.folder / "failed" / f"{name}.reason.txt").read_text()
    assert {source for source, *_ in watched.batches()} == {"good.csv"}


@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.5, 2.0])
def test_killed_at_any_moment_each_file_is_one_batch(watched: Watched, seconds: float) -> None:
    """The watch is killed with all processes that it has started, as when a machine stops."""
    for name, rows in (("a.csv", 500), ("b.csv", 400)):
        watched.arrive(name, rows)
    watch = watched.start()
    time.sleep(seconds)
    for process in [*children(watch.pid), watch.pid]:
        os.kill(process, signal.SIGKILL)
    watch.wait()
    watched.start()
    watched.wait_for_score("a.csv")
    watched.wait_for_score("b.csv")
    assert {rows for _, rows, _ in watched.batches()} == {500, 400}
    assert watched.rows() == 900


def children(process: int) -> list[int]:
    """Returns the processes that it has started, and those that these have started, the youngest first."""
    return [child.pid for child in psutil.Process(process).children(recursive=True)][::-1]


def test_a_url_with_a_password_is_refused_before_anything_is_watched(
    run: Run, in_production: Path
) -> None:
    url = "postgresql://scorer:secret@localhost/predictions"
    watch = ("mlops", "watch", "data/incoming", "--to", url)
    refused = run(*watch, cwd=in_production, check=False)
    assert refused.returncode == 3
    assert "secret" not in refused.stdout + refused.stderr
    assert not (in_production / "data/incoming/done").exists()
