"""Tests real watches of real folders; the program that scores a file does what the file says."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from machinery import PROJECT
from mlops.batch.watch import Watch

SCORE = """\
import json, os, pathlib, sys, time

def say(**fields):
    print(json.dumps(fields), flush=True)

codes = []

def end(code, message):
    codes.append(code)
    say(file=sys.argv[turn], exit_code=code, message=message)
    if code == 5 and codes[-2:] == [5, 5]:
        stop(5, message)

def stop(code, message):
    say(file=None, exit_code=code, message=message)
    sys.exit(f"mlops: {message}") if code == 1 else print(f"mlops: {message}", file=sys.stderr)
    sys.exit(code)

for turn in range(1, len(sys.argv)):
    path = pathlib.Path(sys.argv[turn])
    say(file=sys.argv[turn])
    name = os.fsencode(path.name).decode("utf-8", "backslashreplace")
    with open("calls", "a") as calls:
        calls.write(f"{name} {path.read_text().strip()!r} {os.getpid()}\\n")
    what, _, argument = path.read_text().strip().partition(" ")
    away = pathlib.Path("away").exists()
    if what == "fail":
        end(1, f"{name} is broken:\\nline 7")
    elif what == "reject":
        end(4, f"9 of 10 rows of {path.name} break the contract")
    elif what == "poison" or away:
        end(5, "the database does not answer")
    elif what == "password":
        stop(2, "set PGPASSWORD")
    elif what == "release" and not pathlib.Path("released").exists():
        stop(1, "the bundle is broken")
    else:
        if what == "crash":
            os.kill(os.getpid(), 9)
        if what == "append" and not argument:
            path.write_text("append more\\n")
        if what == "sleep":
            pathlib.Path("asleep").write_text(str(os.getpid()))
            time.sleep(float(argument))
        if what == "wait":
            print("waiting for a lock since 5 s", file=sys.stderr, flush=True)
            print("a line of features.py")
        end(0, "reading; scored 10 rows")
sys.exit(max(codes))
"""

WATCH = """\
import os
import sys
from pathlib import Path
from mlops.batch.watch import Watch
from mlops.errors import MlopsError
try:
    command = [sys.executable, "score.py"]
    Watch(Path("in"), command, os.environ, settle=0.2, attempts=3, pause=0.1).run()
except MlopsError as error:
    print(error)
    sys.exit(error.exit_code)
"""


class Place:
    """A folder `in` and its watches; `log` is what all of them have printed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "in"
        self.folder.mkdir()
        (root / "score.py").write_text(SCORE)
        self.watches: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        with (self.root / "log").open("ab") as log:
            watch = subprocess.Popen(
                [sys.executable, "-c", WATCH],
                cwd=self.root,
                env={**os.environ, "PYTHONPATH": str(PROJECT)},
                stdout=log,
                stderr=log,
            )
        self.watches.append(watch)
        return watch

    def arrive(self, name: str, text: str = "", end: str = "\n") -> Path:
        path = self.folder / name
        path.write_text(text + end)
        return path

    def processes(self) -> int:
        """Returns how many processes have scored files."""
        return len({line.split()[-1] for line in (self.root / "calls").read_text().splitlines()})

    def wait_for_files(self, *names: str) -> None:
        """Waits until the folder has exactly these files, hidden ones aside."""
        wanted = set(names)
        wait_until(lambda: self.files() == wanted, lambda: f"{self.files()} {self.log}")

    def wait_for_log(self, words: str, times: int = 1) -> None:
        """Waits until the log has these words so many times."""
        wait_until(lambda: self.log.count(words) == times, lambda: self.log)

    def files(self) -> set[str]:
        visible = (path for path in self.folder.rglob("[!.]*") if path.is_file())
        return {path.relative_to(self.folder).as_posix() for path in visible}

    @property
    def log(self) -> str:
        return (self.root / "log").read_text()

    @property
    def calls(self) -> list[str]:
        path = self.root / "calls"
        return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def texts(self) -> list[str]:
        """Returns the content of each file when it was scored."""
        return [line.split("'")[1] for line in (self.root / "calls").read_text().splitlines()]


