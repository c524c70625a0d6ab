"""Why a batch was not scored. Every message says what, which value, and what to do now.

MlopsError              exit code 1: an input or the bundle is broken
├── DuplicateKey        two rows of the batch have one key
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
    """No error: another run has done the work."""


def report_errors(act: Callable[[], None]) -> None:
    """Do what a process was started for: an error that we know is one message and its exit code."""
    try:
        act()
    except MlopsError as error:
        print(f"mlops: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("mlops: interrupted; nothing was stored", file=sys.stderr)
        sys.exit(130)
