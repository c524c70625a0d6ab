"""Reports what becomes of each file of an order: as text to people, or as JSON to `mlops watch`.

As JSON, a line with a file and no exit code says that the turn of this file has begun. A line with an exit
code says how that ended, and its `message` says why; the exit codes are those that `mlops score` has for one
file. A line without a file says that the whole run ends.
"""

import json
from collections.abc import Callable, Sequence

from mlops.batch import errors
from mlops.errors import MlopsError

Say = Callable[[str], None]

MOST_NAMES = 10


class Report:
    """The report of an order of `files` files. `say` is called with each line."""

    def __init__(self, say: Say, files: int, *, as_json: bool) -> None:
        self._say = say
        self._files = files
        self._as_json = as_json
        self._lines: list[str] = []
        self._scored_before = 0
        self._failures: dict[str, MlopsError] = {}

    def begin(self, file: str) -> None:
        self._lines = []
        if self._as_json:
            self._say(json.dumps({"file": file}))

    def tell(self, line: str) -> None:
        """Reports something about the file whose turn it is, or about the order before the first turn."""
        self._lines.append(line)
        if not self._as_json:
            self._say(line)

    def tell_scored_before(self, line: str) -> None:
        """Reports a file that was scored before. To people, several such files are only counted."""
        self._scored_before += 1
        if self._as_json or self._files == 1:
            self.tell(line)

    def end(self, file: str, error: MlopsError | None = None) -> None:
        if error:
            self._failures[file] = error
        if self._as_json:
            message = str(error) if error else "; ".join(self._lines)
            code = error.exit_code if error else 0
            self._say(json.dumps({"file": file, "exit_code": code, "message": message}))
        elif error and self._files > 1:
            errors.complain(error if file in str(error) else f"{file}: {error}")

    def stop(self, error: MlopsError) -> None:
        """Reports an error that ends the run and is no fault of a file."""
        if self._as_json:
            line = {"file": None, "exit_code": error.exit_code, "message": str(error)}
            self._say(json.dumps(line))

    def finish(self) -> None:
        """Reports the order as a whole. Raises the error of a single file, or FilesFailed."""
        failed = len(self._failures)
        if self._files == 1 and failed:
            raise next(iter(self._failures.values()))
        if self._files > 1 and not self._as_json:
            scored = self._files - self._scored_before - failed
            self._say(f"{self._files} files: scored {scored}, and {self._scored_before} before")
        if failed:
            codes = {error.exit_code for error in self._failures.values()}
            raise errors.FilesFailed(
                f"{failed} of {self._files} files were not scored, for the reasons above: "
                f"{listed_names([*self._failures])}",
                codes.pop() if len(codes) == 1 else 1,
            )


def listed_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
