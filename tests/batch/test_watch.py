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

SCORE = """\
import os, pathlib, sys, time
path = pathlib.Path(sys.argv[1])
with open("calls", "a") as calls:
    calls.write(f"{path.name} {path.read_text()}\\n")
what, _, argument = path.read_text().partition(" ")
if what == "fail":
    sys.exit(f"mlops: {path.name} is broken:\\nline 7")
if what == "reject":
    print("mlops: 9 of 10 rows break the contract", file=sys.stderr)
    sys.exit(4)
if what == "store" and not pathlib.Path("database").exists():
    print("mlops: the database does not answer", file=sys.stderr)
    sys.exit(5)
if what == "crash":
    os.kill(os.getpid(), 9)
if what == "append" and not argument:
    path.write_text("append more")
if what == "sleep":
    pathlib.Path("asleep").write_text(str(os.getpid()))
    time.sleep(float(argument))
print("reading\\nscored 10 rows")
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

    def arrive(self, name: str, text: str = "") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

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
    assert (place.root / "calls").read_text() == "a.csv afileofmanypieces\n"


def test_unfinished_and_foreign_names_are_not_scored(place: Place) -> None:
    ignored = {"a.csv.partial", "b.tmp", "carried.csv", "carried.csv.dvc", "folder/inner.csv"}
    (place.folder / "folder").mkdir()
    for name in (*ignored, ".hidden.csv"):
        place.arrive(name)
    place.start()
    place.arrive("last.csv.partial").rename(place.folder / "last.csv")
    place.wait_for_files("done/last.csv", *ignored)
    assert place.calls == ["last.csv"]


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
    words = {"fail": "mlops: bad.csv is broken: line 7", "crash": "exit code -9"}[fault]
    assert [line.split(maxsplit=1)[1] for line in reasons] == [words] * 3
    assert "attempt 1 of 3, next in 0.1 s" in place.log
    assert "attempt 2 of 3, next in 0.2 s" in place.log


def test_a_file_that_breaks_the_contract_is_moved_at_once(place: Place) -> None:
    place.arrive("bad.csv", "reject")
    place.start()
    place.wait_for_files("failed/bad.csv", "failed/bad.csv.reason.txt")
    assert place.calls == ["bad.csv"]


def test_an_unavailable_database_counts_as_an_attempt_of_no_file(place: Place) -> None:
    for name in ("a.csv", "b.csv"):
        os.utime(place.arrive(name, "store"), (1, 1))
    place.start()
    wait_until(lambda: len(place.calls) == 4, lambda: place.log)
    assert set(place.calls) == {"a.csv"}
    (place.root / "database").touch()
    place.wait_for_files("done/a.csv", "done/b.csv")


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
    assert (place.root / "calls").read_text() == "a.csv append\na.csv append more\n"


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


def test_a_missing_folder_is_refused_and_not_created(place: Place) -> None:
    place.folder.rmdir()
    assert place.start().wait(10) == 3
    assert "mkdir -p in" in place.log
    assert not place.folder.exists()
