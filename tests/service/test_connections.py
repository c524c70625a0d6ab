"""Tests that clients that are silent, slow or large keep no one else from being answered."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

import soak
from machinery import PROJECT
from running_service import Service, deployment, launched, running

FEW_FILES = (
    "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)); "
    "from mlops.service import connections; connections.HEAD_SECONDS = 1.0"
)
SECONDS = 60.0 if soak.LOG else 2.0
SILENT = 500 if soak.LOG else 100
SLOW = 50
PATIENCE = 5.0
"""Seconds that no answer may take, on a machine that does much else."""
HEAD = b"GET /health HTTP/1.1\r\n"
BODY = b"POST /predict HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"


@pytest.fixture(scope="module")
def service(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that may open 256 files, and gives a head one second."""
    root = tmp_path_factory.mktemp("connections")
    (root / "code").mkdir()
    (root / "code/sitecustomize.py").write_text(FEW_FILES)
    folder = deployment(root / "served", finished / "deploy")
    code = f"{root / 'code'}:{PROJECT}"
    with running(folder, variables={"PYTHONPATH": code}) as service:
        yield service


@contextmanager
def connected(port: int, number: int, content: bytes = b"") -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        connections = []
        for _ in range(number):
            connection = stack.enter_context(socket.socket())
            connection.settimeout(30)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", port))
            connection.sendall(content)
            connections.append(connection)
        yield connections


def received(connection: socket.socket) -> bytes:
    """Returns all that comes until the connection is closed."""
    parts = []
    while part := connection.recv(100_000):
        parts.append(part)
    return b"".join(parts)


def asked(connection: socket.socket, head: bytes) -> bytes:
    """Returns the answer to GET /health."""
    connection.sendall(head)
    answer = b""
    while not answer.endswith(b"}"):
        answer += connection.recv(1000)
    return answer


def messages(service: Service, words: str) -> list[str]:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if found := [line["message"] for line in service.lines if words in line.get("message", "")]:
            return found
        time.sleep(0.05)
    return []


@pytest.mark.parametrize(
    "content",
    [b"", HEAD, BODY, b"GET /docs HTTP/1.1\r\n\r\n" * 40],
    ids=["silent", "half a head", "half a body", "nothing is read"],
)
def test_300_connections_that_wait_at_256_open_files_stop_nobody(
    service: Service, content: bytes
) -> None:
    with connected(service.port, 300 if len(content) < 100 else 200, content):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", service.port), timeout=20) as other:
                other.sendall(HEAD + b"Connection: close\r\n\r\n")
                assert received(other).startswith(b"HTTP/1.1 200")
    assert messages(service, "connections were closed: more than 192 were open")


def test_a_head_that_does_not_come_in_time_is_given_up(service: Service) -> None:
    with (
        connected(service.port, 1) as [silent],
        connected(service.port, 1, HEAD) as [half],
        connected(service.port, 1) as [slow],
    ):
        asked(slow, HEAD + b"\r\n")
        start = time.monotonic()
        for byte in HEAD[:4]:
            slow.sendall(bytes([byte]))
            time.sleep(0.2)
        assert received(silent) == b""
        assert received(half).startswith(b"HTTP/1.1 408 Request Timeout")
        assert received(slow).startswith(b"HTTP/1.1 408 Request Timeout")
        assert time.monotonic() - start < 8
    assert messages(service, "connections were closed: no whole head of a request came")


def test_an_idle_connection_is_kept(service: Service) -> None:
    with connected(service.port, 1) as [connection]:
        for pause in (2.5, 0):
            assert asked(connection, HEAD + b"\r\n").startswith(b"HTTP/1.1 200")
            time.sleep(pause)


@pytest.mark.parametrize(
    "head",
    [HEAD + b"X: " + bytes(70_000).replace(b"\0", b"x"), HEAD + b"X: 1\r\n" * 20_000],
    ids=["one field", "many fields"],
)
@pytest.mark.parametrize("is_whole", [False, True])
def test_a_large_head_is_refused(service: Service, head: bytes, is_whole: bool) -> None:
    with connected(service.port, 1, head + b"\r\n\r\n" * is_whole) as [connection]:
        if is_whole:
            assert received(connection).startswith(b"HTTP/1.1 431")
        else:
            with suppress(
                ConnectionError
            ):  # what was sent beyond the limit may reset the connection
                connection.sendall(b"X: " + b"x" * 400_000)
                assert received(connection).startswith(b"HTTP/1.1 431")
    assert messages(service, "connections were closed: the head is larger")
    with connected(service.port, 1, HEAD + b"Connection: close\r\nX: " + b"x" * 60_000) as [
        connection
    ]:
        connection.sendall(b"\r\n\r\n")
        assert received(connection).startswith(b"HTTP/1.1 200")


def test_all_at_once_keep_nobody_waiting(finished: Path, tmp_path: Path) -> None:
    """Silent connections and slow heads come while nobody reads the log."""
    folder = deployment(tmp_path / "served", finished / "deploy")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(100))
    os.set_blocking(writer, True)
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2048))
        listening.set_inheritable(True)
        descriptor = listening.fileno()
        process = launched(
            folder, "--fd", str(descriptor), output=writer, descriptors=(descriptor,)
        )
        stack.callback(process.communicate)
        stack.callback(process.kill)
        port = listening.getsockname()[1]
        waits = waits_of_a_bystander(port, stack.enter_context(connected(port, 1))[0])
        process.terminate()
        assert process.wait(20) == 0
    for end in (reader, writer):
        os.close(end)
    assert max(waits) < PATIENCE
    soak.note("attack", silent=SILENT, slow=SLOW, asked=len(waits), longest=max(waits))


def waits_of_a_bystander(port: int, bystander: socket.socket) -> list[float]:
    """Returns the seconds to each answer of a client that asks for SECONDS beside silent and slow ones."""
    assert asked(bystander, HEAD + b"\r\n"), "the service has started"
    waits: list[float] = []
    with connected(port, SILENT), connected(port, SLOW) as slow:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for each in slow:
                with suppress(ConnectionError):  # it is given up after a while
                    each.sendall(b"X-Slow: 1\r\n" if waits else HEAD)
            start = time.monotonic()
            assert asked(bystander, HEAD + b"\r\n").startswith(b"HTTP/1.1 200")
            waits.append(time.monotonic() - start)
            time.sleep(0.1)
    return waits
