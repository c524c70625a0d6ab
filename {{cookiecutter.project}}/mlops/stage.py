"""Runs a stage of dvc.yaml as a process, such as `python -m mlops.train`."""

import sys
import time
from collections.abc import Callable

from mlops import errors, libraries
from mlops.errors import printable_text

SECONDS_BETWEEN_LINES = 10.0


def run_stage(name: str, main: Callable[[], None]) -> None:
    """Checks the libraries of a stage, and then calls `main`, which imports them. Exits with a message if one
    of both raises an MlopsError."""

    def check_and_run() -> None:
        libraries.check_libraries(name)
        main()

    errors.report_errors(check_and_run)


class Progress:
    """Prints how far a long stage is, but at most one line in SECONDS_BETWEEN_LINES, so that a short stage
    prints none."""

    def __init__(self) -> None:
        self._stream, self._printed = sys.stdout, time.monotonic()

    def show(self, line: str) -> None:
        if time.monotonic() - self._printed >= SECONDS_BETWEEN_LINES:
            self._printed = time.monotonic()
            with errors.writing_output():
                print(printable_text(line), file=self._stream, flush=True)
