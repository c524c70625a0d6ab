"""The reasons for which a request gets no answer, and the JSON that says so."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from mlops.contract.errors import InputError, MalformedBody, TooManyRows
from mlops.contract.faults import MOST_FAULTS, Fault, cut_text
from mlops.predict.errors import Unanswered


class ProblemBody(msgspec.Struct, omit_defaults=True):
    """The body of a refusal: `error` is a sentence, `faults` are the fields that it is about, and `more`
    counts the faults beyond those listed."""

    error: str
    faults: Sequence[Fault]
    request_id: str
    more: int = 0


class Problem(HTTPException):
    """A request is refused, with a status, a sentence and the faults of its rows."""

    def __init__(
        self,
        status: int,
        error: str,
        *,
        faults: Sequence[Fault] = (),
        more: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, error, headers)
        self.faults = faults
        self.more = more

    def response(self, scope: Scope) -> Response:
        body = ProblemBody(self.detail, self.faults, scope["state"]["request_id"], self.more)
        return Response(
            msgspec.json.encode(body), self.status_code, self.headers, "application/json"
        )


def unexpected_problem() -> Problem:
    return Problem(500, "the service failed: its log has the details under this request_id")


def problem_of_input(error: InputError) -> Problem:
    status = {MalformedBody: 400, TooManyRows: 413}.get(type(error), 422)
    return Problem(status, str(error), faults=error.faults, more=error.more)


def problem_of_unanswered(error: Unanswered, target: str) -> Problem:
    """Returns the problem of rows that the model answers with NaN or infinity. It is theirs, since the same
    rows get it again, while the others are answered."""
    faults = [
        Fault(
            cut_text(target),
            "answer",
            "a finite number of the model",
            "NaN or infinity",
            "error",
            row,
        )
        for row in error.rows[:MOST_FAULTS]
    ]
    return Problem(422, str(error), faults=faults, more=len(error.rows) - len(faults))


def problem_of_routing(error: HTTPException) -> Problem:
    """Returns the problem for an error of Starlette: there is no such route, or not with this method."""
    methods = (error.headers or {}).get("Allow", "").split(", ")
    allowed = ", ".join(sorted({*methods, "HEAD"} if "GET" in methods else methods))
    cure = f"send {allowed}" if allowed else "GET /docs shows what to send"
    phrase = HTTPStatus(error.status_code).phrase.lower()
    headers = {"Allow": allowed} if allowed else None
    return Problem(error.status_code, f"{phrase}: {cure}", headers=headers)


async def on_http(request: Request, error: Any) -> Response:
    problem = error if isinstance(error, Problem) else problem_of_routing(error)
    return problem.response(request.scope)


async def on_any(request: Request, error: Any) -> Response:
    return unexpected_problem().response(request.scope)
