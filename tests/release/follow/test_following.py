"""Tests `mlops serve` under load without pauses: promotions, a rollback, bad releases, and processes that
die."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psutil
import pytest

from baking import NAME, Run
from mlops.release.follow import running
from processes import children_that_run

SECONDS = 5.0 if os.getloadavg()[0] < 2 * (os.cpu_count() or 1) else 30.0
"""From the moment a branch has moved to an answer with its version. Where a machine has more to do than
this, to start a process alone takes longer."""
CLIENTS = 4
HEADERS = {"Content-Type": "application/json", "X-API-Key": "secret"}


@dataclass
class Load:
    """Clients with persistent connections; each sends a row as soon as it has an answer."""

    host: str
    row: str
    answers: list[tuple[float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    going: bool = True

    def client(self) -> None:
        connection = HTTPConnection(self.host, timeout=30)
        while self.going:
            try:
                connection.request("POST", "/predict", self.row, HEADERS)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
                continue
            if answer.status == 200:
                self.answers.append((time.monotonic(), json.loads(body)["version"]))
            else:
                self.failures.append(f"{answer.status} {body!r}")
        connection.close()

    def first(self, version: str, since: float) -> float:
        """Returns the seconds until the first answer of a version."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for when, answered in list(self.answers):
                if when > since and answered == version:
                    return when - since
            time.sleep(0.05)
        pytest.fail(f"no answer of {version} in a minute; the last is {self.answers[-1]}")


