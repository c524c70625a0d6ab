"""The errors of batches, and the exit code of `mlops` for each.

MlopsError              exit code 1: an input or the bundle is broken
├── FileFault           a file cannot be stored, whatever the state of the destination
│   ├── DuplicateKey        two rows of the file have the same key
│   ├── UnfitRow            the destination cannot hold a row of the file
│   └── TooManyRejects      exit code 4: more rows break the input contract than are allowed
└── FilesFailed         some files of an order were not scored; the exit code is that of their errors
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ENAMETOOLONG

from mlops import errors
from mlops.errors import FORBIDDEN, Away, MlopsError, Refused, UsageError, system_fault
from mlops.predict.errors import Unanswered
from mlops.tables.errors import SourceError


class FileFault(MlopsError):
    pass


class DuplicateKey(FileFault):
    pass


class UnfitRow(FileFault):
    pass


class TooManyRejects(FileFault):
    exit_code = 4


class FilesFailed(MlopsError):
    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


FAULTS_OF_FILES = (SourceError, FileFault, Unanswered)
"""The errors for which only the file is to blame, so that other files can be scored."""


class AlreadyScored(Exception):
    """Signals that another run has scored the batch, which is not a failure."""


def duplicate_key(which: str) -> DuplicateKey:
    return DuplicateKey(
        f"two rows of the batch have {which}, and nothing was stored: name another --key, or leave it "
        "out to identify rows by file and number"
    )


@contextmanager
def storage_errors(what: object) -> Iterator[None]:
    """Turns an OSError about something that cannot be written into Refused if this user may not write there,
    or if another file is in its place, into UsageError if its name is too long, and else into Away."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        if error.errno in FORBIDDEN:
            raise Refused(
                f"{what}: {reason}; nothing was stored: let this user write there"
            ) from error
        if isinstance(error, NotADirectoryError | IsADirectoryError | FileExistsError):
            raise Refused(
                f"{what}: {reason}; nothing was stored: rename the file or folder that is in its place"
            ) from error
        if error.errno == ENAMETOOLONG:
            raise UsageError(
                f"{what}: {reason}; nothing was stored: give a shorter name"
            ) from error
        raise Away(
            f"{what} can't be written now: {reason}; nothing was stored, try again later"
        ) from error


def report_errors(run: Callable[[], None]) -> None:
    """Calls `run`. If it raises an MlopsError, meets a fault of the system or is interrupted, prints a
    message instead of a traceback and exits with the exit code of the error."""
    errors.open_streams()
    try:
        run()
    except MlopsError as error:
        complain(error)
        sys.exit(error.exit_code)
    except OSError as error:
        complain(system_fault(error))
        sys.exit(MlopsError.exit_code)
    except KeyboardInterrupt:
        complain("interrupted; nothing was stored")
        sys.exit(130)


def say(line: str) -> None:
    """Prints a line of the result."""
    errors.say(line)


def complain(what: object) -> None:
    """Prints a message on standard error."""
    errors.complain(f"mlops: {what}")