def wait_until(true: Callable[[], bool], words: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, words()
        time.sleep(0.02)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    for watch in place.watches:
        watch.kill()
        watch.wait()


def test_earlier_and_new_files_are_scored_once_oldest_first(place: Place) -> None:
    place.arrive("b.csv")
    os.utime(place.arrive("c.csv"), (1, 1))
    place.start()
    place.wait_for_files("done/b.csv", "done/c.csv")
    place.arrive("a.csv")
    place.wait_for_files("done/a.csv", "done/b.csv", "done/c.csv")
    assert place.calls == ["c.csv", "b.csv", "a.csv"]
    assert "a.csv: reading; scored 10 rows\n" in place.log


def test_a_file_is_left_alone_as_long_as_it_grows(place: Place) -> None:
    place.start()
    text = ""
    for piece in ["a", "file", "of", "many", "pieces"]:
        text += piece
        place.arrive("a.csv", text)
        time.sleep(0.1)
    place.wait_for_files("done/a.csv")
    assert place.texts == ["afileofmanypieces"]


def test_unfinished_and_foreign_names_are_not_scored(place: Place) -> None:
    ignored = {"a.csv.partial", "b.tmp", "carried.csv", "carried.csv.dvc", "folder/inner.csv"}
    (place.folder / "folder").mkdir()
    for name in (*ignored, ".hidden.csv"):
        place.arrive(name)
    place.start()
    place.arrive("last.csv.partial").rename(place.folder / "last.csv")
    place.wait_for_files("done/last.csv", *ignored)
    assert place.calls == ["last.csv"]
    assert "folder/ is a folder: its files are not scored" in place.log


@pytest.mark.parametrize("fault", ["fail", "crash"])
def test_a_file_that_fails_is_tried_again_and_then_moved_with_the_reasons(
    place: Place, fault: str
) -> None:
    place.arrive("bad.csv", fault)
    place.arrive("good.csv")
    place.start()
    place.wait_for_files("done/good.csv", "failed/bad.csv", "failed/bad.csv.reason.txt")
    assert place.calls.count("bad.csv") == 3
    reasons = (place.folder / "failed/bad.csv.reason.txt").read_text().splitlines()
    words = {"fail": "bad.csv is broken: line 7", "crash": "exit code -9"}[fault]
    assert [line.split(maxsplit=1)[1] for line in reasons] == [words] * 3
    assert "attempt 1 of 3, next in 0.1 s" in place.log
    assert "attempt 2 of 3, next in 0.2 s" in place.log


def test_a_file_that_breaks_the_contract_is_moved_at_once(place: Place) -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    place.arrive(name, "reject")
    place.start()
    place.wait_for_files(f"failed/{name}", f"failed/{name}.reason.txt")
    assert place.calls == [r"caf\xe9.csv"]
    reasons = (place.folder / f"failed/{name}.reason.txt").read_text()
    assert reasons.endswith("9 of 10 rows of caf\\udce9.csv break the contract\n")


def test_an_unavailable_database_counts_as_an_attempt_of_no_file(place: Place) -> None:
    (place.root / "away").touch()
    for name in ("a.csv", "b.csv", "c.csv"):
        os.utime(place.arrive(name), (1, 1))
    place.start()
    place.wait_for_log("3 files wait; next attempt in 0.1 s: the database does not answer")
    place.arrive("d.csv")
    wait_until(lambda: "d.csv" in place.calls, lambda: place.log)
    (place.root / "away").unlink()
    place.wait_for_files(*(f"done/{name}.csv" for name in "abcd"))
    assert "attempt" not in place.log.replace("next attempt", "")


def test_no_file_waits_for_one_that_the_database_refuses_again_and_again(place: Place) -> None:
    for name in ("a.csv", "b.csv"):
        os.utime(place.arrive(name, "poison"), (1, 1))
    os.utime(place.arrive("c.csv"), (2, 2))
    place.start()
    place.wait_for_files("a.csv", "b.csv", "done/c.csv")
    for number in range(8):
        place.arrive(f"{number}.csv", "x\n")
        wait_until(lambda: f"done/{number}.csv" in place.files(), lambda: place.log)  # noqa: B023
        time.sleep(0.4)
    wait_until(lambda: {"failed/a.csv", "failed/b.csv"} < place.files(), lambda: place.log)
    assert "attempt 2 of 3" in place.log


def test_a_wrong_password_ends_the_watch_and_a_broken_release_makes_all_wait(place: Place) -> None:
    place.arrive("a.csv", "release")
    place.arrive("b.csv")
    watch = place.start()
    place.wait_for_log("2 files wait; next attempt in 0.1 s: mlops: the bundle is broken")
    (place.root / "released").touch()
    place.wait_for_files("done/a.csv", "done/b.csv")
    place.arrive("c.csv", "password")
    assert watch.wait(10) == 2
    assert place.log.endswith("set PGPASSWORD\n")
    assert place.files() == {"c.csv", "done/a.csv", "done/b.csv"}


def test_many_files_are_scored_by_one_process_and_one_that_crashes_it_is_known(
    place: Place,
) -> None:
    for number in range(30):
        place.arrive(f"{number}.csv", "crash" if number == 7 else "")
    place.arrive(os.fsdecode(b"caf\xe9.csv"), "wait")
    place.start()
    wait_until(lambda: "failed/7.csv" in place.files(), lambda: place.log)
    assert len([name for name in place.files() if name.startswith("done/")]) == 30
    assert "exit code -9" in (place.folder / "failed/7.csv.reason.txt").read_text()
    assert place.processes() <= 5
    assert r"caf\udce9.csv: reading; scored 10 rows" in place.log
    assert "waiting for a lock since 5 s" in place.log
    assert "a line of features.py" in place.log


def test_a_pause_grows_to_its_limit_and_an_outage_of_days_ends_no_watch() -> None:
    watch = Watch(Path("in"), [], {}, settle=1, attempts=3, pause=0.1)
    pauses = [watch.growing_pause(times) for times in (1, 2, 3, 12, 13, 1025, 100_000)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 204.8, 300, 300, 300])


