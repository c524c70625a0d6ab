"""Tests the line of the shipped crontab in the bare environment that cron gives to commands."""

import fcntl
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import production
import small_project
import soak
from baking import UNBAKED, Process, Run

CRONTAB = UNBAKED / "crontab"
SETTING = re.compile(r"^([A-Z_]+)=(.*)$", re.MULTILINE)
JOB = re.compile(r"^17 \* \* \* \* (.+)$", re.MULTILINE)


@pytest.fixture
def scheduled(in_production: Path) -> Path:
    """A project in production, with rows to score."""
    production.install(in_production)
    small_project.table(40).to_csv(in_production / "data/incoming/november.csv", index=False)
    return in_production


def database(project: Path) -> Path:
    return project.parent / "predictions.db"


def settings(project: Path) -> dict[str, str]:
    url = f"sqlite:///{database(project)}"
    return {
        **dict(SETTING.findall(CRONTAB.read_text())),
        "PROJECT": str(project),
        "DATABASE_URL": url,
    }


def tick(project: Path, **changed: str) -> Process:
    """Runs the command as cron does each hour. Cron mails its output."""
    (job,) = JOB.findall(CRONTAB.read_text())
    bare = {"HOME": str(project.parent), "LOGNAME": "tester", "SHELL": "/bin/sh"}
    return subprocess.run(
        ["/bin/sh", "-c", job],
        cwd=project.parent,
        env={**bare, **settings(project), **changed},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def scored(project: Path) -> list[tuple[int, str]]:
    """Returns the number of rows and the version of each batch."""
    with closing(sqlite3.connect(database(project))) as connection:
        return connection.execute("select rows, model_version from batches").fetchall()


def test_a_tick_scores_what_is_there_once_and_is_silent(run: Run, scheduled: Path) -> None:
    for _ in range(2):
        done = tick(scheduled)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert scored(scheduled) == [(40, "v1.0.0")]
    small_project.table(50).to_csv(scheduled / "data/incoming/november.csv", index=False)
    tick(scheduled)
    assert sorted(scored(scheduled)) == [(40, "v1.0.0"), (50, "v1.0.0")]
    assert run.git("status", "--porcelain", cwd=scheduled) == ""


def test_what_went_wrong_is_printed_for_cron_to_mail(scheduled: Path) -> None:
    done = tick(scheduled, DATABASE_URL="postgresql://scorer@127.0.0.1:9/predictions")
    assert "mlops: " in done.stdout
    assert "127.0.0.1" in done.stdout
    assert not database(scheduled).exists()


def test_a_tick_while_another_goes_on_does_nothing(scheduled: Path) -> None:
    with (scheduled / "score.log").open("w") as log:
        log.write("the run before\n")
    with locked(scheduled / ".dvc"):
        assert tick(scheduled).stdout.endswith("the end of score.log:\nthe run before\n")
    assert not database(scheduled).exists()
    assert tick(scheduled).stdout == ""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    yield
    os.close(handle)


def test_the_crontab_holds_no_secret() -> None:
    assert "PASSWORD=" not in CRONTAB.read_text()
    assert not re.search(r"://[^/@\s]*:[^/@\s]*@", CRONTAB.read_text())


@pytest.mark.skipif(not soak.LOG, reason="cron needs a minute: in make soak")
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("cron"), reason="needs root and cron")
def test_cron_itself(scheduled: Path) -> None:
    (job,) = JOB.findall(CRONTAB.read_text())
    lines = [f"{name}={value}" for name, value in settings(scheduled).items()]
    with running_cron("\n".join([*lines, f"* * * * * {job}", ""])):
        end = time.monotonic() + 120
        while not database(scheduled).exists() or not scored(scheduled):
            assert time.monotonic() < end
            time.sleep(1)
    assert scored(scheduled) == [(40, "v1.0.0")]


@contextmanager
def running_cron(table: str) -> Iterator[None]:
    """Runs cron with `table` as the crontab of root, whose own crontab is restored afterwards."""
    before = subprocess.run(["crontab", "-l"], capture_output=True, check=False)
    subprocess.run(["crontab", "-"], input=table.encode(), check=True)
    cron = subprocess.Popen(["cron", "-f"])
    try:
        yield
    finally:
        cron.terminate()
        cron.wait()
        if before.returncode:
            subprocess.run(["crontab", "-r"], check=True)
        else:
            subprocess.run(["crontab", "-"], input=before.stdout, check=True)
