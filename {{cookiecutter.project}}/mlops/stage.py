"""A stage of dvc.yaml as a process: `python -m mlops.train` and its like."""

from collections.abc import Callable

from mlops import errors, libraries


def run_stage(name: str, main: Callable[[], None]) -> None:
    """Runs `main`, which imports the stage: its libraries are judged before it imports them."""

    def judged() -> None:
        libraries.check_libraries(name)
        main()

    errors.report_errors(judged)
