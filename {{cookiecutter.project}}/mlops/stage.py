"""A stage of dvc.yaml as a process: `python -m mlops.train` and its like."""

from collections.abc import Callable

from mlops import errors, libraries


def run(name: str, main: Callable[[], None]) -> None:
    """Runs `main`, which imports the stage: its libraries are judged before it imports them."""

    def judged() -> None:
        libraries.check(name)
        main()

    errors.run(judged)
