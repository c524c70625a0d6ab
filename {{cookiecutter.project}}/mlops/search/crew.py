"""The processes that measure trials, and how they share the cores."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from mlops.errors import MlopsError
from mlops.tables.threads import usable_cores

LAST_CHARACTERS = 2_000


class WorkerEnded(MlopsError):
    """The process ended before it answered."""


class Worker:
    """A process of mlops/search/worker.py, in the current directory. Raises WorkerEnded if it cannot read the
    rows. `bench` says in how many `parts` the measured `rows` fall, and which `metric` is measured."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlops.search.worker"],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for the search alone
        )
        self.bench: Mapping[str, Any] = self._answer()

    def measure(self, architecture: str, values: Mapping[str, Any], part: int) -> Any:
        """Returns the loss on a part of the rows, or why there is none: {"loss": 0.31} or {"fault": "..."}.

        Raises WorkerEnded if the process ended meanwhile.
        """
        assert self._process.stdin
        task = {"architecture": architecture, "values": values, "part": part}
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None
        return self._answer()

    def close(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        with suppress(OSError), self._process:  # of a task that the process never read
            self._errors.close()

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        return json.loads(line)

    def _ended(self) -> WorkerEnded:
        code = self._process.wait()
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip()[-LAST_CHARACTERS:]
        self.close()
        killed = f"signal {-code}; the system ends a process so when memory runs out"
        return WorkerEnded(words or (killed if code < 0 else f"exit code {code}"))


def variables_of_worker(variables: Mapping[str, str], workers: int) -> dict[str, str]:
    """Returns the environment variables of a process that shares the cores with as many others."""
    threads = str(max(1, usable_cores() // workers))
    limits = ("OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT")  # boosters; forests of scikit-learn
    # Threads that spin would keep a core from the other workers.
    waiting = {"OMP_WAIT_POLICY": "PASSIVE"} if workers > 1 else {}
    return {**variables, **dict.fromkeys(limits, threads), **waiting}
