"""Tests the service as clients see it: a process that is asked over its socket."""

import http.client
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from machinery import PROJECT
from mlops.contract.contract import Contract
from mlops.predict import schema
from mlops.predict.predictor import Predictor
from mlops.predict.schema import Schema
from running_service import JSON, Service, deployment, launched, running

UUID = "0b9d4e2e-8a1b-4f0e-9d2e-5f3c2a1b0c9d"


@pytest.fixture(scope="module")
def folder(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    limits = {"max_rows": 300, "max_body_megabytes": 0.2}
    return deployment(tmp_path_factory.mktemp("served") / "v1", finished / "deploy", **limits)


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    with running(folder) as service:
        yield service


@pytest.fixture(scope="module")
def inputs(folder: Path) -> Schema:
    return schema.read_schema(folder / "deploy/schema.json")


@pytest.fixture(scope="module")
def row(inputs: Schema) -> dict[str, Any]:
    return dict(inputs.example())


def number(inputs: Schema) -> str:
    return inputs.names("integer", "number")[0]


def test_a_row_gets_a_prediction_a_probability_for_each_class_and_the_version(
    service: Service, folder: Path, inputs: Schema, row: dict[str, Any]
) -> None:
    answer = service.predict(row)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    content = answer.json()
    assert content["version"] == "v1.2.0"
    (prediction,) = content["predictions"]
    expected = Predictor(folder / "deploy").predict(Contract(inputs).columns([row]))
    assert prediction["prediction"] == expected.answers[0]
    assert list(prediction["probability"]) == list(inputs.classes)
    assert [*prediction["probability"].values()] == expected.probabilities[0].tolist()


def test_a_list_is_answered_in_its_order(
    service: Service, inputs: Schema, row: dict[str, Any]
) -> None:
    rows = [row | {number(inputs): value} for value in (-1000, 0, 1000)]
    together = service.predict(rows).json()["predictions"]
    for prediction in together:
        for fault in prediction.get("warnings", []):
            fault["row"] = 0
    assert [service.predict(each).json()["predictions"][0] for each in rows] == together


def test_what_training_never_saw_is_answered_with_a_warning(
    service: Service, inputs: Schema, row: dict[str, Any]
) -> None:
    name = number(inputs)
    known, unknown = service.predict([row, row | {name: 10**6}]).json()["predictions"]
    assert "warnings" not in known
    (warning,) = unknown["warnings"]
    assert (warning["row"], warning["column"], warning["kind"]) == (1, name, "range")
    assert (warning["came"], warning["severity"]) == ("1000000", "warning")


def test_all_that_is_wrong_with_a_row_is_said_at_once(
    service: Service, inputs: Schema, row: dict[str, Any]
) -> None:
    first, second, third = [*row][:3]
    wrong = {name: value for name, value in row.items() if name != first}
    answer = service.predict([row, wrong | {second: "much", third: [1], "else": 1}])
    assert answer.status_code == 422
    content = answer.json()
    assert {(fault["row"], fault["column"], fault["kind"]) for fault in content["faults"]} == {
        (1, first, "missing"),
        (1, second, "type"),
        (1, third, "type"),
        (1, "else", "extra"),
    }
    assert all(name in content["error"] for name in (first, second, third, "else"))
    assert content["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 400, "not JSON"),
        (b'{"age": ', 400, "not JSON"),
        (b"\xff\xfe", 400, "byte 0xff at position 0 is not UTF-8"),
        (b"[" * 190_000, 400, "nested too deeply"),
        (b"[]", 422, "no row"),
        (b"null", 422, "an object"),
        (b"[1]", 422, "an object"),
        (b'{"age": NaN}', 422, "missing"),
        (b"[" + b"{}," * 300 + b"{}]", 413, "301 rows are more than the 300"),
        (b" " * 200_001, 413, "larger than the 0.2 MB"),
    ],
)
def test_what_is_no_list_of_rows_is_refused_with_the_reason(
    service: Service, content: bytes, status: int, words: str
) -> None:
    answer = service.send(content)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"] or words in answer.text


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "text/csv"}, {"Content-Type": ""}, JSON | {"Content-Encoding": "gzip"}],
)
def test_what_is_not_declared_as_json_is_refused(
    service: Service, headers: dict[str, str], row: dict[str, Any]
) -> None:
    answer = service.client.post("/predict", content=json.dumps(row), headers=headers)
    assert answer.status_code == 415
    assert answer.json()["error"].startswith("send ")


