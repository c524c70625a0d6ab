"""Watches a folder in which files arrive, and scores each file once, as a batch.

A file is complete when it has not changed for a while. A process scores all complete files with the model of
that time, small ones first, and reports what becomes of each, so that no file can end the watch. The exit
code of a file decides what happens to it:

    0       it is moved to done/: it was scored, now or before
    4       it is moved to failed/: too many of its rows break the contract
    5       it waits, while new files are tried; if others were stored since it had this code before, it is
            to blame itself
    other   it is tried again after growing pauses, and then moved to failed/

If the process itself fails, that is no fault of a file: with exit code 2 the watch ends, since no waiting
mends its options and passwords, and with another one all files wait. A process that dies is the fault of the
file whose turn it was.

Beside a file in failed/ is a .reason.txt with a line for each attempt. The folder holds the whole state, so
that a new watch continues where an earlier one ended. A file in done/ that still changes is moved back.
"""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import IO, Any

import watchfiles
from watchfiles._rust_notify import WatchfilesRustInternalError

from mlops.errors import Refused, UsageError, counted, printable_text, say
from mlops.file_lock import lock_file
from mlops.process_group import end_group
from mlops.tables import files

DONE, FAILED = "done", "failed"
USAGE, TOO_MANY_REJECTS, AWAY = 2, 4, 5
UNFINISHED = (".partial", ".part", ".tmp", "~", ".dvc")
LONGEST_PAUSE = 300

MOST_FILES = 100
"""The largest number of files that one process scores, so that new ones need not wait for thousands."""

CUT_OFF = 10
"""How many times as long as another file one waits whose last line has no end."""

SECONDS_IN_DONE = 3600
"""The seconds for which a file in done/ is observed."""

State = tuple[int, int]
"""The size of a file in bytes, and its time of change in nanoseconds."""


@dataclass(frozen=True)
class Seen:
    """The state of a file, and the time since when it has been the same, in seconds of the monotonic
    clock."""

    state: State
    since: float


@dataclass
class Run:
    """What a process has reported: the file whose turn it is, the files whose turn has ended, and why the
    database was away. `errors` are the lines of its standard error."""

    turn: Path | None = None
    ended: set[Path] = field(default_factory=set)
    away: str = ""
    errors: list[str] = field(default_factory=list)


