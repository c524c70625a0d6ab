"""A service as a process of its own, on a real socket, for the tests that ask it."""

import hashlib
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import httpx

PROJECT = Path(__file__).parents[1]
JSON = {"Content-Type": "application/json"}
NONE: Mapping[str, str] = {}

Process = subprocess.Popen[str]


class Service:
    """`lines` holds what it has logged so far."""

    def __init__(self, process: Process, log: Path) -> None:
        self.process = process
        self.client = httpx.Client(base_url=address(log), timeout=20)
        self._log = log

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    @contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            yield connection

    @property
    def port(self) -> int:
        return self.client.base_url.port or 0

    def predict(self, content: object, **headers: str) -> httpx.Response:
        return self.client.post("/predict", json=content, headers=headers)

    def send(self, content: bytes, **headers: str) -> httpx.Response:
        return self.client.post("/predict", content=content, headers=JSON | headers)


def address(log: Path) -> str:
    (line,) = log.read_text().splitlines()
    return str(json.loads(line)["message"].split()[-1])


def deployment(folder: Path, bundle: Path, **serve: object) -> Path:
    """A folder as `mlops serve` lays it out, around a copy of `bundle`."""
    (folder / "deploy").mkdir(parents=True)
    for file in bundle.iterdir():
        (folder / "deploy" / file.name).write_bytes(file.read_bytes())
    released = {
        "environment": "prod",
        "version": "v1.2.0",
        "commit": "c0ffee" + "0" * 34,
        "record": "prod/0003",
        "released": "2026-11-23T14:29:00+00:00",
        "bundle": "a.dir",
        "files": {
            file.name: hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
            for file in bundle.iterdir()
        },
        "metrics": {"test": {"accuracy": 0.9}},
        "serve": serve,
        "of a newer template": True,
    }
    (folder / "release.json").write_text(json.dumps(released))
    return folder


def launched(
    folder: Path,
    *options: str,
    code: Path = PROJECT,
    output: IO[str] | int = subprocess.PIPE,
    descriptors: tuple[int, ...] = (),
    variables: Mapping[str, str] = NONE,
) -> Process:
    return subprocess.Popen(
        [sys.executable, "-m", "serving", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(code), "PYTHONSAFEPATH": "1", **variables},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=descriptors,
    )


@contextmanager
def running(
    folder: Path, *options: str, code: Path = PROJECT, variables: Mapping[str, str] = NONE
) -> Iterator[Service]:
    """Ready, on a free port; ended afterwards, without an error."""
    log = folder / f"{os.urandom(4).hex()}.log"
    told, tells = os.pipe()
    with log.open("w") as output:
        process = launched(
            folder,
            *("--port", "0", "--ready-fd", str(tells), *options),
            code=code,
            output=output,
            descriptors=(tells,),
            variables=variables,
        )
    os.close(tells)
    try:
        with os.fdopen(told) as pipe:
            answer = pipe.readline()
        assert answer == '{"ready":true}\n', process.communicate()
        service = Service(process, log)
        with service.client:
            yield service
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, ""), (process.returncode, errors)
