"""Tests what `mlops status` prints about a service, in place of which a few lines answer."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlops.release.follow import running
from mlops.release.history.git import Git
from mlops.release.look import status

MODEL = {"version": "v1.0.0", "commit": "a" * 40, "refused": None}
REASON = "model.onnx has another hash\nthe second line of it"


@contextmanager
def answering(body: bytes) -> Iterator[int]:
    """Yields a port on which every request gets the same answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def told(project: Path, port: int) -> str | None:
    with running.announced_service(Git(project), "staging", "127.0.0.1", port):
        return status.status_of(Git(project), "staging").serving


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "v1.0.0"),
        ({"version": None}, "aaaaaaa"),
        (
            {"refused": {"version": "v1.1.0", "commit": "b" * 40, "reason": REASON}},
            "v1.0.0, refused v1.1.0: model.onnx has another hash",
        ),
        (
            {"refused": {"version": None, "commit": None, "reason": "staging has diverged"}},
            "v1.0.0, refused its branch: staging has diverged",
        ),
    ],
)
def test_what_serves_is_told_and_what_it_refused(
    in_staging: Path, said: dict[str, Any], expected: str
) -> None:
    with answering(json.dumps(MODEL | said).encode()) as port:
        assert told(in_staging, port) == expected


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}"])
def test_something_else_on_its_port_is_no_service(in_staging: Path, body: bytes) -> None:
    with answering(body) as port:
        assert told(in_staging, port) is None


def test_one_that_is_gone_or_does_not_answer_holds_nobody_up(in_staging: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        assert told(in_staging, port) is None
        assert time.monotonic() - began < 5
    assert told(in_staging, port) is None


def test_only_its_own_environment_is_said_to_be_served(in_staging: Path) -> None:
    with (
        answering(json.dumps(MODEL).encode()) as port,
        running.announced_service(Git(in_staging), "staging", "0.0.0.0", port) as url,  # noqa: S104
    ):
        assert url == f"http://127.0.0.1:{port}"
        serving = {each.environment: each.serving for each in status.all_statuses(Git(in_staging))}
    assert serving == {"dev": None, "staging": "v1.0.0", "prod": None}
    assert status.status_of(Git(in_staging), "staging").serving is None


def test_an_address_of_version_6_is_written_in_brackets() -> None:
    assert running.service_url("::", 80) == "http://[::1]:80"
