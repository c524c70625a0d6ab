"""Answers POST /predict: takes the request through the input contract and the model.

The endpoint is an ASGI application, because pydantic, Request and Response take longer than the model.
"""

import asyncio
import hmac
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from mlops.contract.contract import Contract, Decoded, Values
from mlops.contract.errors import InputError
from mlops.contract.faults import Fault
from mlops.predict.errors import Unanswered
from mlops.predict.predictor import Predictor
from mlops.service import problems
from mlops.service.gathering import Gathering
from mlops.service.problems import Problem
from mlops.service.settings import Settings
from mlops.service.telemetry import Metrics

SHORT_ROWS = 100
SHORT_BYTES = 50_000
MOST_LONG_BODIES = 8
RETRY = {"Retry-After": "1"}

Headers = dict[bytes, bytes]


class Prediction(msgspec.Struct, omit_defaults=True):
    """The answer to one row: a class with the `probability` of each class, or a number."""

    prediction: str | float
    probability: dict[str, float] = {}
    warnings: list[Fault] = []


class Answer(msgspec.Struct, omit_defaults=True):
    """The answer to a request. `predictions` holds one for each row, in their order; `more_warnings` counts
    the warnings that are left out."""

    version: str
    predictions: list[Prediction]
    more_warnings: int = 0


class PredictionEndpoint:
    """Answers requests with `predictor`. If `key` is given, their header X-API-Key must hold it."""

    def __init__(
        self,
        predictor: Predictor,
        version: str,
        *,
        settings: Settings,
        key: bytes | None,
        metrics: Metrics,
    ) -> None:
        self.secured = key is not None
        self._predictor = predictor
        self._contract = Contract(predictor.schema)
        self._gathering = Gathering(self._predict)
        self._classes = predictor.schema.classes
        self._version = version
        self._settings = settings
        self._key = key
        self._metrics = metrics
        self._encode = msgspec.json.Encoder().encode
        # A long list is predicted in a thread, so that a single row does not wait for it; few may wait.
        self._thread = ThreadPoolExecutor(1)
        self._places = BoundedSemaphore(MOST_LONG_BODIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = dict(scope["headers"])
            self._check_key(headers)
            refuse_other_media_type(headers)
            answer = await self._answer_in_time(headers, receive)
        except Problem as problem:
            await problem.response(scope)(scope, receive, send)
            return
        scope["state"]["rows"] = len(answer.predictions)
        body = self._encode(answer)
        response_headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": response_headers})
        await send({"type": "http.response.body", "body": body})

    def _check_key(self, headers: Headers) -> None:
        sent = headers.get(b"x-api-key", b"")
        if self._key is not None and not hmac.compare_digest(sent, self._key):
            error = (
                "the header X-API-Key holds a wrong key" if sent else "send the header X-API-Key"
            )
            raise Problem(401, error, headers={"WWW-Authenticate": "ApiKey"})

    async def _answer_in_time(self, headers: Headers, receive: Receive) -> Answer:
        seconds = self._settings.max_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(
                    await read_body(receive, headers, self._settings.max_body)
                )
        except TimeoutError:
            error = f"no answer within {seconds:g} s: send fewer rows at once"
            raise Problem(503, error, headers=RETRY) from None
        except InputError as error:
            self._metrics.count_faults(error.faults)
            raise problems.problem_of_input(error) from None
        except Unanswered as error:
            problem = problems.problem_of_unanswered(error, self._predictor.schema.target)
            self._metrics.count_faults(problem.faults)
            raise problem from None

    async def _answer(self, body: bytes) -> Answer:
        if len(body) > SHORT_BYTES or body.count(b"{") > SHORT_ROWS:
            return await self._answer_in_thread(body)
        decoded = self._contract.decode(body, self._settings.max_rows)
        return self._answer_with_warnings(decoded, await self._gathering.predict(decoded.values))

    async def _answer_in_thread(self, body: bytes) -> Answer:
        if not self._places.acquire(blocking=False):
            raise Problem(
                503, "too many long lists are waiting: send this one again later", headers=RETRY
            )
        pending = self._thread.submit(self._answer_long_list, body)
        pending.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(pending)

    def _answer_long_list(self, body: bytes) -> Answer:
        decoded = self._contract.decode(body, self._settings.max_rows)
        return self._answer_with_warnings(decoded, self._predict(decoded.values))

    def _predict(self, rows: Values) -> list[Prediction]:
        predictions = self._predictor.predict(self._contract.arrays(rows))
        answers = predictions.answers.tolist()
        self._metrics.count_predictions(answers)
        return [
            Prediction(answer, dict(zip(self._classes, row, strict=True)))
            for answer, row in zip(answers, predictions.probabilities.tolist(), strict=True)
        ]

    def _answer_with_warnings(self, decoded: Decoded, predictions: list[Prediction]) -> Answer:
        for warning in decoded.warnings:
            prediction = predictions[warning.row]
            prediction.warnings = [*prediction.warnings, warning]
        self._metrics.count_faults(decoded.warnings)
        return Answer(self._version, predictions, decoded.more)


def refuse_other_media_type(headers: Headers) -> None:
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise Problem(415, "send JSON, with the header Content-Type: application/json")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Problem(415, "send the body as it is, without Content-Encoding")


async def read_body(receive: Receive, headers: Headers, most: int) -> bytes:
    """Returns the body of a request. Raises Problem if it is longer than `most` bytes, or not whole."""
    if int(headers.get(b"content-length", b"0")) > most:
        raise too_large_problem(most)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "the connection closed before the body was whole")
        chunks.append(message["body"])
        size += len(chunks[-1])
        more = message["more_body"]
        if size > most:
            raise too_large_problem(most)
    return b"".join(chunks)


def too_large_problem(most: int) -> Problem:
    return Problem(
        413,
        f"the body is larger than the {most / 1e6:g} MB that one request may hold: send the rows in "
        "parts, or score them as a batch",
    )
