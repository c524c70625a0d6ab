"""Runs a stage of dvc.yaml as a process, such as `python -m mlops.train`."""

from collections.abc import Callable

from mlops import errors, libraries


def run_stage(name: str, main: Callable[[], None]) -> None:
    """Checks the libraries of a stage, and then calls `main`, which imports them. Exits with a message if one
    of both raises an MlopsError."""

    def check_and_run() -> None:
        libraries.check_libraries(name)
        main()

    errors.report_errors(check_and_run)
