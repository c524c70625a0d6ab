"""Runs a command that ends with this process, and passes on what it prints."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mlops.errors import Refused
from mlops.release.places import tethered


def run_watched(
    command: Sequence[str | Path],
    cwd: Path,
    variables: Mapping[str, str],
    on_line: Callable[[str], None] = lambda line: None,
) -> str:
    """Returns what the command printed; `on_line` gets each line at once. Raises CalledProcessError."""
    lines = []
    with subprocess.Popen(
        [sys.executable, "-I", tethered.__file__, "0", *command],
        cwd=cwd,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            on_line(line.rstrip())
        code = process.wait()
    printed = "".join(lines)
    if code:
        raise subprocess.CalledProcessError(code, list(map(str, command)), printed)
    return printed


def refuse_windows() -> None:
    """Raises Refused on Windows, where a process inherits no open file that it is told of by number."""
    if sys.platform == "win32":
        raise Refused(
            "Windows can't run releases, services and the code of other commits: run this command in WSL or "
            "in the dev container"
        )


def last_lines(error: subprocess.CalledProcessError, lines: int = 15) -> str:
    """Returns the last lines of what the command printed, or its exit code."""
    return "\n".join(error.output.strip().splitlines()[-lines:]) or f"exit {error.returncode}"