def test_a_file_that_ends_within_a_line_is_left_alone_for_longer(place: Place) -> None:
    place.start()
    place.wait_for_log("watching in")
    place.arrive("a.csv", "a whole line\nand a half", end="")
    time.sleep(1)
    assert place.files() == {"a.csv"}
    with (place.folder / "a.csv").open("a") as writer:
        writer.write(" of another\n")
        writer.flush()
        place.wait_for_files("done/a.csv")
        writer.write("and one more line\n")
        writer.flush()
        place.wait_for_log("a.csv: changed after it was scored; it is scored again")
    wait_until(lambda: place.calls.count("a.csv") == 2, lambda: place.log)
    place.wait_for_files("done/a.csv")
    assert (place.folder / "done/a.csv").read_text().count("\n") == 3


def test_attempts_are_counted_over_restarts(place: Place) -> None:
    place.arrive("bad.csv", "fail")
    for attempt in (1, 2):
        watch = place.start()
        place.wait_for_log(f"attempt {attempt} of 3")
        watch.kill()
        watch.wait()
    place.start()
    place.wait_for_files("failed/bad.csv", "failed/bad.csv.reason.txt")
    assert place.calls.count("bad.csv") == 3


def test_another_file_of_the_same_name_has_all_attempts_and_replaces_no_file(place: Place) -> None:
    place.start()
    for text in ("fail", "fail", "", ""):
        place.arrive("x.csv", text)
        wait_until(lambda: "x.csv" not in place.files(), lambda: place.log)
    failed = {f"failed/x{n}.csv{end}" for n in ("", ".2") for end in ("", ".reason.txt")}
    place.wait_for_files("done/x.csv", "done/x.2.csv", *failed)
    assert place.calls.count("x.csv") == 8


def test_a_file_that_changes_while_it_is_scored_is_scored_again(place: Place) -> None:
    place.arrive("a.csv", "append")
    place.start()
    place.wait_for_files("done/a.csv")
    assert place.texts == ["append", "append more"]


def test_a_file_whose_watch_is_killed_is_scored_by_the_next_watch(place: Place) -> None:
    place.arrive("a.csv", "sleep 1")
    watch = place.start()
    wait_until((place.root / "asleep").exists, lambda: place.log)
    watch.kill()
    watch.wait()
    place.start()
    place.wait_for_files("done/a.csv")


def test_a_watch_that_is_terminated_ends_its_process_and_leaves_the_file(place: Place) -> None:
    place.arrive("a.csv", "sleep 60")
    watch = place.start()
    wait_until((place.root / "asleep").exists, lambda: place.log)
    watch.terminate()
    assert watch.wait(10) == 0
    assert place.files() == {"a.csv"}
    with pytest.raises(ProcessLookupError):
        os.kill(int((place.root / "asleep").read_text()), 0)


def test_an_idle_watch_ends_when_it_is_asked_to(place: Place) -> None:
    watch = place.start()
    place.wait_for_log("watching in")
    watch.send_signal(signal.SIGINT)
    assert watch.wait(10) == 0


def test_a_folder_has_one_watch(place: Place) -> None:
    first = place.start()
    place.wait_for_log("watching in")
    assert place.start().wait(10) == 3
    assert "another `mlops watch` watches in" in place.log
    first.kill()
    first.wait()
    place.start()
    place.wait_for_log("watching in", times=2)


def test_a_missing_folder_and_a_file_are_refused_and_no_folder_is_created(place: Place) -> None:
    place.folder.rmdir()
    assert place.start().wait(10) == 3
    assert "mkdir -p in" in place.log
    assert not place.folder.exists()
    place.folder.write_text("a file")
    assert place.start().wait(10) == 3
    assert "in is a file: name the folder in which files arrive" in place.log
