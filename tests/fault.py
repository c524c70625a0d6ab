"""A fault at a chosen moment of a release: a `git` first on PATH that counts the calls and strikes.

The moment is a pattern of the shell for "NUMBER ARGUMENTS" of a call of Git, by the command or by the
process that makes its candidate: `17 *` is the 17th, `* push *` the one that publishes. The fault is a
line of shell, run before that call.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from release import promotion

# What is on PYTHONPATH the stages would see too: they shall run the modules of their own project.
MLOPS = f"""\
import sys
sys.path.insert(0, {str(Path(promotion.__file__).parents[1])!r})
from cli import main
main()
"""

KILLED_BEFORE = "kill -9 $VICTIM; exit 1"
KILLED_DURING = "kill -9 $VICTIM"
"""The command dies, and Git, which it had started, goes on: so does the machine's killer of memory eaters."""

WRAPPER = """\
#!/bin/sh
echo "$*" >> "$CALLS"
case "$(wc -l < "$CALLS") $*" in $MOMENT) eval "$FAULT";; esac
exec "$GIT" "$@"
"""


def mlops(*words: str) -> str:
    """The line of shell."""
    return shlex.join([sys.executable, "-c", MLOPS, *words])


def meanwhile(project: Path, *words: str, said: Path) -> str:
    """A fault: another `mlops` in `project`, which runs to its end; what it printed is in `said`."""
    return f"(cd {project}; MOMENT= {mlops(*words)} > {said} 2>&1; echo exit code $? >> {said})"


class Command:
    """`mlops` with these words, as a process in `project`, with a fault at a moment of it.

    What it prints and what it calls is written to files in `place`.
    """

    def __init__(
        self,
        project: Path,
        *words: str,
        moment: str = "",
        fault: str = "",
        place: Path | None = None,
    ) -> None:
        place = Path(tempfile.mkdtemp(dir=place or project.parent))
        self.calls, self.words = place / "calls", place / "words"
        self.calls.touch()
        with self.words.open("w") as output:
            self.process = subprocess.Popen(
                ["sh", "-c", f"VICTIM=$$ exec {mlops(*words)}"],
                cwd=project,
                env={**os.environ, **self.variables(place / "bin" / "git", moment, fault)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def variables(self, wrapper: Path, moment: str, fault: str) -> dict[str, str]:
        wrapper.parent.mkdir()
        wrapper.write_text(WRAPPER)
        wrapper.chmod(0o755)
        return {
            "PATH": f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}",
            "CALLS": str(self.calls),
            "MOMENT": moment,
            "FAULT": fault,
            "GIT": shutil.which("git") or "git",
        }

    def ended(self) -> str:
        """What it printed, once it and all that it started have ended."""
        self.process.wait()
        self.wait_for_offspring()
        return self.words.read_text()

    def wait_for_offspring(self) -> None:
        for _ in range(100):
            if not (left := list(self.offspring())):
                return
            time.sleep(0.1)
        pytest.fail(f"still running 10 s after the end: {left}")

    def offspring(self) -> Iterator[list[str]]:
        """The command lines of the processes that it has started and that still run."""
        for process in psutil.process_iter():
            try:
                if process.environ().get("CALLS") == str(self.calls):
                    yield process.cmdline()
            except psutil.Error:
                continue
