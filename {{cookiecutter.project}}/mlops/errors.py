"""What goes wrong, and the exit code of `mlops` for it. Rooms add their own kinds in an errors.py each.

Every message says what happened, which value, and what to do now.

MlopsError              exit code 1: something is missing or broken
├── UsageError          exit code 2: what was asked for is no thing that could be done
├── Refused             exit code 3: it could be done, and the state of things does not allow it
├── Away                exit code 5: what lies elsewhere is out of reach now
└── StageError          why a stage stopped; exit code 1
    ├── ParameterError      params.yaml or a file of environments/ is not as it must be
    ├── DataError           the raw table is not as params.yaml describes it
    ├── ExportError         the estimator cannot become an ONNX model
    ├── ParityError         the ONNX model answers something else than the estimator
    ├── Unanswered          the model answers rows with NaN, which no metric can judge
    ├── GateFailed          a metric is outside the bounds of the environment
    ├── Incomparable        champion and challenger cannot be measured on the same rows
    ├── SmokeTestFailed     the bundle did not answer as it should
    ├── OtherLibraries      what is installed is not what the lock of the stage says
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
    """Run a stage as a process does: an error that we know is one message, not a traceback."""
    try:
        stage()
    except MlopsError as error:
        sys.exit(f"{type(error).__name__}: {error}")
