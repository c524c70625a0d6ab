"""Answer with the release that lies in the current directory.

    python -m mlops.service [--host HOST] [--port PORT]

--fd N serves on a listening socket that was inherited; --ready-fd N is told, in a line of JSON, when the
model has answered its first row and the service listens, or why it does not.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from mlops.contract.contract import Contract
from mlops.predict import release
from mlops.predict.errors import AnswerError
from mlops.predict.predictor import Predictor
from mlops.service import openapi, server, service, settings
from mlops.service.endpoint import PredictionEndpoint
from mlops.service.logs import Handler, Log
from mlops.service.observation import Observation
from mlops.service.server import Server
from mlops.service.telemetry import Metrics


def main(words: Sequence[str] | None = None) -> None:
    asked = arguments(words)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, exit_on_signal)
    try:
        serve(Path(), asked)
    except AnswerError as error:
        report_ready(asked.ready_fd, {"error": str(error)})
        sys.exit(f"error: {error}")


def serve(folder: Path, asked: argparse.Namespace) -> None:
    released = release.read_release(folder)
    told = settings.read_settings(released, os.environ, {"host": asked.host, "port": asked.port})
    key = settings.api_key(told, os.environ)
    predictor = verified_predictor(folder, released)
    listening = server.listen_on(told) if asked.fd is None else server.inherited_socket(asked.fd)
    log = Log(sys.stdout.buffer, released.name)
    logging.basicConfig(handlers=[Handler(log)], level=logging.WARNING)
    logging.captureWarnings(True)
    metrics = Metrics(released, predictor.schema)
    endpoint = PredictionEndpoint(predictor, released.name, settings=told, key=key, metrics=metrics)
    app = service.create_app(
        folder, released, predictor.schema, settings=told, endpoint=endpoint, metrics=metrics
    )
    observed = Observation(app, {("POST", openapi.PREDICT): endpoint}, log, metrics)

    def ready() -> None:
        log.message("info", f"{released.name} answers at {server.address_of(listening)}")
        log.flush()
        report_ready(asked.ready_fd, {"ready": True})

    Server(observed, told, ready).run([listening])


def verified_predictor(folder: Path, released: release.Release) -> Predictor:
    """Loaded from files that are what was released, and asked once."""
    bundle = folder / release.BUNDLE
    release.verify_bundle(released, bundle)
    predictor = Predictor(bundle)
    predictor.predict(Contract(predictor.schema).columns([predictor.schema.example()]))
    return predictor


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m mlops.service",
        description="Answer with the release in the current directory.",
    )
    parser.add_argument("--host", help="address to listen on (SERVE_HOST)")
    parser.add_argument("--port", help="port to listen on, 0 for a free one (SERVE_PORT)")
    parser.add_argument("--fd", type=int, help="an inherited socket to serve on instead")
    parser.add_argument("--ready-fd", type=int, help="where to say that it is ready, or why not")
    return parser.parse_args(words)


def report_ready(descriptor: int | None, content: dict[str, Any]) -> None:
    if descriptor is not None:
        with suppress(OSError):  # nobody listens any more
            os.write(descriptor, msgspec.json.encode(content) + b"\n")
            os.close(descriptor)


def exit_on_signal(number: int, frame: FrameType | None) -> None:
    sys.exit()


if __name__ == "__main__":
    main()
