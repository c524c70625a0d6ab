"""A batch as a process that stops before each of its steps, until it is let go on.

The steps are what a database sees of it: each statement, each piece of rows, each commit, the end. They
are named by what is done and for which time: "rows 7", "commit 2".
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import small_batch

MARK = "step: "
PIECE = 100_000


class Steps:
    """Steps are iterated once; whatever else it prints is `said` then."""

    def __init__(self, process: "Popen[str]") -> None:
        self.process = process
        self.said: list[str] = []

    def __iter__(self) -> Iterator[str]:
        assert self.process.stdout
        assert self.process.stdin
        for line in self.process.stdout:
            if not line.startswith(MARK):
                self.said.append(line)
                continue
            yield line.removeprefix(MARK).strip()
            self.process.stdin.write("\n")
            self.process.stdin.flush()

    def until(self, moment: str) -> str:
        """The name of the first step that fits the pattern; it has not been taken."""
        return next(step for step in self if fnmatch(step, moment))

    def ended(self) -> tuple[int, str]:
        """Goes on to the end: the exit code, and the last line on standard error."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        for _ in self:
            pass
        assert self.process.stderr
        errors = self.process.stderr.read()
        assert "Traceback" not in errors, errors
        return self.process.wait(), errors.strip().rpartition("\n")[2]


@contextmanager
def stepped(release: Path, **fields: Any) -> Iterator[Steps]:
    *_, order = small_batch.command(release, **fields)
    command = [sys.executable, __file__, order]
    environment = {**small_batch.variables(release), "PYTHONWARNINGS": ""}
    with Popen(
        command, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True
    ) as process:
        try:
            yield Steps(process)
        finally:
            process.kill()
