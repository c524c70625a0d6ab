"""The errors of batches, and the exit code of `mlops` for each.

MlopsError              exit code 1: an input or the bundle is broken
├── DuplicateKey        two rows of the batch have the same key
└── TooManyRejects      exit code 4: more rows break the input contract than are allowed
"""

import sys
from collections.abc import Callable

from mlops.errors import MlopsError


class DuplicateKey(MlopsError):
    pass


class TooManyRejects(MlopsError):
    exit_code = 4


class AlreadyScored(Exception):
    """Signals that another run has scored the batch, which is not a failure."""


def report_errors(run: Callable[[], None]) -> None:
    """Calls `run`. If it raises an MlopsError or is interrupted, prints a message instead of a traceback and
    exits with the exit code of the error."""
    try:
        run()
    except MlopsError as error:
        print(f"mlops: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("mlops: interrupted; nothing was stored", file=sys.stderr)
        sys.exit(130)
