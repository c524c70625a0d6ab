"""Starts a service on one core, checks its answers, and puts it under load with wrk from the other core."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environments import Environment
from pipeline import ENVIRONMENT
from processes import end, resident_megabytes
from project import PEERS, call

SERVICE_CORE, CLIENT_CORE = 0, 1
CONNECTIONS = (1, 16, 64)
PATIENCE = 120
WARM_UP = 1

Row = Mapping[str, object]


@dataclass(frozen=True)
class Service:
    """A service to measure. `command` contains {port}; `body` converts a row to its request, and `label`
    takes the predicted class from its answer."""

    name: str
    environment: Environment
    libraries: Sequence[str]
    command: Sequence[str | Path]
    folder: Path = PEERS
    variables: Mapping[str, str] = field(default_factory=dict)
    path: str = "/predict"
    body: Callable[[Row], object] = lambda row: row
    label: Callable[[Any], object] = lambda answer: answer["prediction"]


@dataclass(frozen=True)
class Load:
    """The result of a load: milliseconds to an answer, answers per second, and failed requests."""

    median: float
    p99: float
    per_second: float
    errors: int


@dataclass(frozen=True)
class Round:
    """The figures of a round: seconds from the start of the process to its first answer, megabytes in memory
    after all loads, and the loads by number of connections."""

    first_answer: float
    resident: float
    loads: Mapping[int, Load]


@dataclass(frozen=True)
class Server:
    service: Service
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def fail(self, reason: object) -> None:
        sys.exit(f"{self.service.name}: {reason}; its output:\n{self.log.read_text()[-3000:]}")


def measure_service(
    service: Service, rows: Sequence[Row], labels: Sequence[str], seconds: int, scratch: Path
) -> Round:
    """Returns the figures of a service. Exits with a message if an answer is wrong or a request fails."""
    bodies = [json.dumps(service.body(row)) for row in rows]
    file = scratch / "bodies"
    file.write_text("".join(f"{body}\n" for body in bodies))
    started = time.perf_counter()
    with running(service, scratch / "log") as server:
        wait_for_answer(server, bodies[0])
        first_answer = time.perf_counter() - started
        check_labels(server, bodies, labels)
        load(server, max(CONNECTIONS), WARM_UP, file)
        loads = {count: load(server, count, seconds, file) for count in CONNECTIONS}
        return Round(first_answer, resident_megabytes(server.process.pid), loads)


@contextmanager
def running(service: Service, log: Path) -> Iterator[Server]:
    port = free_port()
    path = os.pathsep.join([str(service.environment.bin), ENVIRONMENT["PATH"]])
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(SERVICE_CORE)]
            + [str(word).format(port=port) for word in service.command],
            cwd=service.folder,
            env={**ENVIRONMENT, "PATH": path, **service.variables},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Server(service, process, port, log)
    finally:
        end(process)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for_answer(server: Server, body: str) -> None:
    last = time.monotonic() + PATIENCE
    answered = False
    while not answered:
        if server.process.poll() is not None or time.monotonic() > last:
            server.fail("no answer")
        try:
            answered = ask(server, body)[0] == 200
        except OSError:
            time.sleep(0.005)


def ask(server: Server, body: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.request("POST", server.service.path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, answer


def check_labels(server: Server, bodies: Sequence[str], labels: Sequence[str]) -> None:
    """Checks the answer for each row, on a new connection, so that occasionally lost requests are found
    too."""
    for body, label in zip(bodies, labels, strict=True):
        status, answer = ask(server, body)
        if status != 200 or server.service.label(json.loads(answer)) not in (label, None):
            server.fail(f"{status} {answer!r} instead of {label!r}, for {body}")


def load(server: Server, connections: int, seconds: int, bodies: Path) -> Load:
    printed = call(
        *("taskset", "--cpu-list", str(CLIENT_CORE), "wrk", "--threads", "1"),
        *("--connections", str(connections), "--duration", f"{seconds}s", "--timeout", "30s"),
        *("--script", PEERS / "cycle.lua", f"http://127.0.0.1:{server.port}{server.service.path}"),
        *("--", bodies),
        cwd=PEERS,
    )
    result = Load(**json.loads(printed.splitlines()[-1]))
    if result.errors:
        server.fail(f"{result.errors} requests failed with {connections} connections")
    return result
