"""Starts the process that makes a candidate, and gives it tasks."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from mlops.errors import MlopsError
from mlops.release import child_environment, errors

HERE = Path(__file__).parents[3]


class Worker:
    def __init__(self, tasks: IO[bytes], answers: IO[str]) -> None:
        self._tasks = tasks
        self._answers = answers

    def ask(self, task: str, **arguments: Any) -> Any:
        """Returns the answer to a task of mlops/release/promote/candidate.py, or raises its error."""
        with suppress(BrokenPipeError):
            self._tasks.write(json.dumps({"task": task, **arguments}).encode() + b"\n")
        answer = self._answers.readline()
        if not answer:
            raise MlopsError(
                "the process that makes the candidate has ended; its messages are above"
            )
        said = json.loads(answer)
        if "error" in said:
            raise getattr(errors, said["kind"], MlopsError)(said["error"])
        return said["answer"]


@contextmanager
def start_worker(tree: Path, home: Path) -> Iterator[Worker]:
    """Starts a worker in `tree`, with DVC's cache and remotes of `home`, in a process group of its own."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "mlops.release.promote.candidate", tree, home, str(write)],
        cwd=HERE,
        env=child_environment.for_python(HERE),
        stdin=subprocess.PIPE,
        bufsize=0,
        pass_fds=[write],
        start_new_session=True,
    )
    os.close(write)
    assert process.stdin
    with process, os.fdopen(read) as answers:
        try:
            yield Worker(process.stdin, answers)
            with suppress(BrokenPipeError):
                process.stdin.write(b"end\n")
            process.wait()
        finally:
            end_group(process.pid)


def end_group(leader: int) -> None:
    """Kills the group, since the stage of a worker that was killed goes on running."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
