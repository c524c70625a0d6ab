"""Starts the process that makes a challenger, and gives it tasks."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mlops.errors import MlopsError
from mlops.process_group import end_group
from mlops.release import child_environment
from mlops.release.places import tethered
from mlops.release.places.process import refuse_windows

HERE = Path(__file__).parents[3]


class Worker:
    def __init__(self, connection: Connection, process: subprocess.Popen[bytes]) -> None:
        self._connection = connection
        self._process = process

    def ask(self, task: str, **arguments: Any) -> Any:
        """Returns the answer to a task of mlops/release/promote/challenger.py, or raises its error."""
        with suppress(OSError):  # a process that has ended may have left its error
            self._connection.send((task, arguments))
        try:
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            code = self._process.wait()
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            memory = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
            raise MlopsError(
                f"the process that makes the challenger has ended ({how}{memory}). Nothing has moved: run "
                "it again"
            ) from error
        if isinstance(answer, MlopsError):
            raise answer
        return answer


@contextmanager
def start_worker(tree: Path, home: Path) -> Iterator[Worker]:
    """Starts a worker in `tree`, with DVC's cache and remotes of `home`, in a process group of its own."""
    refuse_windows()
    connection, theirs = Pipe()
    module = ("-m", "mlops.release.promote.worker_process", tree, home, str(theirs.fileno()))
    with subprocess.Popen(
        [sys.executable, "-P", tethered.__file__, "0", *module],
        cwd=HERE,
        env=child_environment.for_python(HERE),
        stdin=subprocess.PIPE,
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    ) as process:
        theirs.close()
        try:
            with connection:
                yield Worker(connection, process)
            process.wait()
        finally:
            # The stage of a worker that was killed goes on running.
            end_group(process.pid, at_once=True)
