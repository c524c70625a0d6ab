"""Why a stage stopped. Every message says what, which value, and what to do now; exit code 1.

PipelineError
├── ParameterError      params.yaml or a file of environments/ is not as it must be
├── DataError           the raw table is not as params.yaml describes it
├── ExportError         the estimator cannot become an ONNX model
├── ParityError         the ONNX model answers something else than the estimator
├── Unanswered          the model answers rows with NaN, which no metric can judge
├── GateFailed          a metric is outside the bounds of the environment
├── Incomparable        champion and challenger cannot be measured on the same rows
├── SmokeTestFailed     the bundle did not answer as it should
└── OtherLibraries      what is installed is not what the lock of the stage says
"""

import sys
from collections.abc import Callable

from serving.errors import ServingError


class PipelineError(Exception):
    pass


class ParameterError(PipelineError):
    pass


class DataError(PipelineError):
    pass


class ExportError(PipelineError):
    pass


class ParityError(PipelineError):
    pass


class Unanswered(PipelineError):
    pass


class GateFailed(PipelineError):
    pass


class Incomparable(PipelineError):
    pass


class SmokeTestFailed(PipelineError):
    pass


class OtherLibraries(PipelineError):
    pass


def run(stage: Callable[[], None]) -> None:
    """Run a stage as a process does: an error that we know is one message, not a traceback."""
    try:
        stage()
    except (PipelineError, ServingError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
