"""Measures a process with all processes that it starts, and ends it."""

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
"""The seconds to wait for the end of a process."""

SAMPLE = 0.1
"""The seconds between two measurements of the memory."""


@dataclass(frozen=True)
class Part:
    """A process that a command started: its command line, the seconds for which it was seen, and the
    megabytes at its peak."""

    command: Sequence[str]
    seconds: float
    megabytes: float


@dataclass(frozen=True)
class Cost:
    """The seconds from start to end, and the megabytes at the peak, summed over the tree of processes, whose
    `parts` were seen."""

    seconds: float
    megabytes: float
    printed: str
    parts: Sequence[Part]


def cost(command: Sequence[str | Path], cwd: Path, variables: Mapping[str, str]) -> Cost:
    """Runs a command and returns its cost. Exits with a message if the command fails."""
    peaks: list[float] = [0.0]
    parts: dict[int, Part] = {}
    ended = Event()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as faults:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, env=variables, stdout=output, stderr=faults)
        watcher = Thread(target=watch, args=(process.pid, peaks, parts, ended))
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
    return Cost(seconds, max(peaks), printed, [*parts.values()])


def watch(pid: int, peaks: list[float], parts: dict[int, Part], ended: Event) -> None:
    """Adds the sum of the peaks of the living processes, an upper bound for the peak of the tree, again and
    again until the end, and keeps what was last seen of each process before its end, when it has neither
    memory nor a command line."""
    while not ended.wait(SAMPLE):
        total = 0.0
        for process in tree(pid):
            megabytes = peak_kilobytes(process) * 1024 / 1e6
            total += megabytes
            with suppress(psutil.Error):
                seconds = time.time() - process.create_time()
                command = process.cmdline()
                if megabytes and command:
                    parts[process.pid] = Part(command, seconds, megabytes)
        peaks.append(total)


def peak_kilobytes(process: psutil.Process) -> int:
    """Returns the peak of a process in kilobytes, or 0 if it has ended."""
    with suppress(OSError):
        peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        return int(peak[1]) if peak else 0
    return 0


def resident_megabytes(pid: int) -> float:
    """Returns the megabytes that the tree of processes has in memory now."""
    total: int = sum(process.memory_info().rss for process in tree(pid))
    return total / 1e6


def tree(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    return []


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process, which must lead its own session, with all processes of the session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(PATIENCE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
