"""A command in a process group of its own, which ends with the process that asked for it.

As a script it takes a directory and a command, runs the command there and exits with its exit code. If
its standard input closes before that, its whole process group is killed.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def run_watched(
    command: Sequence[str | Path],
    cwd: Path,
    variables: Mapping[str, str],
    hear: Callable[[str], None] = lambda line: None,
) -> str:
    """Returns what the command printed; `hear` gets each line at once. Raises CalledProcessError."""
    lines = []
    watched = [sys.executable, "-I", __file__, cwd, *command]
    with subprocess.Popen(
        list(map(str, watched)),
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
            hear(line.rstrip())
        code = process.wait()
    said = "".join(lines)
    if code:
        raise subprocess.CalledProcessError(code, list(map(str, command)), said)
    return said


def last_lines(error: subprocess.CalledProcessError, lines: int = 15) -> str:
    """Returns the last lines of what the command printed, or its exit code."""
    return "\n".join(error.output.strip().splitlines()[-lines:]) or f"exit {error.returncode}"


def main() -> int:
    cwd, *command = sys.argv[1:]
    threading.Thread(target=end_with_parent, daemon=True).start()
    return subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, check=False).returncode


def end_with_parent() -> None:
    os.read(0, 1)  # nothing is ever written: it returns when the parent is gone
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