def begin(connection: http.client.HTTPConnection, length: int, body: bytes = b"") -> None:
    """Sends the beginning of a request."""
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(length))
    connection.endheaders(body or None)


def test_a_large_body_is_refused_before_it_comes(service: Service) -> None:
    with service.connection() as connection:
        begin(connection, 10_000_000)
        assert connection.getresponse().status == 413


def test_a_large_body_that_does_not_say_so_is_refused_while_it_comes(service: Service) -> None:
    answer = service.client.post(
        "/predict", content=(b" " * 1000 for _ in range(300)), headers=JSON
    )
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("DELETE", "/health", 405),
        ("GET", "/nothing", 404),
        ("POST", "/nothing", 404),
    ],
)
def test_other_routes_and_methods_are_refused_in_json(
    service: Service, method: str, path: str, status: int
) -> None:
    answer = service.client.request(method, path)
    assert answer.status_code == status
    assert answer.json().keys() == {"error", "faults", "request_id"}


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        *((path, "GET, HEAD") for path in ("/", "/health", "/ready", "/model", "/metrics")),
        *((path, "GET, HEAD") for path in ("/docs", "/openapi.json")),
        ("/predict", "POST"),
    ],
)
def test_head_answers_like_get_and_options_is_told_what_is_allowed(
    service: Service, path: str, allowed: str
) -> None:
    got, head = (service.client.request(method, path) for method in ("GET", "HEAD"))
    assert head.status_code == got.status_code
    assert head.headers.get("content-type") == got.headers.get("content-type")
    assert head.content == b""
    answer = service.client.options(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert allowed in answer.json()["error"]


def test_the_address_alone_leads_to_the_page(service: Service) -> None:
    answer = service.client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "docs")
    assert "Ask from code" in service.client.get("/", follow_redirects=True).text


def test_a_sane_request_id_is_kept_and_any_other_replaced(
    service: Service, row: dict[str, Any]
) -> None:
    def named(request_id: str) -> str:
        return service.predict(row, **{"X-Request-ID": request_id}).headers["x-request-id"]

    assert named(UUID) == UUID
    made = [named("a b"), named("x" * 65), named(""), service.predict(row).headers["x-request-id"]]
    assert len({*made, "a b", "x" * 65, ""}) == 7


def test_it_says_that_it_lives_that_it_is_ready_and_what_answers(
    service: Service, folder: Path
) -> None:
    assert service.client.get("/health").json() == {"alive": True}
    assert service.client.get("/ready").json() == {"ready": True}
    model = service.client.get("/model").json()
    written = json.loads((folder / "release.json").read_text())
    assert (
        model.items()
        >= {key: written[key] for key in ("version", "commit", "files", "metrics")}.items()
    )
    assert (model["environment"], model["refused"]) == ("prod", None)
    (folder / "refused.json").write_text('{"commit": "abc", "error": "it did not start"}')
    assert service.client.get("/model").json()["refused"]["error"] == "it did not start"


@dataclass(frozen=True)
class Day:
    """What remains of a day of requests: what Prometheus read, and the lines of the log except for the
    first."""

    metrics: str
    lines: list[dict[str, Any]]


@pytest.fixture(scope="module")
def day(folder: Path, inputs: Schema, row: dict[str, Any]) -> Day:
    key = {"X-API-Key": "the-key"}
    with running(folder, variables={"API_KEY": "the-key"}) as service:
        service.predict([row, row | {number(inputs): 10**6}], **key, **{"X-Request-ID": "first"})
        service.predict({"secret": "in the body"}, **key)
        service.predict(row, **{"X-API-Key": "another"})
        service.client.get("/nothing?secret=1")
        metrics = service.client.get("/metrics").text
        end = time.monotonic() + 1
        while len(service.lines) < 6:
            assert time.monotonic() < end, "the log is written within a second"
            time.sleep(0.02)
    return Day(metrics, service.lines[1:])


