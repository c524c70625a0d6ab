"""A batch as a process that stops before each of its steps, so that faults strike where they should."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from subprocess import PIPE
from threading import Timer
from typing import Any

import pytest
import small_batch

MARK = "step: "
PATIENCE = 60
"""Seconds after which a batch that waits for what does not come is killed."""

SCRIPT = Path(__file__).with_name("stepwise.py")


class Steps(Iterator[str]):
    """The names of the steps, each before it is taken; the next one is asked for when it may be."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin
        assert process.stdout
        self.process = process
        self.said = ""
        self._go, self._come = process.stdin, process.stdout
        self._waits = False

    def __next__(self) -> str:
        if self._waits:
            self._go.write("\n")
            self._go.flush()
        for line in self._come:
            self._waits = line.startswith(MARK)
            if self._waits:
                return line.removeprefix(MARK).strip()
            self.said += line
        raise StopIteration

    def until(self, moment: str) -> str:
        """The first step of this pattern."""
        for step in self:
            if fnmatch(step, moment):
                return step
        pytest.fail(f"there was no step {moment!r}; it said {self.said!r}")

    def ended(self) -> tuple[int, str]:
        """Its exit code and what it says last, after all other steps."""
        for _ in self:
            pass
        assert self.process.stderr
        said = self.process.stderr.read()
        assert "Traceback" not in said, said
        return self.process.wait(), (said or self.said).strip().rpartition("\n")[2]


@contextmanager
def stepped(release: Path, **order: Any) -> Iterator[Steps]:
    command = [sys.executable, str(SCRIPT), small_batch.command(release, **order)[-1]]
    variables = small_batch.variables(release)
    with subprocess.Popen(
        command, env=variables, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True
    ) as process:
        watchdog = Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            yield Steps(process)
        finally:
            watchdog.cancel()
            process.kill()
