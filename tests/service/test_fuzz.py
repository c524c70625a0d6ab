"""Tests the service with requests that nobody would send: none is answered with a 500, and none makes others
wait.

There are 2,000 requests, or as many as FUZZ_REQUESTS says, which `make soak` sets. FUZZ_SEED repeats a run.
"""

import http.client
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
)

import small_project
import soak
from baking import Run
from mlops.predict import schema
from running_service import Service, deployment, running

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "2000"))
SHARES = {"positive": 0.2, "negative": 0.1, "bytes": 0.4, "rows": 0.3}
SEED = int(os.environ.get("FUZZ_SEED", "0")) or int.from_bytes(os.urandom(4))
PATIENCE = 5.0
"""Seconds that no answer may take, on a machine that does much else."""
CONFORMS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    positive_data_acceptance,
]
PIPELINE = """
from mlops.deploy import deploy
from mlops.evaluate import evaluate
from mlops.gate import gate
from mlops.prepare import prepare
from mlops.train import train
for stage in (prepare, train, evaluate, gate, deploy):
    stage.main()
"""
REJECTIONS = {"negative_data_rejection": {"expected-statuses": ["400", "413", "422"]}}
STATUSES = {200, 400, 413, 415, 422}

Random = random.Random


@pytest.fixture(scope="module")
def folder(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project")
    small_project.make(project)
    run(sys.executable, "-c", PIPELINE, cwd=project)
    return deployment(project / "served", project / "deploy")


@dataclass
class Bystander:
    """A well-behaved client that asks for one row all the while."""

    service: Service
    row: dict[str, Any]
    waits: list[float] = field(default_factory=list)
    going: bool = True

    def ask(self) -> None:
        while self.going:
            start = time.monotonic()
            assert self.service.predict(self.row).status_code == 200
            self.waits.append(time.monotonic() - start)
            time.sleep(0.02)


@pytest.fixture
def service(folder: Path) -> Iterator[Service]:
    row = dict(schema.read_schema(folder / "deploy/schema.json").example())
    with running(folder) as service:
        bystander = Bystander(service, row)
        thread = threading.Thread(target=bystander.ask)
        thread.start()
        yield service
        bystander.going = False
        thread.join()
        assert bystander.waits, "the bystander got no answer"
        assert max(bystander.waits) < PATIENCE
        assert service.client.get("/ready").status_code == 200
    assert [line for line in service.lines if line["level"] == "error"] == []


def requests(kind: str) -> int:
    return round(SHARES[kind] * REQUESTS)


@pytest.mark.parametrize("mode", GenerationMode)
def test_requests_made_of_its_own_document(service: Service, mode: GenerationMode) -> None:
    document = schemathesis.openapi.from_url(
        f"http://127.0.0.1:{service.port}/openapi.json",
        config=SchemathesisConfig.from_dict({"checks": REJECTIONS}),
    )
    operation = document["/predict"]["POST"]

    @seed(SEED)
    @settings(
        max_examples=requests(mode.value),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def conforms(case: Case[Any]) -> None:
        case.call_and_validate(checks=CONFORMS, timeout=PATIENCE)

    conforms()
    soak.note("fuzz", requests=requests(mode.value), of=mode.value, seed=SEED)


@pytest.mark.parametrize("garbled", ["bytes", "rows"])
def test_requests_made_of_its_example(service: Service, folder: Path, garbled: str) -> None:
    row = dict(schema.read_schema(folder / "deploy/schema.json").example())
    draw = Random(SEED)
    make: Callable[[Random, dict[str, Any]], bytes] = {"bytes": bytes_of, "rows": rows_of}[garbled]
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
    with closing(connection):
        for number in range(requests(garbled)):
            body = make(draw, row)
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = json.loads(answer.read())
            place = f"seed {SEED}, request {number}: {body[:300]!r}"
            assert answer.status in STATUSES, place
            assert ("predictions" if answer.status == 200 else "error") in content, place
    soak.note("fuzz", requests=requests(garbled), of=garbled, seed=SEED)


def bytes_of(draw: Random, row: dict[str, Any]) -> bytes:
    """Returns the bytes of a body: noise, words of JSON in no order, or an example with damage."""
    return draw.choice([noise, words, scratched])(draw, row)


def noise(draw: Random, row: dict[str, Any]) -> bytes:
    return draw.randbytes(draw.randrange(2000))


def words(draw: Random, row: dict[str, Any]) -> bytes:
    known = [
        *'{}[],:"',
        "null",
        "true",
        "NaN",
        "-Infinity",
        "1e999",
        "-0",
        '"\\ud800"',
        "\\u0000",
        " ",
    ]
    known += [json.dumps(part) for part in (*row, *row.values())]
    return "".join(draw.choices(known, k=draw.randrange(200))).encode()


def scratched(draw: Random, row: dict[str, Any]) -> bytes:
    body = bytearray(json.dumps([row] * draw.randint(1, 3)).encode())
    for _ in range(draw.randint(1, 8)):
        start = draw.randrange(len(body))
        end = start + draw.randrange(20)
        body[start:end] = draw.choice(
            [b"", body[start:end] * 2, draw.randbytes(3), b"\\", b'"', b"["]
        )
        body = body or bytearray(b"[")
    return bytes(body)


def rows_of(draw: Random, row: dict[str, Any]) -> bytes:
    """Returns rows as whole JSON, of which some fields are missing, renamed or have wrong values."""
    rows = [
        changed(draw, row) for _ in range(draw.choices([1, 2, 50, 150, 1001], [60, 30, 5, 4, 1])[0])
    ]
    content = rows[0] if len(rows) == 1 and draw.random() < 0.5 else rows
    return json.dumps(content, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")


def changed(draw: Random, row: dict[str, Any]) -> Any:
    if draw.random() < 0.02:
        return odd(draw)
    row = dict(row)
    for name in draw.sample(sorted(row), draw.randrange(4)):
        value = row.pop(name)
        match draw.randrange(4):
            case 0:
                row[name] = odd(draw)
            case 1:
                row[name + draw.choice(["", " ", "\0", "é", "x" * 10_000])] = value
            case 2:
                row[name] = value * draw.choice([0, -1, 2, 1000])
    return row


def odd(draw: Random) -> Any:
    number = draw.choice(
        [0, -1, 2**31, 2**63, 2**64, 10**40, -(10**400), 1.5, 1e39, -1e308, 5e-324]
    )
    text = draw.choice(
        ["", " ", "?", "nan", "12", "\ud800", "\0", "💥", "ß" * 50_000, "NULL", "{}"]
    )
    deep: Any = []
    for _ in range(draw.choice([1, 10, 900])):
        deep = [deep] if draw.random() < 0.5 else {"a": deep}
    return draw.choice([number, text, None, True, False, float("nan"), float("inf"), [], {}, deep])
