"""The errors that people are told of, and the exit code of `mlops` for each.

A room adds its own kinds in its errors.py.

Every message says what happened, which value, and what to do now.

MlopsError              exit code 1: something is missing or broken
├── UsageError          exit code 2: the command was used wrongly
├── Refused             exit code 3: the present state does not allow it
├── Away                exit code 5: a database, remote or cluster is unavailable
└── StageError          why a stage stopped; exit code 1
    ├── ParameterError      params.yaml or a file of environments/ is not valid
    ├── DataError           the raw table is not as params.yaml describes it
    ├── ExportError         the estimator cannot become an ONNX model
    ├── ParityError         the ONNX model answers something else than the estimator
    ├── Unanswered          the model answers rows with NaN, so that no metric can be computed
    ├── GateFailed          a metric is outside the bounds of the environment
    ├── Incomparable        champion and challenger cannot be measured on the same rows
    ├── SmokeTestFailed     the bundle did not answer correctly
    ├── OtherLibraries      the installed libraries are not those of the stage's lock
    └── DeclarationError    a file of science/ can't be imported
"""

import sys
from collections.abc import Callable


class MlopsError(Exception):
    exit_code = 1


class UsageError(MlopsError):
    exit_code = 2


class Refused(MlopsError):
    exit_code = 3


class Away(MlopsError):
    exit_code = 5


class StageError(MlopsError):
    pass


class ParameterError(StageError):
    pass


class DataError(StageError):
    pass


class ExportError(StageError):
    pass


class ParityError(StageError):
    pass


class Unanswered(StageError):
    pass


class GateFailed(StageError):
    pass


class Incomparable(StageError):
    pass


class SmokeTestFailed(StageError):
    pass


class OtherLibraries(StageError):
    pass


class DeclarationError(StageError):
    pass


def report_errors(stage: Callable[[], None]) -> None:
    """Runs a stage and exits with one line, instead of a traceback, for an MlopsError."""
    try:
        stage()
    except MlopsError as error:
        sys.exit(f"{type(error).__name__}: {error}")
