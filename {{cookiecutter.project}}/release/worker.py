"""The process that makes a candidate, seen from the one that wants it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from release import errors
from release.errors import ReleaseError

HERE = Path(__file__).parents[1]


class Worker:
    def __init__(self, tasks: IO[bytes], answers: IO[str]) -> None:
        self._tasks = tasks
        self._answers = answers

    def ask(self, task: str, **arguments: Any) -> Any:
        """The answer to a task of release/candidate.py; its error is raised here."""
        self._tasks.write(json.dumps({"task": task, **arguments}).encode() + b"\n")
        self._tasks.flush()
        answer = self._answers.readline()
        if not answer:
            raise ReleaseError(
                "the process that makes the candidate has ended; its words are above"
            )
        said = json.loads(answer)
        if "error" in said:
            raise getattr(errors, said["kind"], ReleaseError)(said["error"])
        return said["answer"]


@contextmanager
def started(tree: Path, home: Path) -> Iterator[Worker]:
    """A worker in `tree`, with DVC's cache and remotes of `home`, in a process group of its own."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "release.candidate", tree, home, str(write)],
        cwd=HERE,
        stdin=subprocess.PIPE,
        pass_fds=[write],
        start_new_session=True,
    )
    os.close(write)
    assert process.stdin
    with process, os.fdopen(read) as answers:
        yield Worker(process.stdin, answers)
        process.stdin.write(b"end\n")
        process.stdin.flush()
        process.wait()
