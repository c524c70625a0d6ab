"""A process with all that it starts: what it takes, and its end."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import psutil

PATIENCE = 15
SAMPLE = 0.1


@dataclass(frozen=True)
class Cost:
    """Seconds from start to end; megabytes at the peak, summed over the tree of processes."""

    seconds: float
    megabytes: float
    printed: str


def cost(command: Sequence[str | Path], cwd: Path, variables: Mapping[str, str]) -> Cost:
    """Ends this program, saying why, where the command fails."""
    peaks, ended = [0.0], Event()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as faults:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, env=variables, stdout=output, stderr=faults)
        watcher = Thread(target=watch, args=(process.pid, peaks, ended))
        watcher.start()
        process.wait()
        seconds = time.perf_counter() - started
        ended.set()
        watcher.join()
        for file in (output, faults):
            file.seek(0)
        printed = output.read()
        if process.returncode:
            sys.exit(f"{command} ended with {process.returncode}\n{printed}{faults.read()}")
    return Cost(seconds, max(peaks), printed)


def watch(pid: int, peaks: list[float], ended: Event) -> None:
    while not ended.wait(SAMPLE):
        peaks.append(highest(pid))


def highest(pid: int) -> float:
    """The sum of each living process's own peak: at least what the tree ever held at once."""
    return sum(map(high_water, tree(pid))) * 1024 / 1e6


def high_water(process: psutil.Process) -> int:
    """Kilobytes; 0 once it has ended."""
    with suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        return int(found[1]) if found else 0
    return 0


def resident(pid: int) -> float:
    """Megabytes in memory now, summed over the tree."""
    total: int = sum(process.memory_info().rss for process in tree(pid))
    return total / 1e6


def tree(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    return []


def end(process: subprocess.Popen[bytes]) -> None:
    """The process must lead a session of its own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(PATIENCE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
