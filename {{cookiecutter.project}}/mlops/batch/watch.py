"""Watches a folder in which files arrive, and scores each file once, as a batch, in the order of arrival.

A file is complete when it has not changed for a while. A process of its own scores it with the model of that
time, so that no file can end the watch. The exit code of the process decides what happens to the file:

    0         it is moved to done/: it was scored, now or before
    4         it is moved to failed/: too many of its rows break the contract
    2, 3, 5   it waits: the database is unavailable or the release refuses, which is not a fault of the file
    other     it is tried again after growing pauses, and then moved to failed/

Beside a file in failed/ is a .reason.txt with a line for each attempt. The folder holds the whole state, so
that a new watch continues where an earlier one ended.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import watchfiles

from mlops.errors import Refused
from mlops.file_lock import lock_file

DONE, FAILED = "done", "failed"
TOO_MANY_REJECTS = 4
NOT_THE_FILE = (2, 3, 5)
UNFINISHED = (".partial", ".part", ".tmp", "~", ".dvc")
LONGEST_PAUSE = 300

State = tuple[int, int]
"""The size of a file in bytes, and its time of change in nanoseconds."""


@dataclass(frozen=True)
class Seen:
    """The state of a file, and the time since when it has been the same, in seconds of the monotonic
    clock."""

    state: State
    since: float


class Watch:
    """A watch of a folder. `command` scores the file whose path is added to it, with `variables` as its
    environment. A file is complete after `settle` seconds without a change, is tried `attempts` times, and
    waits `pause` seconds before the second attempt, which doubles each time."""

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        variables: Mapping[str, str],
        *,
        settle: float,
        attempts: int,
        pause: float,
    ) -> None:
        self.folder = folder
        self.command = command
        self.variables = variables
        self.settle = settle
        self.attempts = attempts
        self.pause = pause
        self.seen: dict[Path, Seen] = {}
        self.due: dict[Path, float] = {}
        self.times_away = 0
        self.away_until = 0.0
        self.stopping = threading.Event()
        self.process: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Watches until SIGTERM or SIGINT. A file that is being scored then is left to the next watch."""
        with sole_watch(self.folder):
            for kind in (signal.SIGTERM, signal.SIGINT):
                signal.signal(kind, lambda *_: self.stop())
            log_line(f"watching {self.folder}")
            for _ in self.wake_ups():
                self.sweep()
            log_line("stopped")

    def stop(self) -> None:
        self.stopping.set()
        if self.process:
            with suppress(ProcessLookupError, PermissionError):  # as on macOS once it has ended
                os.killpg(self.process.pid, signal.SIGTERM)

    def wake_ups(self) -> Iterator[object]:
        """Yields when it is time to look at the folder: now, at each change, and every `settle` seconds,
        because network file systems do not report changes."""
        yield None
        yield from watchfiles.watch(
            self.folder,
            watch_filter=None,
            recursive=False,
            rust_timeout=round(1000 * self.settle) or 1,
            yield_on_timeout=True,
            stop_event=self.stopping,
        )

    def sweep(self) -> None:
        """Processes every complete file that is due."""
        for path in self.complete_files():
            if self.stopping.is_set() or time.monotonic() < self.away_until:
                return
            if time.monotonic() >= self.due.get(path, 0):
                self.process_file(path)

    def complete_files(self) -> list[Path]:
        """Returns the files that have not changed for `settle` seconds, the oldest first."""
        moment, before = time.monotonic(), self.seen
        self.seen = {}
        for path, state in arrived_files(self.folder):
            known = before.get(path)
            self.seen[path] = known if known and known.state == state else Seen(state, moment)
        self.due = {path: due for path, due in self.due.items() if path in self.seen}
        settled = [path for path in self.seen if moment - self.seen[path].since >= self.settle]
        return sorted(settled, key=lambda path: (self.seen[path].state[1], path.name))

    def process_file(self, path: Path) -> None:
        """Scores a file, and moves it or leaves it for later."""
        try:
            code, words = self.score_file(path)
            if code and self.stopping.is_set():
                log_line(f"{path.name}: left to the next watch")
            elif state_of(path) != self.seen[path].state:
                log_line(
                    f"{path.name}: changed while it was scored; it is scored again when complete"
                )
            else:
                self.decide(path, code, words)
        except OSError as error:
            self.postpone(path, LONGEST_PAUSE)
            log_line(f"{path.name}: {error}; next attempt in {LONGEST_PAUSE} s")

    def score_file(self, path: Path) -> tuple[int, str]:
        """Returns the exit code of the process that scores the file, and its message."""
        with subprocess.Popen(
            [*self.command, str(path)],
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as self.process:
            if self.stopping.is_set():
                self.stop()
            output, errors = self.process.communicate()
        code, self.process = self.process.returncode, None
        words = message_in(errors) if code else "; ".join(output.splitlines())
        return code, words or f"exit code {code}"

    def decide(self, path: Path, code: int, words: str) -> None:
        if code in NOT_THE_FILE:
            self.pause_all(path, words)
            return
        self.times_away = 0
        if code == 0:
            reasons_of(path).unlink(missing_ok=True)
            path.rename(free_path(self.folder / DONE / path.name))
            log_line(f"{path.name}: {words}")
        else:
            self.record_failure(path, code, words)

    def pause_all(self, path: Path, words: str) -> None:
        self.times_away += 1
        pause = self.growing_pause(self.times_away)
        self.away_until = time.monotonic() + pause
        log_line(f"{path.name}: all files wait; next attempt in {pause:g} s: {words}")

    def record_failure(self, path: Path, code: int, words: str) -> None:
        attempt = record_attempt(path, words)
        if code == TOO_MANY_REJECTS or attempt >= self.attempts:
            target = free_path(self.folder / FAILED / path.name)
            reasons_of(path).rename(target.with_name(f"{target.name}.reason.txt"))
            path.rename(target)
            log_line(f"{path.name}: moved to {target}: {words}")
        else:
            pause = self.growing_pause(attempt)
            self.postpone(path, pause)
            log_line(
                f"{path.name}: attempt {attempt} of {self.attempts}, next in {pause:g} s: {words}"
            )

    def postpone(self, path: Path, pause: float) -> None:
        self.due[path] = time.monotonic() + pause

    def growing_pause(self, times: int) -> float:
        return float(min(self.pause * 2 ** (times - 1), LONGEST_PAUSE))


@contextmanager
def sole_watch(folder: Path) -> Iterator[None]:
    """Locks the folder against other watches. The lock ends with the process. Raises Refused if the folder is
    missing or another watch has it."""
    if not folder.is_dir():
        raise Refused(f"there is no folder {folder} to watch: create it, `mkdir -p {folder}`")
    for name in (DONE, FAILED):
        (folder / name).mkdir(exist_ok=True)
    try:
        lock = lock_file(folder / ".watch.lock", wait=False)
    except BlockingIOError:
        raise Refused(f"another `mlops watch` watches {folder}: stop it first") from None
    with lock:
        yield


def arrived_files(folder: Path) -> Iterator[tuple[Path, State]]:
    """Yields the files to score and their states. A file that DVC tracks is left out, because CI scores it
    when it is pushed."""
    for path in folder.iterdir():
        unfinished = path.name.startswith(".") or path.name.endswith(UNFINISHED)
        if unfinished or not path.is_file() or path.with_name(f"{path.name}.dvc").exists():
            continue
        if state := state_of(path):
            yield path, state


def state_of(path: Path) -> State | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def record_attempt(path: Path, words: str) -> int:
    """Adds a line to the reasons of a file, and returns the number of its attempts. A new file of the same
    name begins with no attempts."""
    reasons = reasons_of(path)
    if reasons.exists() and path.stat().st_ctime_ns > reasons.stat().st_mtime_ns:
        reasons.unlink()
    with reasons.open("a", encoding="utf-8", newline="\n") as file:
        file.write(f"{timestamp()} {words}\n")
    return len(reasons.read_text(encoding="utf-8").splitlines())


def reasons_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.reason.txt")


def free_path(path: Path) -> Path:
    """Returns the path, or the path with a number before the suffix if a file of this name exists."""
    numbered = (path.with_stem(f"{path.stem}.{number}") for number in count(2))
    return path if not path.exists() else next(each for each in numbered if not each.exists())


def message_in(output: str) -> str:
    """Returns the last message of `mlops` in the output of a process, or its last line, as one line."""
    lines = output.split("\n")
    last = max((n for n, line in enumerate(lines) if line.startswith("mlops: ")), default=None)
    words = lines[last:] if last is not None else output.strip().split("\n")[-1:]
    return " ".join(" ".join(words).split())[:1000]


def timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def log_line(line: str) -> None:
    print(timestamp(), line, flush=True)