class Served:
    """A project in production, and the supervisor that follows its prod."""

    def __init__(self, run: Run, project: Path) -> None:
        self.run = run
        self.project = project
        self.log = project.parent / "log"
        with self.log.open("wb") as log:
            self.supervisor = subprocess.Popen(
                ["mlops", "serve", "--port", "0"],
                cwd=project,
                env={**run.environment, "API_KEY": "secret"},
                stdout=log,
            )
        self.url: str = self.event("serving")["url"]

    def event(self, name: str, count: int = 1) -> dict[str, Any]:
        end = time.monotonic() + 60
        while time.monotonic() < end and self.supervisor.poll() is None:
            found = [line for line in self.lines() if line.get("event") == name]
            if len(found) >= count:
                return found[-1]
            time.sleep(0.05)
        pytest.fail(f"no {name!r} in a minute:\n{self.log.read_text()}")

    def lines(self) -> Iterator[dict[str, Any]]:
        whole = self.log.read_text().rpartition("\n")[0]
        yield from (json.loads(line) for line in whole.splitlines())

    def model(self) -> dict[str, Any]:
        found = running.ask_service(self.url)
        assert found
        return found

    def service(self) -> int:
        """Returns the process that answers. Other child processes belong to Git."""
        [service] = children_that_run("mlops.service", psutil.Process(self.supervisor.pid))
        return int(service.pid)

    def example(self) -> str:
        told = json.loads(self.run("mlops", "predict", cwd=self.project).stdout)
        return json.dumps(told["row"])

    @contextmanager
    def under_load(self) -> Iterator[Load]:
        load = Load(self.url.removeprefix("http://"), self.example())
        clients = [threading.Thread(target=load.client) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            yield load
        finally:
            load.going = False
            for client in clients:
                client.join()

    def moved(self, *command: str, cwd: Path | None = None) -> float:
        """Runs a command that moves prod, and returns when it moved."""
        project = cwd or self.project
        before = tip(self.run, project)
        process = subprocess.Popen(
            command, cwd=project, env=self.run.environment, stdout=subprocess.DEVNULL
        )
        while tip(self.run, project) == before:
            assert process.poll() in (None, 0)
            time.sleep(0.02)
        when = time.monotonic()
        assert process.wait() == 0
        return when


def tip(run: Run, project: Path) -> str:
    return run.git("rev-parse", "prod", cwd=project)


@pytest.fixture
def served(run: Run, in_production: Path) -> Iterator[Served]:
    with ended(Served(run, in_production)) as served:
        yield served


@contextmanager
def ended(served: Served) -> Iterator[Served]:
    """Ends the supervisor, and checks that it ends as it should."""
    try:
        yield served
    finally:
        served.supervisor.terminate()
        assert served.supervisor.wait(30) == 0, served.log.read_text()


@pytest.fixture(scope="module")
def next_in_staging(run: Run, production: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with v1.0.0 in prod and v1.1.0 in staging."""
    directory = tmp_path_factory.mktemp("next") / "copy"
    shutil.copytree(production, directory, symlinks=True)
    project = directory / NAME
    params = project / "params.yaml"
    params.write_text(params.read_text().replace(": gradient_boosting", ": random_forest"))
    run("mlops", "repro", cwd=project)
    run.git("commit", "--quiet", "--all", "--message", "Another architecture", cwd=project)
    assert "v1.1.0" in run("mlops", "promote", "staging", cwd=project).stdout
    return directory


@pytest.fixture
def about_to_change(next_in_staging: Path, tmp_path: Path) -> Path:
    shutil.copytree(next_in_staging, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy" / NAME


def test_promotion_and_rollback_under_load(run: Run, about_to_change: Path) -> None:
    with ended(Served(run, about_to_change)) as served, served.under_load() as load:
        load.first("v1.0.0", 0)
        promoted = served.moved("mlops", "promote", "prod")
        assert load.first("v1.1.0", promoted) < SECONDS
        assert serving(run, about_to_change) == "v1.1.0"
        back = served.moved("mlops", "rollback", "prod")
        assert load.first("v1.0.0", back) < SECONDS
        assert served.model()["record"] == "prod/0003"
        time.sleep(1)
    assert load.failures == []
    assert len(load.answers) > 100


def serving(run: Run, project: Path) -> str:
    """Returns the last column of `mlops status` for prod."""
    lines = run("mlops", "status", cwd=project).stdout.splitlines()
    column = next(line.index("Serving") for line in lines if "Serving" in line)
    return next(line for line in lines if line.startswith("prod"))[column:].strip()


def break_code(project: Path) -> None:
    with (project / "mlops/service/service.py").open("a") as file:
        file.write("\nraise RuntimeError('a bad commit')\n")


def break_bundle(project: Path) -> None:
    lock = project / "dvc.lock"
    head, _, tail = lock.read_text().partition("- path: deploy\n")
    lock.write_text(f"{head}- path: deploy\n" + tail.replace("md5: ", "md5: 0000", 1))


BAD = {"exit code 1": break_code, "is not available": break_bundle}


@pytest.mark.parametrize("reason", BAD)
def test_what_is_bad_leaves_the_old_one_serving(run: Run, served: Served, reason: str) -> None:
    project = served.project
    with served.under_load() as load:
        run.git("switch", "--quiet", "prod", cwd=project)
        BAD[reason](project)
        run.git("commit", "--quiet", "--all", "--message", "Bad", cwd=project)
        assert reason in served.event("refused")["reason"]
        model = served.model()
        assert model["version"] == "v1.0.0"
        assert model["refused"]["commit"] == tip(run, project)
        assert serving(run, project).startswith(f"v1.0.0, refused {tip(run, project)[:7]}: ")
        run.git("reset", "--quiet", "--hard", "HEAD~1", cwd=project)
        wait(lambda: served.model()["refused"] is None)
    assert load.failures == []
    assert {version for _, version in load.answers} == {"v1.0.0"}


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_service_that_is_killed_is_started_again(run: Run, served: Served) -> None:
    killed = served.service()
    os.kill(killed, signal.SIGKILL)
    served.event("died")
    wait(lambda: running.ask_service(served.url) is not None)
    assert served.model()["version"] == "v1.0.0"
    assert served.service() != killed


def test_the_supervisors_end_answers_what_was_asked(served: Served) -> None:
    """Half of a request is sent, the supervisor is told to end, and then the other half is sent."""
    connection = HTTPConnection(served.url.removeprefix("http://"), timeout=20)
    body = served.example()
    connection.putrequest("POST", "/predict")
    for name, value in {**HEADERS, "Content-Length": str(len(body))}.items():
        connection.putheader(name, value)
    connection.endheaders(body[:10].encode())
    time.sleep(0.5)
    served.supervisor.terminate()
    time.sleep(0.5)
    connection.send(body[10:].encode())
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("Connection") == "close"
    assert json.loads(answer.read())["version"] == "v1.0.0"
    connection.close()
    assert served.supervisor.wait(20) == 0
    assert running.ask_service(served.url) is None


def test_a_killed_supervisor_leaves_no_process(run: Run, in_production: Path) -> None:
    served = Served(run, in_production)
    service = served.service()
    served.supervisor.kill()
    served.supervisor.wait()
    wait(lambda: not psutil.pid_exists(service))
    assert serving(run, served.project) == "-"


def test_a_clone_without_the_branch_serves_and_follows_origin(
    run: Run, about_to_change: Path
) -> None:
    clone = about_to_change.parent / "clone"
    run.git("clone", "--quiet", "--branch", "dev", "../origin", str(clone), cwd=about_to_change)
    with ended(Served(run, clone)) as served, served.under_load() as load:
        load.first("v1.0.0", 0)
        promoted = served.moved("mlops", "promote", "prod", cwd=about_to_change)
        load.first("v1.1.0", promoted)
    assert load.failures == []
