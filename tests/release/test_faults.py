"""Tests releases under faults: real processes, a bare origin, a storage, and kill -9 at every step.

`make soak` kills at every call of Git and at many times between, and injects more kinds of faults; without it
only a few of each are tested.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import instant_project
import soak
import truth
from fault import KILLED_BEFORE, KILLED_DURING, Command, meanwhile
from instant_project import promote, set_quality
from mlops.errors import MlopsError, Refused
from mlops.release.data import push
from mlops.release.history import lockfile, records
from mlops.release.history.git import Git
from mlops.release.promote import rollback
from processes import children_that_run
from small_disk import mounted
from truth import refs

RELEASES = {
    "promote": {"refs/heads/staging", "refs/tags/staging/0004", "refs/tags/model@v1.3.0"},
    "rollback": {"refs/heads/staging", "refs/tags/staging/0004"},
}
"""What each moves: all of it, or nothing."""

COMMANDS = RELEASES | {"push": {"refs/heads/dev"}}
"""The same, and `mlops push` of a commit that origin lacks, which moves a branch on origin alone."""

in_a_soak = pytest.mark.skipif(not soak.LOG, reason="`make soak` runs it: it takes minutes")


@pytest.fixture(autouse=True)
def tester(monkeypatch: pytest.MonkeyPatch) -> None:
    instant_project.speak_as_tester(monkeypatch)


@pytest.fixture(scope="session")
def prepared(promoted_to_staging: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was released to staging three times, with a fourth model on dev, all of it on origin."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        instant_project.speak_as_tester(monkeypatch)
        project = instant_project.copied(
            promoted_to_staging, tmp_path_factory.mktemp("prepared") / "copy"
        )
        instant_project.give_origin(project, "--tags")
        for quality in (0.91, 0.92):
            set_quality(project, quality)
            promote(project, "staging")
        set_quality(project, 0.93)
        Git(project).run("push", "--quiet", "origin", "dev")
        return project


@pytest.fixture
def project(prepared: Path, tmp_path: Path) -> Path:
    return instant_project.copied(prepared, tmp_path / "copy")


class Point:
    """A copy of the project in which a fault strikes a release, and what must hold afterwards."""

    def __init__(self, prepared: Path, folder: Path, release: str) -> None:
        self.project = instant_project.copied(prepared, folder)
        self.origin = self.project.parent / "origin.git"
        self.release = release
        if release == "push":
            set_quality(self.project, 0.94)
        self.before = {place: refs(place) for place in (self.project, self.origin)}
        self.user = self.what_is_the_users()

    def command(self, moment: str = "", fault: str = "", place: Path | None = None) -> Command:
        words = ("push",) if self.release == "push" else (self.release, "staging")
        return Command(self.project, *words, moment=moment, fault=fault, place=place)

    def what_is_the_users(self) -> list[str]:
        git = Git(self.project)
        asked = (["symbolic-ref", "HEAD"], ["status", "--porcelain"], ["ls-files", "--stage"])
        return [git.run(*words) for words in (*asked, ["stash", "list"])]

    def moved(self, folder: Path) -> set[str]:
        return {name for name, _ in refs(folder).items() ^ self.before[folder].items()}

    def check(self) -> str:
        """Checks that all is old or all is new and that the next release succeeds, and returns which of them
        it was."""
        here, there = self.moved(self.project), self.moved(self.origin)
        assert there in (set(), COMMANDS[self.release])
        assert here in (set(), there)
        assert self.what_is_the_users() == self.user
        self.release_again(done=bool(there))
        assert self.moved(self.origin) == COMMANDS[self.release]
        assert refs(self.project) == refs(self.origin)
        assert self.what_is_the_users() == self.user
        assert len(Git(self.project).lines("worktree", "list")) == 1
        truth.check(self.origin, self.project.parent / "storage")
        if self.release == "push":
            for name in lockfile.carried_hashes(Git(self.origin), "dev").values():
                assert truth.is_whole(self.project.parent / "storage", name)
        return "new" if here else "new on origin" if there else "old"

    def release_again(self, *, done: bool) -> None:
        if self.release == "push":
            push.push_branches(Git(self.project), [], print)
        elif self.release == "promote":
            assert (promote(self.project, "staging") is None) == done
        elif not done:
            roll_back(self.project)
        elif not self.moved(self.project):
            with pytest.raises(Refused, match=r"to staging/0002: A\. Tester .* has just done this"):
                roll_back(self.project)


def roll_back(project: Path) -> records.Record:
    return rollback.roll_back(Git(project), "staging", None, print)


@pytest.mark.parametrize(
    ("release", "moment", "fault"),
    [
        ("promote", "* push *", KILLED_DURING),
        ("promote", "* update-ref *", KILLED_BEFORE),
        ("rollback", "* push *", KILLED_BEFORE),
        ("rollback", "* update-ref *", KILLED_DURING),
    ],
)
def test_kill_while_it_publishes(
    prepared: Path, tmp_path: Path, release: str, moment: str, fault: str
) -> None:
    point = Point(prepared, tmp_path / "point", release)
    command = point.command(moment, fault)
    said = command.ended()
    assert command.process.returncode == -9, said
    point.check()


@in_a_soak
@pytest.mark.parametrize("fault", [KILLED_BEFORE, KILLED_DURING])
@pytest.mark.parametrize("release", COMMANDS)
def test_kill_at_every_call_of_git(
    prepared: Path, tmp_path: Path, release: str, fault: str
) -> None:
    undisturbed = Point(prepared, tmp_path / "undisturbed", release).command()
    undisturbed.ended()
    for number, call in enumerate(undisturbed.calls.read_text().splitlines(), start=1):
        point = Point(prepared, tmp_path / str(number), release)
        command = point.command(f"{number} *", fault)
        command.ended()
        assert command.process.returncode == -9, command.words.read_text()
        soak.note("kill", release=release, fault=fault, moment=call[:80], left=point.check())


@in_a_soak
@pytest.mark.parametrize("victim", ["the command", "its worker"])
@pytest.mark.parametrize("release", RELEASES)
def test_kill_at_any_time(prepared: Path, tmp_path: Path, release: str, victim: str) -> None:
    start = time.monotonic()
    Point(prepared, tmp_path / "undisturbed", release).command().ended()
    whole, slices = time.monotonic() - start, 20
    for number in range(slices):
        point = Point(prepared, tmp_path / str(number), release)
        command = point.command()
        time.sleep(whole * (number + 0.5) / slices)
        struck = kill(command.process.pid, victim)
        command.ended()
        moment = f"{100 * (number + 0.5) / slices:.0f} % of its time"
        left = point.check()
        if struck:
            soak.note("kill", release=release, fault=victim, moment=moment, left=left)


def kill(command: int, victim: str) -> bool:
    """Kills the victim, and returns whether it was there."""
    try:
        process = psutil.Process(command)
        if victim != "the command":
            [process] = children_that_run("mlops.release.promote.worker_process", process)
        alive: bool = process.status() != psutil.STATUS_ZOMBIE
        process.kill()
    except (psutil.Error, ValueError):
        return False
    return alive


def test_no_stage_survives_the_process_that_runs_it(project: Path) -> None:
    run_slowly(project)
    before = refs(project)
    command = Command(project, "promote", "staging")
    wait_until(lambda: any("61" in words for words in command.offspring()))
    assert kill(command.process.pid, "its worker")
    assert "the process that makes the challenger has ended" in command.ended()
    assert command.process.returncode == 1
    assert refs(project) == before


def run_slowly(project: Path) -> None:
    """Makes a stage take its time in staging."""
    pipeline = project / "dvc.yaml"
    slow = "cmd: test ${environment} = dev || sleep 61; mkdir -p data/prepared"
    pipeline.write_text(pipeline.read_text().replace("cmd: mkdir -p data/prepared", slow))
    instant_project.reproduce(project, "A stage that takes its time")


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail("waited 30 s in vain")


def test_two_at_once_one_wins(project: Path, tmp_path: Path) -> None:
    second = meanwhile(project, "promote", "staging", said=tmp_path / "second")
    command = Command(project, "promote", "staging", moment="* add --all", fault=second)
    assert command.ended().endswith("staging/0004: v1.3.0, from dev " + short(project, "dev"))
    assert "another promotion or rollback is running" in (tmp_path / "second").read_text()
    assert (tmp_path / "second").read_text().endswith("exit code 3\n")
    truth.check(project, project.parent / "storage")


@in_a_soak
def test_whoever_reaches_origin_first_wins(project: Path, tmp_path: Path) -> None:
    """A colleague rolls back between our fetch and our push."""
    colleague = project.parent / "colleague"
    Git(project).run("clone", "--quiet", "../origin.git", str(colleague))
    before = refs(project)
    first = meanwhile(colleague, "rollback", "staging", said=tmp_path / "first")
    command = Command(project, "promote", "staging", moment="* push *", fault=first)
    said = command.ended()
    assert "staging was changed on origin while this release was made" in said
    assert (
        "staging was rolled back from v1.2.0 (staging/0003) to v1.1.0 (staging/0002) by A. T"
        in said
    )
    assert command.process.returncode == 3
    assert (tmp_path / "first").read_text().endswith("exit code 0\n")
    assert refs(project) == before
    record = promote(project, "staging")
    assert record
    assert record.name == "staging/0005"
    truth.check(project.parent / "origin.git", project.parent / "storage")


def short(project: Path, revision: str) -> str:
    return Git(project).run("rev-parse", revision)[:7] + "\n"


@in_a_soak
@pytest.mark.parametrize("release", RELEASES)
def test_an_origin_that_goes_away_after_the_data_were_sent(
    prepared: Path, tmp_path: Path, release: str
) -> None:
    point = Point(prepared, tmp_path / "point", release)
    away = point.origin.with_name("away.git")
    command = point.command("* push *", f"mv {point.origin} {away}")
    assert "it is not known whether origin took the release: origin cannot be" in command.ended()
    assert command.process.returncode == 5
    away.rename(point.origin)
    assert point.check() == "old"


@in_a_soak
@pytest.mark.parametrize("damage", ["corrupted", "missing"])
def test_damaged_data_of_a_promotion_come_from_the_storage(project: Path, damage: str) -> None:
    for path in ("data/prepared/train.parquet", "models/model.onnx", "deploy"):
        break_(cached(project, "staging", path), damage)
    assert promote(project, "prod")
    assert Git(project).read_file("staging", "params.yaml") == model(project, "prod")
    truth.check(project, project.parent / "storage")


@pytest.mark.parametrize("damage", ["corrupted", "missing"] if soak.LOG else ["corrupted"])
def test_data_that_are_whole_nowhere_are_not_promoted(project: Path, damage: str) -> None:
    break_(cached(project, "dev", "models/model.onnx"), damage)
    before = refs(project)
    with pytest.raises(Refused, match="neither whole in the cache nor in the DVC remote"):
        promote(project, "staging")
    assert refs(project) == before


def test_a_champion_that_is_lost_is_replaced_for_a_reason(project: Path) -> None:
    champion = cached(project, "staging", "deploy")
    truth.place(project.parent / "storage", champion.parent.name + champion.name).unlink()
    champion.unlink()
    with pytest.raises(
        Refused, match=r"cannot be compared .* neither whole in the cache nor in the"
    ):
        promote(project, "staging")
    assert promote(project, "staging", accepted="its data are lost")


@in_a_soak
def test_what_was_made_from_damaged_data_is_not_promoted(project: Path) -> None:
    """The damaged data are the training data of staging, which dev does not have. DVC takes them from an
    earlier run."""
    pipeline = project / "dvc.yaml"
    named = "done && echo ${environment} >> data/prepared/train.parquet"
    pipeline.write_text(pipeline.read_text().replace("done\n", f"{named}\n"))
    instant_project.reproduce(project, "Data of its own for each environment")
    promote(project, "staging")
    set_quality(project, 0.94)
    broken = cached(project, "staging", "data/prepared/train.parquet")
    break_(broken, "corrupted")
    before = refs(project)
    with pytest.raises(MlopsError, match=r"data/prepared/train\.parquet were damaged"):
        promote(project, "staging")
    assert refs(project) == before
    assert promote(project, "staging")
    truth.check(project, project.parent / "storage")


def cached(project: Path, revision: str, path: str) -> Path:
    md5 = lockfile.read_lock(Git(project), revision).required_hash(path)
    return truth.place(project / ".dvc/cache", md5)


def model(project: Path, revision: str) -> bytes:
    return cached(project, revision, "models/model.onnx").read_bytes()


def break_(file: Path, damage: str) -> None:
    file.chmod(0o644)
    file.write_bytes(b"quality: 9") if damage == "corrupted" else file.unlink()
    if file.exists():
        file.chmod(0o444)  # what is read-only DVC takes for whole


@pytest.fixture
def small_disk(prepared: Path, tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes, for the project."""
    with mounted(tmp_path / "disk", "16m") as disk:
        yield disk


@pytest.mark.parametrize("release", RELEASES if soak.LOG else ["promote"])
@pytest.mark.parametrize("left", [0, 20_000, 40_000, 80_000, 160_000] if soak.LOG else [40_000])
def test_a_full_disk(
    prepared: Path, small_disk: Path, tmp_path: Path, release: str, left: int
) -> None:
    point = Point(prepared, small_disk / "point", release)
    command = point.command("* --is-shallow-repository", fill(small_disk, left), tmp_path)
    said = command.ended()
    (small_disk / "filler").unlink()
    assert command.process.returncode in (0, 1, 3, 4)
    assert command.process.returncode == 0 or "No space left on" in said
    assert "Traceback" not in said
    point.check()


def fill(disk: Path, left: int) -> str:
    free = shutil.disk_usage(disk).free
    return f"head -c {free - left} /dev/zero > {disk / 'filler'}"