class Watch:
    """A watch of a folder. `command` scores the files whose paths are added to it, with `variables` as its
    environment, and reports about them as mlops/batch/report.py says. A file is complete after `settle`
    seconds without a change, is tried `attempts` times, and waits `pause` seconds before the second attempt,
    which doubles each time."""

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
        self.moved: dict[Path, Seen] = {}
        self.away: dict[Path, int] = {}
        self.stored = 0
        self.times_away = 0
        self.away_until = 0.0
        self.stopping = threading.Event()
        self.process: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Watches until SIGTERM or SIGINT. A file that is being scored then is left to the next watch. Raises
        UsageError if the options or a password are wrong."""
        with sole_watch(self.folder):
            for kind in (signal.SIGTERM, signal.SIGINT):
                signal.signal(kind, lambda *_: self.stop())
            log_line(f"watching {self.folder}")
            for path in sorted(self.folder.iterdir()):
                if path.is_dir() and path.name not in (DONE, FAILED):
                    log_line(f"{path.name}/ is a folder: its files are not scored")
            for _ in self.wake_ups():
                self.sweep()
            log_line("stopped")

    def stop(self) -> None:
        self.stopping.set()
        if self.process:
            end_group(self.process.pid, at_once=False)

    def wake_ups(self) -> Iterator[object]:
        """Yields when it is time to look at the folder: now, at each change, and every `settle` seconds,
        because network file systems do not report changes."""
        yield None
        while not self.stopping.is_set():
            try:
                yield from watchfiles.watch(
                    self.folder,
                    watch_filter=None,
                    recursive=False,
                    rust_timeout=round(1000 * self.settle) or 1,
                    yield_on_timeout=True,
                    stop_event=self.stopping,
                )
            except WatchfilesRustInternalError:  # for a name that is not UTF-8
                self.stopping.wait(self.settle)
                yield None

    def sweep(self) -> None:
        """Processes every complete file that is due. A file for which the database was away is scored alone,
        so that it can't keep others from being scored."""
        self.return_changed_files()
        while due := [path for path in self.complete_files() if self.is_due(path)]:
            if self.stopping.is_set():
                return
            alone = [path for path in due if path in self.away]
            others = [path for path in due if path not in self.away]
            self.process_files(others[:MOST_FILES] or alone[:1])

    def is_due(self, path: Path) -> bool:
        return time.monotonic() >= self.due.get(path, 0)

    def return_changed_files(self) -> None:
        """Moves files back from done/ whose writers had not finished."""
        moment = time.monotonic()
        for path, moved in [*self.moved.items()]:
            state = state_of(path)
            if state and state != moved.state:
                back = free_path(self.folder / path.name)
                path.rename(back)
                log_line(f"{path.name}: changed after it was scored; it is scored again")
            if state != moved.state or moment - moved.since > SECONDS_IN_DONE:
                del self.moved[path]

    def complete_files(self) -> list[Path]:
        """Returns the files that have not changed for `settle` seconds, the oldest first."""
        moment, before = time.monotonic(), self.seen
        self.seen = {}
        for path, state in arrived_files(self.folder):
            known = before.get(path)
            self.seen[path] = known if known and known.state == state else Seen(state, moment)
        self.due = {path: due for path, due in self.due.items() if path in self.seen}
        self.away = {path: stored for path, stored in self.away.items() if path in self.seen}
        settled = [path for path, seen in self.seen.items() if self.has_settled(path, seen, moment)]
        return sorted(settled, key=lambda path: (self.seen[path].state[1], path.name))

    def has_settled(self, path: Path, seen: Seen, moment: float) -> bool:
        """Returns whether a file has not changed for `settle` seconds, or for longer if its last line has no
        end, since its writer may have paused."""
        age = moment - seen.since
        return age >= self.settle and (age >= CUT_OFF * self.settle or not is_cut_off(path))

    def process_files(self, paths: Sequence[Path]) -> None:
        """Scores files with one process, and moves each of them or leaves it for later."""
        run = Run()
        with subprocess.Popen(
            [*self.command, *map(str, paths)],
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as self.process:
            assert self.process.stdout
            assert self.process.stderr
            listener = threading.Thread(target=listen, args=(self.process.stderr, run.errors))
            listener.start()
            if self.stopping.is_set():
                self.stop()
            for line in self.process.stdout:
                if line.startswith('{"file": '):
                    self.take_line(run, json.loads(line))
                else:  # science/features.py may print
                    log_line(line.strip())
            listener.join()
        code, self.process = self.process.returncode, None
        if not self.stopping.is_set():
            self.conclude(run, paths, code)
        elif left := [path.name for path in paths if path not in run.ended]:
            log_line(f"{', '.join(left)}: left to the next watch")

    def take_line(self, run: Run, report: Mapping[str, Any]) -> None:
        """Takes a line of a report."""
        if report["file"] is None:
            run.turn = None
            return
        path, code = Path(report["file"]), report.get("exit_code")
        if code is None:
            run.turn = path
            return
        run.turn = None
        run.ended.add(path)
        words = printable_text(" ".join(report["message"].split()))
        try:
            if state_of(path) != self.seen[path].state:
                log_line(f"{path.name}: changed while it was scored; it is scored when complete")
            elif code == AWAY:
                self.suspect(run, path, words)
            else:
                self.decide(path, code, words)
        except OSError as error:
            self.postpone(path, LONGEST_PAUSE)
            log_line(f"{path.name}: {error}; next attempt in {LONGEST_PAUSE} s")

    def suspect(self, run: Run, path: Path, words: str) -> None:
        """Counts an attempt of a file if others were stored between two times that the database was away for
        it."""
        before = self.away.get(path)
        self.away[path] = self.stored
        if before is not None and before < self.stored:
            self.record_failure(path, AWAY, words)
        else:
            run.away = words

    def decide(self, path: Path, code: int, words: str) -> None:
        self.away.pop(path, None)
        if code == 0:
            self.stored += 1
            self.times_away = 0
            reasons_of(path).unlink(missing_ok=True)
            target = free_path(self.folder / DONE / path.name)
            path.rename(target)
            self.moved[target] = Seen(self.seen[path].state, time.monotonic())
            log_line(f"{path.name}: {words}")
        else:
            self.record_failure(path, code, words)

    def conclude(self, run: Run, paths: Sequence[Path], code: int) -> None:
        """Decides about the files of a process that has ended without a word about them."""
        words = message_in(run.errors) or f"exit code {code}"
        if run.turn:
            with suppress(FileNotFoundError):
                self.record_failure(run.turn, code, words)
        elif run.away:
            self.let_wait(paths, run.away)
        elif code and not run.ended.issuperset(paths):
            if code == USAGE:
                raise UsageError(words.removeprefix("mlops: "))
            self.let_wait(paths, words)

    def let_wait(self, paths: Sequence[Path], words: str) -> None:
        """Lets the files wait that are there; those that arrive meanwhile are tried at once."""
        moment = time.monotonic()
        if moment >= self.away_until:
            self.times_away += 1
            self.away_until = moment + self.growing_pause(self.times_away)
        waiting = [path for path in paths if path.exists()]
        self.due |= dict.fromkeys(waiting, self.away_until)
        count = counted(len(waiting), "file waits", "files wait")
        log_line(
            f"{', '.join(path.name for path in waiting[:5])}: {count}; next attempt in "
            f"{self.away_until - moment:.3g} s: {words}"
        )

    def record_failure(self, path: Path, code: int, words: str) -> None:
        attempt = record_attempt(path, words)
        if code == TOO_MANY_REJECTS or attempt >= self.attempts:
            target = free_path(self.folder / FAILED / path.name)
            reasons_of(path).rename(target.with_name(f"{target.name}.reason.txt"))
            path.rename(target)
            log_line(f"{path.name}: moved to {FAILED}/{target.name}: {words}")
        else:
            pause = self.growing_pause(attempt)
            self.postpone(path, pause)
            log_line(
                f"{path.name}: attempt {attempt} of {self.attempts}, next in {pause:g} s: {words}"
            )

    def postpone(self, path: Path, pause: float) -> None:
        self.due[path] = time.monotonic() + pause

    def growing_pause(self, times: int) -> float:
        doublings = min(times - 1, 60)  # after days without a database, 2.0**1024 is too large
        return float(min(self.pause * 2**doublings, LONGEST_PAUSE))


@contextmanager
def sole_watch(folder: Path) -> Iterator[None]:
    """Locks the folder against other watches. The lock ends with the process. Raises Refused if the folder is
    missing or another watch has it."""
    if folder.exists() and not folder.is_dir():
        raise Refused(f"{folder} is a file: name the folder in which files arrive")
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
        unfinished = path.name.startswith(".") or path.name.lower().endswith(UNFINISHED)
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


def is_cut_off(path: Path) -> bool:
    """Returns whether a text file ends within a line."""
    if not path.name.lower().endswith(files.TEXT):
        return False
    with suppress(OSError), path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() not in (b"\n", b"\r")
    return False


def listen(stream: IO[str], lines: list[str]) -> None:
    """Collects the lines of a stream, and logs those by which a process says that it waits."""
    for line in stream:
        lines.append(line.rstrip("\n"))
        if line.startswith("waiting for "):
            log_line(line.strip())


def message_in(lines: Sequence[str]) -> str:
    """Returns the last message of `mlops` among the lines, or the last line, as one line."""
    last = max((n for n, line in enumerate(lines) if line.startswith("mlops: ")), default=-1)
    return " ".join(" ".join(lines[last:]).split())[:1000]


def timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def log_line(line: str) -> None:
    say(f"{timestamp()} {line}")
