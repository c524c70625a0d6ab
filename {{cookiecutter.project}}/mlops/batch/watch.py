"""A folder where files arrive -> a batch for each, scored once and in order.

A file is complete when nobody has written to it for a while. It is scored by a process of its own, with
the model of that moment, and no file can bring the watch down. The exit code says what becomes of it:

    0         done/      scored, now or before
    4         failed/    too many of its rows break the contract, and would again
    2, 3, 5   it waits   the database is away, or the release refuses: the file is not to blame
    any other            tried again with growing pauses, then failed/

In failed/ a .reason.txt with a line for each attempt lies beside the file. The folder is the whole
state: whatever ends a watch, the next one goes on.
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


@dataclass(frozen=True)
class Seen:
    """Size and time of change of a file, and since when they have been so."""

    state: State
    since: float


class Watch:
    """`command` scores one file, whose path is its last argument; its environment is `variables`. Times
    are in seconds."""

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
        """Until SIGTERM or SIGINT; a file that is being scored then is left to the next watch."""
        with sole_watch(self.folder):
            for kind in (signal.SIGTERM, signal.SIGINT):
                signal.signal(kind, lambda *_: self.stop())
            log_line(f"watching {self.folder}")
            for _ in self.moments():
                self.sweep()
            log_line("stopped")

    def stop(self) -> None:
        self.stopping.set()
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)

    def moments(self) -> Iterator[object]:
        """To look: now, at each change, and where changes are not told, as on network file systems."""
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
        for path in self.complete():
            if self.stopping.is_set() or time.monotonic() < self.away_until:
                return
            if time.monotonic() >= self.due.get(path, 0):
                self.take(path)

    def complete(self) -> list[Path]:
        """The files that have not changed for `settle` seconds, oldest first."""
        moment, before = time.monotonic(), self.seen
        self.seen = {}
        for path, state in arrived_files(self.folder):
            known = before.get(path)
            self.seen[path] = known if known and known.state == state else Seen(state, moment)
        self.due = {path: due for path, due in self.due.items() if path in self.seen}
        settled = [path for path in self.seen if moment - self.seen[path].since >= self.settle]
        return sorted(settled, key=lambda path: (self.seen[path].state[1], path.name))

    def take(self, path: Path) -> None:
        try:
            code, words = self.score(path)
            if code and self.stopping.is_set():
                log_line(f"{path.name}: left to the next watch")
            elif state_of(path) != self.seen[path].state:
                log_line(f"{path.name}: changed while it was scored; once more when it is complete")
            else:
                self.decide(path, code, words)
        except OSError as error:
            self.wait(path, LONGEST_PAUSE)
            log_line(f"{path.name}: {error}; again in {LONGEST_PAUSE} s")

    def score(self, path: Path) -> tuple[int, str]:
        """The exit code of the process that scored the file, and its last words."""
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
            printed, complaint = self.process.communicate()
        code, self.process = self.process.returncode, None
        words = message_in(complaint) if code else "; ".join(printed.splitlines())
        return code, words or f"exit code {code}"

    def decide(self, path: Path, code: int, words: str) -> None:
        if code in NOT_THE_FILE:
            self.stay_away(path, words)
            return
        self.times_away = 0
        if code == 0:
            reasons_of(path).unlink(missing_ok=True)
            path.rename(free_path(self.folder / DONE / path.name))
            log_line(f"{path.name}: {words}")
        else:
            self.count(path, code, words)

    def stay_away(self, path: Path, words: str) -> None:
        self.times_away += 1
        pause = self.grown(self.times_away)
        self.away_until = time.monotonic() + pause
        log_line(f"{path.name}: waits, all others too; again in {pause:g} s: {words}")

    def count(self, path: Path, code: int, words: str) -> None:
        attempt = note_attempt(path, words)
        if code == TOO_MANY_REJECTS or attempt >= self.attempts:
            target = free_path(self.folder / FAILED / path.name)
            reasons_of(path).rename(target.with_name(f"{target.name}.reason.txt"))
            path.rename(target)
            log_line(f"{path.name}: moved to {target}: {words}")
        else:
            pause = self.grown(attempt)
            self.wait(path, pause)
            log_line(
                f"{path.name}: attempt {attempt} of {self.attempts}, again in {pause:g} s: {words}"
            )

    def wait(self, path: Path, pause: float) -> None:
        self.due[path] = time.monotonic() + pause

    def grown(self, times: int) -> float:
        return float(min(self.pause * 2 ** (times - 1), LONGEST_PAUSE))


@contextmanager
def sole_watch(folder: Path) -> Iterator[None]:
    """No other watch has the folder meanwhile; the lock ends with its process."""
    if not folder.is_dir():
        raise Refused(f"there is no folder {folder} to watch: `mkdir -p {folder}`, then again")
    for name in (DONE, FAILED):
        (folder / name).mkdir(exist_ok=True)
    try:
        lock = lock_file(folder / ".watch.lock", wait=False)
    except BlockingIOError:
        raise Refused(f"another `mlops watch` has {folder}: stop it first") from None
    with lock:
        yield


def arrived_files(folder: Path) -> Iterator[tuple[Path, State]]:
    """The files to score; those that DVC carries are scored where they are pushed to."""
    for path in folder.iterdir():
        unfinished = path.name.startswith(".") or path.name.endswith(UNFINISHED)
        if unfinished or not path.is_file() or path.with_name(f"{path.name}.dvc").exists():
            continue
        if state := state_of(path):
            yield path, state


def state_of(path: Path) -> State | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def note_attempt(path: Path, words: str) -> int:
    """Which attempt at the file this was; another file of its name begins anew."""
    reasons = reasons_of(path)
    if reasons.exists() and path.stat().st_ctime_ns > reasons.stat().st_mtime_ns:
        reasons.unlink()
    with reasons.open("a", encoding="utf-8") as file:
        file.write(f"{timestamp()} {words}\n")
    return len(reasons.read_text(encoding="utf-8").splitlines())


def reasons_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.reason.txt")


def free_path(path: Path) -> Path:
    """The path, or one with a number before the suffix: an earlier file of the name is kept."""
    numbered = (path.with_stem(f"{path.stem}.{number}") for number in count(2))
    return path if not path.exists() else next(each for each in numbered if not each.exists())


def message_in(said: str) -> str:
    """The message that the door prints at the end, or else the last line; as one line."""
    lines = said.split("\n")
    last = max((n for n, line in enumerate(lines) if line.startswith("mlops: ")), default=None)
    words = lines[last:] if last is not None else said.strip().split("\n")[-1:]
    return " ".join(" ".join(words).split())[:1000]


def timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def log_line(line: str) -> None:
    print(timestamp(), line, flush=True)
