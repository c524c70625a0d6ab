"""Tests that no log stops the service: one that nobody reads, one whose reader is gone, and a full disk."""

import json
import os
import pty
import re
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops import log_stream
from mlops.log_stream import LogStream
from mlops.service.logs import Log
from running_service import deployment, launched


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        with suppress(OSError):
            os.close(descriptor)


def wait_until(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_lines_that_nobody_reads_are_dropped_counted_and_reported_when_the_reader_returns(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "MOST_BYTES", 200_000)
    reader, writer = pipe
    counted: list[int] = []
    log = Log(LogStream(writer, counted.append), "v1")
    start = time.monotonic()
    for number in range(100):
        for _ in range(20):
            log.message("info", f"{number:04d} {'x' * 200}")
        log.flush()
    log.flush_and_wait()
    assert time.monotonic() - start < 10, "nothing waits for the reader"
    dropped = sum(counted)
    assert 500 < dropped < 2000

    received = b""

    def has_report() -> bool:
        nonlocal received
        received += os.read(reader, 1_000_000)
        log.flush()
        return b"lines were dropped" in received and received.endswith(b"\n")

    wait_until(has_report)
    lines = [json.loads(line) for line in received.splitlines()]
    assert len(lines) == 2000 - dropped + 1
    assert lines[-1]["message"].startswith(f"{dropped:,} lines were dropped")
    assert sum(counted) == dropped


def test_a_full_disk_costs_lines_and_leaves_no_torn_line_before_the_next(tmp_path: Path) -> None:
    """A limit of the size of files stands for the disk: the kernel takes a part of a write, then none."""
    file = tmp_path / "log"
    counted: list[int] = []
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    log = Log(LogStream(descriptor, counted.append), "v1")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
        for _ in range(2):
            log.message("info", "x" * 700)
            log.flush()
        wait_until(lambda: counted == [1])
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        log.message("info", "again")
        log.flush_and_wait()
        log.flush()
        log.flush_and_wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)
        os.close(descriptor)
    first, torn, *rest = file.read_text().splitlines()
    assert json.loads(first)["message"] == "x" * 700
    assert torn.count("x") < 700
    assert [json.loads(line)["message"][:20] for line in rest] == ["again", "1 line was dropped: "]


@pytest.mark.parametrize("reader_is_gone", [False, True], ids=["stalled", "gone"])
def test_a_service_whose_log_nobody_reads_answers_and_ends_when_it_is_told_to(
    finished: Path, tmp_path: Path, pipe: tuple[int, int], reader_is_gone: bool
) -> None:
    folder = deployment(tmp_path / "served", finished / "deploy")
    reader, writer = pipe
    if reader_is_gone:
        os.close(reader)
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        descriptor = listening.fileno()
        process = launched(
            folder, "--fd", str(descriptor), output=writer, descriptors=(descriptor,)
        )
        try:
            address = listening.getsockname()
            with socket.create_connection(address, timeout=30) as connection:
                for _ in range(20):
                    connection.sendall(b"GET /health HTTP/1.1\r\n\r\n" * 100)
                    received = b""
                    while received.count(b'{"alive":true}') < 100:
                        received += connection.recv(100_000)
            url = f"http://{address[0]}:{address[1]}"
            metrics = httpx.get(f"{url}/metrics", timeout=5).text
            process.terminate()
            assert process.wait(10) == 0
        finally:
            process.kill()
            _, errors = process.communicate()
    assert errors == ""
    (count,) = [
        float(line.split()[1])
        for line in metrics.splitlines()
        if line.startswith("log_lines_dropped_total ")
    ]
    assert (count > 100) == reader_is_gone


def test_a_terminal_gets_text_with_the_address_and_how_to_end_it(
    finished: Path, tmp_path: Path
) -> None:
    folder = deployment(tmp_path / "served", finished / "deploy")
    reader, writer = pty.openpty()
    process = launched(folder, "--port", "0", output=writer)
    os.close(writer)
    text = b""
    try:
        while b"ends it" not in text:
            text += os.read(reader, 1000)
        [url] = re.findall(rb"http://\S+(?=;)", text)
        httpx.get(url.decode(), timeout=5)
        while b" ms" not in text:
            text += os.read(reader, 1000)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()
        os.close(reader)
    first, second = text.decode().splitlines()
    assert re.fullmatch(r"[\d:]{8} v1.2.0 answers at http://127.0.0.1:\d+; Ctrl-C ends it", first)
    assert re.fullmatch(r"[\d:]{8} 127.0.0.1 GET / 307 in [\d.]+ ms", second)