def test_prometheus_reads_requests_seconds_faults_and_predictions(day: Day, inputs: Schema) -> None:
    values = dict(line.rsplit(" ", 1) for line in day.metrics.splitlines() if line[0] != "#")
    assert values['http_requests_total{route="/predict",status="200"}'] == "1.0"
    assert values['http_requests_total{route="other",status="404"}'] == "1.0"
    assert values['http_request_duration_seconds_count{route="/predict"}'] == "3.0"
    assert (
        sum(float(values[f'predictions_total{{class="{name}"}}']) for name in inputs.classes) == 2
    )
    faults = f'input_faults_total{{column="{number(inputs)}",kind="%s",severity="%s"}}'
    assert values[faults % ("range", "warning")] == "1.0"
    assert values[faults % ("missing", "error")] == "1.0"
    assert any(name.startswith("model_info{") and "v1.2.0" in name for name in values)


def test_each_request_is_a_line_of_the_log_without_what_was_asked(day: Day) -> None:
    keys = ("method", "route", "status", "rows")
    assert [tuple(line[key] for key in keys) for line in day.lines] == [
        ("POST", "/predict", 200, 2),
        ("POST", "/predict", 422, 0),
        ("POST", "/predict", 401, 0),
        ("GET", "other", 404, 0),
        ("GET", "/metrics", 200, 0),
    ]
    assert day.lines[0]["request_id"] == "first"
    assert {line["client"] for line in day.lines} == {"127.0.0.1"}
    assert {(line["level"], line["version"]) for line in day.lines} == {("info", "v1.2.0")}
    assert all(0 < line["ms"] < 5000 for line in day.lines)
    assert not any(word in str(day) for word in ("secret", "the-key", "another"))


def test_only_a_trusted_proxy_says_who_the_client_is(folder: Path) -> None:
    proxied = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9, 10.1.2.3"}
    told = []
    for proxies in ("192.0.2.1", "127.0.0.1, 10.0.0.0/8"):
        with running(folder, variables={"SERVE_TRUSTED_PROXIES": proxies}) as service:
            service.client.get("/health", headers=proxied)
        told.append(service.lines[1]["client"])
    assert told == ["127.0.0.1", "203.0.113.9"]


def test_the_page_at_docs_shows_every_column_and_needs_no_other_place(
    service: Service, inputs: Schema
) -> None:
    page = service.client.get("/docs").text
    assert all(f">{column.name}</label>" in page for column in inputs.columns)
    assert "://" not in page


def test_with_a_key_only_those_are_answered_who_send_it(folder: Path, row: dict[str, Any]) -> None:
    with running(
        folder, variables={"API_KEY": "the-key", "SERVE_API_KEY_REQUIRED": "true"}
    ) as service:
        assert service.predict(row, **{"X-API-Key": "the-key"}).status_code == 200
        for headers in ({}, {"X-API-Key": ""}, {"X-API-Key": "the-ke"}, {"X-API-Key": "THE-KEY"}):
            answer = service.predict(row, **headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "ApiKey")
        assert service.client.get("/ready").status_code == 200
        assert "security" in service.client.get("/openapi.json").json()["paths"]["/predict"]["post"]


def test_bodies_that_do_not_come_in_time_are_given_up(folder: Path) -> None:
    with running(folder, variables={"SERVE_MAX_SECONDS": "0.3"}) as service, ExitStack() as stack:
        connections = [stack.enter_context(service.connection()) for _ in range(50)]
        for connection in connections:
            begin(connection, 10, b"{")
        for connection in connections:
            answer = connection.getresponse()
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert b"within 0.3 s" in answer.read()


