"""Tests the supervisor as a process, over commits whose service is a few lines that any commit may change."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from machinery import MLOPS, PROJECT
from mlops.errors import MlopsError
from mlops.release.follow import deployment, running, serve
from mlops.release.history.git import Git
from mlops.release.look import status
from tiny_pipeline import alive, commit, git

SERVICE = """\
import json, os, pathlib, signal, socket, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

fd, ready = int(sys.argv[2]), int(sys.argv[4])
WORDS

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        refused = pathlib.Path("refused.json")
        content = json.loads(pathlib.Path("release.json").read_text()) | {"pid": os.getpid()}
        content["refused"] = json.loads(refused.read_text()) if refused.exists() else None
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

server = ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=fd)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
os.write(ready, b'{"ready": true}\\n')
os.close(ready)
server.serve_forever(0.05)
"""
DIES = "sys.exit('no')"
SAYS_NO = 'os.write(ready, b\'{"error": "model.onnx has another hash"}\'); sys.exit(1)'


def deploy(project: Path, words: str = "") -> str:
    """Commits to prod a service that runs these words before it is ready."""
    (project / "mlops/service/__main__.py").write_text(SERVICE.replace("WORDS", words))
    commit(project, f"A service: {words}")
    return Git(project).run("rev-parse", "HEAD")


@pytest.fixture
def on_prod(in_prod: Path) -> Path:
    """A project with prod checked out, whose service runs with the libraries that are installed."""
    git(in_prod, "switch", "--quiet", "prod")
    (in_prod / "requirements/serve.txt").write_bytes(
        (PROJECT / "requirements/serve.txt").read_bytes()
    )
    deploy(in_prod)
    return in_prod


@dataclass
class Supervisor:
    process: subprocess.Popen[str]
    lines: list[dict[str, Any]] = field(default_factory=list)

    def listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def event(self, name: str, count: int = 1) -> dict[str, Any]:
        """Waits until an event was logged so many times, and returns its last line."""
        found: list[dict[str, Any]] = []
        for _ in moments(self.process):
            found = [line for line in self.lines if line["event"] == name]
            if len(found) >= count:
                return found[-1]
        pytest.fail(f"{count} times {name!r} was waited for, in vain: {self.lines}")

    def model(self) -> dict[str, Any]:
        found = running.ask_service(self.event("serving")["url"])
        assert found
        return found

    def answers_with(self, commit: str) -> dict[str, Any]:
        return self.model_where(lambda model: model["commit"] == commit)

    def model_where(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        for _ in moments(self.process):
            model = running.ask_service(self.event("serving")["url"])
            if model and condition(model):
                return model
        pytest.fail(f"it never answered so: {self.lines}")


def moments(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Yields for half a minute, while the process lives."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        ended = process.poll() is not None
        yield
        if ended:
            return
        time.sleep(0.05)


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Callable[..., Supervisor]:
    def start(project: Path, *options: str, **variables: str) -> Supervisor:
        command = [sys.executable, "-c", MLOPS, "serve", "--port", "0", *options]
        process = subprocess.Popen(
            command,
            cwd=project,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            text=True,
        )
        supervisor = Supervisor(process)
        thread = threading.Thread(target=supervisor.listen)
        thread.start()

        def end() -> None:
            with process:
                process.kill()
                thread.join()

        request.addfinalizer(end)
        return supervisor

    return start


Start = Callable[..., Supervisor]


def test_it_follows_the_branch_and_the_old_process_ends(on_prod: Path, start: Start) -> None:
    supervisor = start(on_prod)
    old = supervisor.model()
    assert old["environment"] == "prod"
    new = supervisor.answers_with(deploy(on_prod, "# another"))
    assert new["pid"] != old["pid"]
    for _ in moments(supervisor.process):
        if not alive(old["pid"]):
            break
    assert not alive(old["pid"])


@pytest.mark.parametrize(
    ("words", "reason"), [(DIES, "it ended with exit code 1"), (SAYS_NO, "another hash")]
)
def test_what_does_not_start_is_refused_and_said(
    on_prod: Path, start: Start, words: str, reason: str
) -> None:
    supervisor = start(on_prod)
    good = supervisor.model()
    bad = deploy(on_prod, words)
    line = supervisor.event("refused")
    assert reason in line["reason"]
    assert line["commit"] == bad
    model = supervisor.model()
    assert (model["pid"], model["refused"]["commit"]) == (good["pid"], bad)
    assert reason in model["refused"]["reason"]
    told = status.status_of(Git(on_prod), "prod").serving
    assert told
    assert told.startswith(f"{good['commit'][:7]}, refused {bad[:7]}: ")

    mended = deploy(on_prod)
    assert supervisor.answers_with(mended)["refused"] is None
    assert len([each for each in supervisor.lines if each["event"] == "refused"]) == 1


def test_when_the_branch_goes_back_nothing_is_refused_any_more(on_prod: Path, start: Start) -> None:
    supervisor = start(on_prod)
    good = supervisor.model()
    deploy(on_prod, DIES)
    supervisor.event("refused")
    git(on_prod, "reset", "--quiet", "--hard", good["commit"])
    model = supervisor.model_where(lambda model: model["refused"] is None)
    assert model["pid"] == good["pid"]


def test_a_commit_without_a_bundle_is_refused(on_prod: Path, start: Start) -> None:
    supervisor = start(on_prod)
    good = supervisor.model()
    (on_prod / "dvc.lock").unlink()
    commit(on_prod, "No lock")
    assert "has deployed nothing yet" in supervisor.event("refused")["reason"]
    assert supervisor.model()["commit"] == good["commit"]


def test_a_process_that_is_killed_is_started_again(on_prod: Path, start: Start) -> None:
    supervisor = start(on_prod)
    first = supervisor.model()
    os.kill(first["pid"], signal.SIGKILL)
    second = supervisor.model_where(lambda model: model["pid"] != first["pid"])
    assert second["commit"] == first["commit"]
    assert supervisor.event("died")["reason"] == "it ended by signal 9"


@pytest.mark.parametrize("options", [(), ("--version", "this")], ids=["branch", "version"])
def test_a_deployment_that_is_removed_or_damaged_is_prepared_anew(
    on_prod: Path, start: Start, options: tuple[str, ...]
) -> None:
    git(on_prod, "tag", "this")
    supervisor = start(on_prod, *options)
    first = supervisor.model()
    folder = on_prod / deployment.FOLDER / first["commit"]
    bundle = sorted(folder.glob("deploy/*"))
    contents = [file.read_bytes() for file in bundle]

    shutil.rmtree(folder)
    supervisor.event("serving", count=2)
    second = supervisor.model_where(lambda model: model["pid"] != first["pid"])
    assert second["commit"] == first["commit"]
    assert [file.read_bytes() for file in bundle] == contents

    bundle[0].unlink()
    bundle[0].write_text("damaged")
    os.kill(second["pid"], signal.SIGKILL)
    supervisor.event("serving", count=3)
    assert [file.read_bytes() for file in bundle] == contents
    assert supervisor.model()["commit"] == first["commit"]


def test_one_that_dies_again_and_again_is_no_busy_loop(on_prod: Path, start: Start) -> None:
    deploy(on_prod, "threading.Timer(0.1, os._exit, [1]).start()")
    supervisor = start(on_prod)
    supervisor.event("died", count=3)
    before = len(supervisor.lines)
    time.sleep(1)
    assert len(supervisor.lines) - before <= 2
    supervisor.answers_with(deploy(on_prod))


def test_when_it_is_told_to_end_it_ends_and_takes_back_what_it_announced(
    on_prod: Path, start: Start
) -> None:
    supervisor = start(on_prod)
    child = supervisor.model()["pid"]
    assert running.announcement(Git(on_prod), "prod")
    supervisor.process.terminate()
    assert supervisor.process.wait(20) == 0
    assert not alive(child)
    assert running.announcement(Git(on_prod), "prod") is None


def test_a_full_log_that_nobody_reads_does_not_keep_it_from_ending(on_prod: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(100))
    os.set_blocking(writer, True)
    command = [sys.executable, "-c", MLOPS, "serve", "--port", "0"]
    process = subprocess.Popen(command, cwd=on_prod, stdout=writer)
    try:
        for _ in moments(process):
            if running.announcement(Git(on_prod), "prod"):
                break
        assert running.running_model(Git(on_prod), "prod")
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reader)
        os.close(writer)


def test_a_terminal_gets_text_with_the_address_and_how_to_end_it(on_prod: Path) -> None:
    reader, writer = pty.openpty()
    command = [sys.executable, "-c", MLOPS, "serve", "--port", "0"]
    process = subprocess.Popen(command, cwd=on_prod, stdout=writer)
    os.close(writer)
    try:
        text = b""
        while b"ends it" not in text:
            text += os.read(reader, 1000)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reader)
    assert re.search(rb" of prod answers at http://127.0.0.1:\d+; Ctrl-C ends it\r\n", text)


def test_when_it_is_killed_its_process_ends_too(on_prod: Path, start: Start) -> None:
    supervisor = start(on_prod)
    child = supervisor.model()["pid"]
    supervisor.process.kill()
    end = time.monotonic() + 10
    while alive(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(child)
    assert status.status_of(Git(on_prod), "prod").serving is None


def test_a_clone_follows_origin_and_says_once_when_it_is_away(on_prod: Path, start: Start) -> None:
    clone = on_prod.parent / "clone"
    git(on_prod.parent, "clone", "--quiet", "--branch", "dev", on_prod.name, clone.name)
    supervisor = start(clone, "--every", "0.2")
    supervisor.answers_with(Git(on_prod).run("rev-parse", "prod"))
    supervisor.answers_with(deploy(on_prod, "# another"))
    away = on_prod.rename(on_prod.with_name("away"))
    supervisor.event("origin_away")
    time.sleep(1)
    away.rename(on_prod)
    supervisor.event("origin_back")
    assert [line["event"] for line in supervisor.lines].count("origin_away") == 1
    supervisor.answers_with(deploy(on_prod, "# a third"))


def test_a_version_is_served_and_nothing_followed(on_prod: Path, start: Start) -> None:
    serves = Git(on_prod).run("rev-parse", "prod")
    git(on_prod, "tag", "this")
    supervisor = start(on_prod, "--version", "this")
    deploy(on_prod, "# another")
    time.sleep(1.5)
    assert supervisor.model()["commit"] == serves
    assert running.announcement(Git(on_prod), "prod") is None


def test_where_the_first_does_not_start_the_command_fails(on_prod: Path) -> None:
    deploy(on_prod, SAYS_NO)
    with pytest.raises(MlopsError, match=r"does not start: model\.onnx has another hash"):
        serve.serve(Git(on_prod), "prod", host="127.0.0.1", port=0, follow=2)


def test_a_port_that_is_taken_is_told(on_prod: Path) -> None:
    with (
        serve.listening_socket("127.0.0.1", 0) as taken,
        pytest.raises(MlopsError, match="can't be listened on: Address already in use"),
    ):
        serve.serve(Git(on_prod), "prod", host="127.0.0.1", port=taken.getsockname()[1], follow=2)
