"""The process that makes a challenger: `python -m mlops.release.promote.worker_process TREE HOME CONNECTION`.

CONNECTION is the file descriptor at which promote/worker.py gives tasks. Whatever stops this process is sent
there as an MlopsError, also if it is an import that fails.
"""

import sys
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

from mlops.errors import MlopsError


def main(tree: Path, home: Path, descriptor: int) -> None:
    with Connection(descriptor) as connection:
        try:
            from mlops.release.promote import challenger

            challenger.answer_tasks(tree, home, connection)
        except MlopsError as error:
            connection.send(error)
        except Exception as error:  # of a library, or a bug
            connection.send(MlopsError(f"the release could not be made: {whole_reason(error)}"))


def whole_reason(error: BaseException) -> str:
    """Returns the kind and message of an error and of its causes, and the line of code that raised it."""
    *_, frame = traceback.extract_tb(error.__traceback__)
    reasons = []
    cause: BaseException | None = error
    while cause:
        reasons.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__ or cause.__context__
    return f"{'; because of '.join(reasons)} ({frame.filename}, line {frame.lineno})"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
