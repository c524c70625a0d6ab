"""The metrics that Prometheus reads at /metrics."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

from mlops.contract.faults import Fault
from mlops.contract.profile import AnswerBins, NumberBins
from mlops.predict.release import Release
from mlops.predict.schema import Schema

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Counts requests, seconds, predictions and faults since the start of the process. The buckets of
    predicted numbers are the bins of `answers`, the profile of the predictions for the test rows."""

    def __init__(self, release: Release, schema: Schema, answers: AnswerBins) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("model", "The release that answers", registry=registry).info(
            {
                "version": release.version or "",
                "commit": release.commit,
                "environment": release.environment,
            }
        )
        requests = Counter(
            "http_requests", "Requests answered", ["route", "status"], registry=registry
        )
        seconds = Histogram(
            "http_request_duration_seconds",
            "Seconds from a request's head to its answer",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._faults = Counter(
            "input_faults",
            "Fields that broke the input contract; column is empty if the model has no such column",
            ["column", "kind", "severity"],
            registry=registry,
        )
        self._dropped_lines = Counter(
            "log_lines_dropped", "Lines of the log that nobody took in time", registry=registry
        )
        self._columns = {column.name for column in schema.columns}
        # Finding a child by its labels takes longer than counting in it.
        self._requests = cache(lambda route, status: requests.labels(route, str(status)))
        self._seconds = cache(seconds.labels)
        self._classes: dict[str, Counter] = {}
        self._numbers: Histogram | None = None
        if isinstance(answers, NumberBins):
            buckets, help_ = answers.edges, "Numbers predicted, one for each row"
            self._numbers = Histogram("predictions", help_, buckets=buckets, registry=registry)
        else:
            predictions = Counter("predictions", "Rows predicted", ["class"], registry=registry)
            self._classes = {name: predictions.labels(name) for name in schema.classes}

    def count_request(self, route: str, status: int, seconds: float) -> None:
        self._requests(route, status).inc()
        self._seconds(route).observe(seconds)

    def count_predictions(self, answers: Sequence[Any]) -> None:
        for name, counter in self._classes.items():
            if rows := answers.count(name):
                counter.inc(rows)
        if self._numbers:
            for number in answers:
                self._numbers.observe(number)

    def count_faults(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            column = fault.column if fault.column in self._columns else ""
            self._faults.labels(column, fault.kind, fault.severity).inc()

    def count_dropped_lines(self, lines: int) -> None:
        self._dropped_lines.inc(lines)

    def text(self) -> bytes:
        """Returns the metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
