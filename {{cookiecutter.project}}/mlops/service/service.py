"""Makes the application: the routes around one released model."""

from pathlib import Path

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.routing import Route

from mlops.contract.profile import AnswerBins
from mlops.predict.release import Release, model_facts
from mlops.predict.schema import Schema
from mlops.service import openapi, page, problems
from mlops.service.endpoint import PredictionEndpoint
from mlops.service.problems import Problem
from mlops.service.settings import Settings
from mlops.service.telemetry import Metrics


def create_app(
    folder: Path,
    release: Release,
    schema: Schema,
    answers: AnswerBins,
    *,
    settings: Settings,
    endpoint: PredictionEndpoint,
    metrics: Metrics,
) -> FastAPI:
    """Returns the application that answers with the release in `folder`; `endpoint` answers /predict.
    `answers` is the profile of the predictions for the test rows."""
    app = FastAPI(
        title=f"{schema.target}, from {schema.dataset}",
        version=release.name,
        routes=[Route(openapi.PREDICT, endpoint, methods=["POST"])],
        exception_handlers={
            HTTPException: problems.on_http,
            Exception: problems.on_any,
        },
        redirect_slashes=False,
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
        # FastAPI would look for OpenTelemetry three times in each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.openapi = lambda: openapi.openapi_document(app, schema, settings, endpoint.secured)  # type: ignore[method-assign]

    @app.get(
        "/health",
        summary="Whether the process is alive",
        response_description="The process is alive",
    )
    async def health() -> dict[str, bool]:
        return {"alive": True}

    @app.get(
        "/ready",
        summary="Whether the service answers",
        response_description="The service answers",
        responses=openapi.problem_response(503),
    )
    async def ready(request: Request) -> dict[str, bool]:
        """The service listens only after it has verified the bundle and answered a row."""
        if request.state.draining:
            raise Problem(503, "this process is shutting down: send the request again")
        return {"ready": True}

    @app.get(
        "/model",
        summary="The release that answers",
        response_description="Version, commit, hashes, metrics, and a newer release that did not start",
        response_class=Response,
        responses=openapi.MODEL,
    )
    async def model() -> Response:
        content = msgspec.json.encode(model_facts(release, folder))
        return Response(content, media_type="application/json")

    @app.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_description="Counts of requests, predictions and faults since the start",
        response_class=Response,
        responses=openapi.METRICS,
    )
    async def read_metrics() -> Response:
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("docs")  # relative, since a proxy may serve under another path

    docs_page = page.render_docs(
        *(release, schema, answers, app.openapi()),
        most_rows=settings.max_rows,
        secured=endpoint.secured,
    )

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page, headers=page.HEADERS)

    return app
