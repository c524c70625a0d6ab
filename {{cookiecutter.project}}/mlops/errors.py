"""The errors that are reported to people, and the exit code of `mlops` for each.

Every message says what happened, which value, and what to do now. A package adds its own kinds of errors in
its errors.py.

MlopsError              exit code 1: something is missing or broken
├── UsageError          exit code 2: the command was used wrongly
├── Refused             exit code 3: the present state does not allow it
├── Away                exit code 5: a database, remote or cluster is unavailable
└── StageError          why a stage stopped; exit code 1
    ├── ParameterError      params.yaml or a file of environments/ is not valid
    ├── DataError           the table does not fit params.yaml, or a stage cannot work with its rows
    ├── ExportError         the estimator cannot become an ONNX model
    ├── ParityError         the ONNX model gives other answers than the estimator
    ├── GateFailed          a metric is outside the bounds of the environment
    ├── Incomparable        champion and challenger cannot be measured on the same rows
    ├── SmokeTestFailed     the bundle did not answer correctly
    ├── OtherLibraries      the installed libraries are not those of the stage's library lock
    └── DeclarationError    a file of science/ can't be imported
"""

import errno
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper

UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What moves a terminal's cursor, changes its colours or the direction of its text, ends a line, or can't be
encoded."""

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
FULL = (errno.ENOSPC, errno.EDQUOT)

NOBODY_READS = 141
"""The exit code of a command whose output nobody reads any more: what a shell says of other programs, too."""


class MlopsError(Exception):
    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        """Returns the lines that IPython shows instead of a traceback."""
        return [printable_text(f"{type(self).__name__}: {self}")]


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


def report_errors(run: Callable[[], None]) -> None:
    """Calls `run`, and exits with a message instead of a traceback if it raises an MlopsError, or if the
    system does not let this user write."""
    open_streams()
    try:
        run()
    except MlopsError as error:
        sys.exit(printable_text(f"{type(error).__name__}: {error}"))
    except OSError as error:
        sys.exit(printable_text(system_fault(error)))


def open_streams() -> None:
    """Lets this process print everywhere: a letter that the encoding of standard output lacks as an escape,
    such as \\u017c, and nowhere if the stream was closed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # the first free descriptor is that of the closed stream
            nowhere = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115
            os.set_inheritable(nowhere.fileno(), True)
            setattr(sys, name, nowhere)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def writing_output() -> Iterator[None]:
    """While the context is open, standard output is written. Exits with NOBODY_READS if its reader has gone,
    and raises MlopsError if it takes no more for another reason, such as a full disk."""
    try:
        yield
    except BrokenPipeError:
        sys.exit(NOBODY_READS)
    except OSError as error:
        raise MlopsError(
            f"standard output takes no more ({error.strerror}), and what was printed is not complete: print "
            "it elsewhere"
        ) from None


def say(line: str) -> None:
    """Prints a line on standard output, where a reader gets it at once."""
    with writing_output():
        print(printable_text(line), flush=True)


def complain(line: str) -> None:
    """Prints a line on standard error, if that takes any."""
    with suppress(OSError):
        print(printable_text(line), file=sys.stderr, flush=True)


def system_fault(error: OSError) -> str:
    """Returns what a person can do about a full disk, a file that this user may not read or write, as a
    service account, or names that are too long. Raises any other error again: it is a bug."""
    if error.errno in FULL:
        place = f" of {error.filename}" if error.filename else ""
        return f"no space is left on the disk{place}: free some, and run the command again"
    if error.errno in FORBIDDEN:
        return (
            f"this user may not read or write {error.filename} ({error.strerror}): ask its owner for the "
            "right, or work in a clone of your own"
        )
    if error.errno == errno.ENAMETOOLONG:
        return f"{error.filename} is too long for the name of a file: give a shorter one"
    if error.errno == errno.E2BIG:
        return "the arguments are too long for a process: name a folder, or a pattern in quotes"
    raise error


def counted(number: int, one: str, many: str = "") -> str:
    """Returns a number with what it counts, such as 1 row, 1,200 rows, or 2 files wait. `many` is `one` with
    an s, unless it is given."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def listed(names: Sequence[str], most: int = 20) -> str:
    """Returns names in quotes, and of more than `most` how many others there are."""
    shown = ", ".join(map(repr, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Returns the known name that is most like an unknown one, or all of them, as the end of a message."""
    import difflib

    names = [*known]
    if close := difflib.get_close_matches(name, names, n=1):
        return f"; did you mean {close[0]!r}?"
    return f"; it is one of {', '.join(names)}" if names else ""


def printable_text(text: str) -> str:
    """Returns the text with each unprintable character but newline and tab as an escape, such as \\x1b.

    Names and values come from files, commits and tags of others.
    """
    return UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)