def test_long_lists_keep_no_one_waiting(folder: Path, row: dict[str, Any]) -> None:
    limits = {"MAX_ROWS": "100000", "MAX_BODY_MEGABYTES": "100", "MAX_SECONDS": "60"}
    body = json.dumps([{"unknown": 1}] * 5_000).encode()
    statuses, waits = set[int](), list[float]()
    end = time.monotonic() + 60

    def is_enough() -> bool:
        return time.monotonic() > end or (len(waits) > 20 and statuses >= {422, 503})

    def send(service: Service) -> None:
        while not is_enough():
            statuses.add(service.send(body).status_code)

    with (
        running(folder, variables={f"SERVE_{name}": limits[name] for name in limits}) as service,
        ThreadPoolExecutor(15) as pool,
    ):
        service.predict(row)
        long = [pool.submit(send, service) for _ in range(15)]
        while not is_enough():
            start = time.monotonic()
            assert service.predict(row).status_code == 200
            waits.append(time.monotonic() - start)
    assert all(request.result() is None for request in long)
    assert statuses == {422, 503}
    assert sorted(waits)[len(waits) // 2] < 0.3


def test_an_unexpected_error_is_answered_logged_and_hurts_nobody_else(
    folder: Path, tmp_path: Path, row: dict[str, Any]
) -> None:
    """The derived columns fail for three rows here."""
    for part in ("mlops", "science"):
        shutil.copytree(PROJECT / part, tmp_path / part)
    with (tmp_path / "mlops/predict/derived.py").open("a") as derived:
        derived.write(
            "\nwell = derive\n\n\ndef derive(columns):\n    if len(next(iter(columns.values()))) == 3:\n"
            "        raise ValueError('secret')\n    return well(columns)\n"
        )
    with running(folder, code=tmp_path) as service:
        answer = service.predict([row] * 3)
        assert service.predict([row] * 2).status_code == 200
        with ThreadPoolExecutor(8) as pool:
            assert {each.status_code for each in pool.map(service.predict, [row] * 40)} == {200}
    assert answer.status_code == 500
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    (line,) = [line for line in service.lines[1:] if "message" in line]
    assert (line["level"], line["message"]) == ("error", "unexpected: ValueError")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert "derived.py" in line["trace"][-1]
    assert "secret" not in str(service.lines)


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\xff\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_the_service_goes_on(
    service: Service, content: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
        connection.sendall(content)
        assert connection.recv(1000).startswith(b"HTTP/1.1 4")
    assert service.client.get("/health").status_code == 200


def test_a_client_that_asks_for_leave_to_send_gets_it(
    service: Service, row: dict[str, Any]
) -> None:
    body = json.dumps(row).encode()
    head = f"Content-Type: application/json\r\nContent-Length: {len(body)}"
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
        connection.sendall(
            f"POST /predict HTTP/1.1\r\n{head}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_requests_that_come_together_are_answered_in_order(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
        connection.sendall(b"HEAD /health HTTP/1.1\r\n\r\nGET /health HTTP/1.1\r\n\r\n")
        received = b""
        while b"alive" not in received:
            received += connection.recv(1000)
    assert [line for line in received.split(b"\r\n") if b"HTTP/1.1" in line] == [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK",
    ]
    assert received.count(b"alive") == 1


def test_after_sigterm_requests_on_open_connections_are_answered_and_then_closed(
    folder: Path, row: dict[str, Any]
) -> None:
    body = json.dumps(row).encode()
    with running(folder) as service, service.connection() as idle, service.connection() as halfway:
        idle.request("GET", "/health")
        assert idle.getresponse().read()
        begin(halfway, len(body), body[:10])
        service.process.terminate()
        time.sleep(0.5)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.port))
        idle.request("GET", "/ready")
        answer = idle.getresponse()
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        halfway.send(body[10:])
        answer = halfway.getresponse()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert service.process.wait(timeout=3) == 0


def test_an_idle_connection_does_not_keep_it_from_ending(folder: Path) -> None:
    with running(folder) as service, socket.create_connection(("127.0.0.1", service.port)):
        service.client.get("/health")
        service.process.terminate()
        assert service.process.wait(timeout=10) == 0


def test_it_serves_on_a_socket_that_it_inherits(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        address = listening.getsockname()
        process = launched(
            folder, "--fd", str(listening.fileno()), descriptors=(listening.fileno(),)
        )
        try:
            assert httpx.get(f"http://127.0.0.1:{address[1]}/ready", timeout=20).json() == {
                "ready": True
            }
        finally:
            process.terminate()
            process.communicate(timeout=20)


def test_a_bundle_that_is_not_what_was_released_is_not_served(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "other")
    bundle = tmp_path / "other/deploy"
    (bundle / "schema.json").write_bytes((bundle / "schema.json").read_bytes() + b" ")
    (bundle / "manifest.json").unlink()
    (bundle / "more.txt").touch()
    told, tells = os.pipe()
    process = launched(bundle.parent, "--ready-fd", str(tells), descriptors=(tells,))
    os.close(tells)
    _, errors = process.communicate(timeout=30)
    with os.fdopen(told) as pipe:
        said = json.load(pipe)["error"]
    assert process.returncode == 1
    assert errors == f"error: {said}\n"
    for words in (
        "schema.json has the hash",
        "manifest.json is missing",
        "more.txt was not released",
    ):
        assert words in said


def test_without_a_release_it_says_what_is_missing(tmp_path: Path) -> None:
    process = launched(tmp_path)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors.startswith("error: release.json is missing")
