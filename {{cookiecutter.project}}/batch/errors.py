"""Why a batch was not scored. Every message says what, which value, and what to do now.

BatchError              exit code 1: an input or the bundle is broken
├── SourceError         a file cannot be read, or lacks columns of the model
├── DuplicateKey        two rows of the batch have one key
├── UsageError          exit code 2: what was asked for is no thing that could be done
├── Refused             exit code 3: it could be done and must not
├── TooManyRejects      exit code 4: more rows break the input contract than are allowed
└── Away                exit code 5: what lies elsewhere is out of reach now; the batch may wait
"""

import sys
from collections.abc import Callable

from serving.errors import ServingError


class BatchError(Exception):
    exit_code = 1


class SourceError(BatchError):
    pass


class DuplicateKey(BatchError):
    pass


class UsageError(BatchError):
    exit_code = 2


class Refused(BatchError):
    exit_code = 3


class TooManyRejects(BatchError):
    exit_code = 4


class Away(BatchError):
    exit_code = 5


class AlreadyScored(Exception):
    """No error: another run has done the work."""


def run(act: Callable[[], None]) -> None:
    """Do what a process was started for: an error that we know is one message and its exit code."""
    try:
        act()
    except (BatchError, ServingError) as error:
        print(f"mlops: {error}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 1))
    except KeyboardInterrupt:
        print("mlops: interrupted; nothing was stored", file=sys.stderr)
        sys.exit(130)
