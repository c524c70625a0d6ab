"""Serves the release in the current directory over HTTP.

    python -m mlops.service [--host HOST] [--port PORT]

--fd N serves on a listening socket that was inherited. --ready-fd N gets one line of JSON: that the model
has answered its first row and the service listens, or why it does not start.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from mlops.contract.contract import Contract
from mlops.contract.profile import read_reference
from mlops.errors import printable_text
from mlops.log_stream import LogStream
from mlops.predict.errors import AnswerError
from mlops.predict.predictor import Predictor
from mlops.predict.release import BUNDLE, Release, read_release, verify_bundle
from mlops.service import server
from mlops.service.endpoint import PredictionEndpoint
from mlops.service.logs import LibraryHandler, Log
from mlops.service.observation import Observation
from mlops.service.server import Server
from mlops.service.service import create_app
from mlops.service.settings import api_key, read_settings
from mlops.service.telemetry import Metrics


def main(words: Sequence[str] | None = None) -> None:
    options = parse_arguments(words)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit())
    try:
        serve(Path(), options)
    except AnswerError as error:
        report_start(options.ready_fd, {"error": str(error)})
        sys.exit(printable_text(f"error: {error}"))


def serve(folder: Path, options: argparse.Namespace) -> None:
    """Serves the release in `folder` until a signal ends it. Raises AnswerError if it cannot start."""
    release = read_release(folder)
    settings = read_settings(release, os.environ, {"host": options.host, "port": options.port})
    key = api_key(settings, os.environ)
    predictor = verified_predictor(folder, release)
    fd = options.fd
    listening = server.listen_on(settings) if fd is None else server.inherited_socket(fd)
    answers = read_reference(folder / BUNDLE).answers
    metrics = Metrics(release, predictor.schema, answers)
    stream = LogStream(sys.stdout.fileno(), metrics.count_dropped_lines)
    log = Log(stream, release.name)
    logging.basicConfig(handlers=[LibraryHandler(log)], level=logging.WARNING)
    logging.captureWarnings(True)
    endpoint = PredictionEndpoint(
        predictor, release.name, settings=settings, key=key, metrics=metrics
    )
    app = create_app(
        *(folder, release, predictor.schema, answers),
        settings=settings,
        endpoint=endpoint,
        metrics=metrics,
    )
    observed = Observation(app, endpoint, log, metrics)

    def report_ready() -> None:
        if fd is None:  # else the process that owns the socket tells about it
            stop = "; Ctrl-C ends it" if stream.is_terminal else ""
            log.message("info", f"{release.name} answers at {server.address_of(listening)}{stop}")
        log.flush_and_wait()
        report_start(options.ready_fd, {"ready": True})

    Server(observed, settings, report_ready).run([listening])
    log.flush_and_wait()


def verified_predictor(folder: Path, release: Release) -> Predictor:
    """Returns a predictor that has answered a row, of files that are, byte for byte, what was released."""
    bundle = folder / BUNDLE
    verify_bundle(release, bundle)
    predictor = Predictor(bundle)
    predictor.predict(Contract(predictor.schema).columns([predictor.schema.example()]))
    return predictor


def parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m mlops.service",
        description="Serve the release in the current directory over HTTP.",
    )
    parser.add_argument("--host", help="address to listen on (SERVE_HOST)")
    parser.add_argument("--port", help="port to listen on, 0 for a free one (SERVE_PORT)")
    parser.add_argument("--fd", type=int, help="an inherited socket to serve on instead")
    parser.add_argument("--ready-fd", type=int, help="where to write that it is ready, or why not")
    return parser.parse_args(words)


def report_start(descriptor: int | None, content: dict[str, Any]) -> None:
    """Writes a line of JSON to the descriptor and closes it."""
    if descriptor is not None:
        with suppress(OSError):  # the reader may have gone
            os.write(descriptor, msgspec.json.encode(content) + b"\n")
            os.close(descriptor)


if __name__ == "__main__":
    main()
