"""Where a demo may be made, and how its steps are done, shown again and begun again; other tests run whole
demos."""

import subprocess
import sys
from pathlib import Path

import pytest

import walkthrough
from baking import NAME, TEMPLATE, Run
from walkthrough import Command, Step, Walk


def test_a_new_directory_is_hidden_from_the_repository_around_it(run: Run, tmp_path: Path) -> None:
    run.git("init", "--quiet", cwd=tmp_path)
    project = tmp_path / "else where" / NAME
    for _ in range(2):
        walkthrough.refuse_place(project)
        walkthrough.hide_from_git(project.parent)
    project.mkdir()
    (project / "file").touch()
    assert run.git("status", "--porcelain", cwd=tmp_path) == ""
    with pytest.raises(SystemExit, match="already has files in it"):
        walkthrough.refuse_place(project)


def test_a_directory_of_a_repository_is_refused_in_a_sentence(run: Run, tmp_path: Path) -> None:
    run.git("init", "--quiet", cwd=tmp_path)
    (tmp_path / "mine").touch()
    done = run(sys.executable, TEMPLATE / "demos/demo.py", ".", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"{tmp_path / NAME} would lie inside the Git repository {tmp_path}"
    )
    assert done.stderr.count("\n") == 1
    assert "[1/" not in done.stdout


def test_a_walk_leaves_no_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It also removes those of cookiecutter, which leaves a copy of each hook."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)  # what it has found before
    (tmp_path / "tmp").mkdir()
    make = [sys.executable, "-c", "import tempfile; tempfile.mkstemp(suffix='.py')"]
    project = tmp_path / "demo" / NAME
    commands = [Command(["mkdir", "-p", str(project / ".git")]), Command(make)]
    Walk("demo", project, [Step("bake", "Bake", tmp_path, commands)], "").begin()
    assert project.exists()
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """The project of a walk, which is a repository with a commit on dev."""
    project = tmp_path / "demo" / NAME
    git = ["git", "-C", str(project)]
    commands = [
        ["git", "init", "--quiet", "--initial-branch", "dev", str(project)],
        [*git, "commit", "--quiet", "--allow-empty", "--message", "Begin"],
    ]
    walk(project, Step("bake", "Bake", tmp_path, [*map(Command, commands)])).begin()
    return project


def walk(project: Path, *steps: Step) -> Walk:
    return Walk("demo", project, [*steps], "")


def count(project: Path, name: str, *then: list[str]) -> Step:
    """A step that writes a line into a file beside the project, and does more."""
    line = ["sh", "-c", f"echo {name} >> ../done; echo output of {name}"]
    return Step(name, name.title(), project, [Command(line), *map(Command, then)])


def subjects(project: Path) -> list[str]:
    log = ["git", "-C", str(project), "log", "--format=%s", "dev"]
    return subprocess.run(log, check=True, stdout=subprocess.PIPE, text=True).stdout.split()


HALF = ["git", "commit", "--quiet", "--allow-empty", "--message", "Half"]


def test_a_step_that_failed_begins_again_from_the_state_before_it(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = count(begun, "first")
    tag = ["git", "tag", "half"]
    with pytest.raises(SystemExit, match=r"(?s)Step 2, 'Second', failed .* go on: make demo"):
        walk(begun, first, count(begun, "second", HALF, tag, ["false"])).begin()
    assert subjects(begun) == ["Half", "Begin"]
    (begun / "mine").write_text("written after the failure\n")
    whole = ["git", "commit", "--quiet", "--allow-empty", "--message", "Whole"]
    capsys.readouterr()
    done = walk(begun, first, count(begun, "second", ["git", "switch", "--quiet", "dev"], whole))
    done.begin()
    assert subjects(begun) == ["Whole", "Begin"]
    assert not (begun / ".git/refs/tags/half").exists()
    assert not (begun / "mine").exists()
    kept = ["git", "-C", str(begun), "show", "stash@{0}^3:mine"]
    assert subprocess.check_output(kept, text=True) == "written after the failure\n"
    assert (begun.parent / "done").read_text().split() == ["first", "second", "second"]
    assert "output of first" in capsys.readouterr().out
    assert "(done)" in done.list().splitlines()[1]


def test_steps_are_shown_again_unless_they_are_to_be_live(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [count(begun, name) for name in ("first", "second", "third")]
    with pytest.raises(SystemExit, match="'first' was not finished"):
        walk(begun, *steps).begin(2)
    walk(begun, *steps).begin()
    capsys.readouterr()
    walk(begun, *steps).begin(2)
    shown = capsys.readouterr().out
    assert "output of first" not in shown
    assert "[2/3] Second" in shown
    assert "output of second" in shown
    walk(begun, *steps).begin(3, live=True)
    assert (begun.parent / "done").read_text().split() == ["first", "second", "third", "third"]


def test_another_exit_code_than_expected_fails_and_shows_all_that_was_printed(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = Command(["sh", "-c", "echo many; echo refused; exit 4"], expected=(4,), lines=1)
    walk(begun, Step("refused", "Refused", begun, [refused])).begin()
    assert "\nmany\n" not in capsys.readouterr().out
    passes = Command(["sh", "-c", "echo many; echo passed"], expected=(4,), lines=1)
    with pytest.raises(SystemExit, match="failed with exit code 0"):
        walk(begun, Step("passes", "Passes", begun, [passes])).begin()
    assert "many\npassed" in capsys.readouterr().out


def test_a_project_that_no_walk_has_made_is_left_alone(tmp_path: Path) -> None:
    project = tmp_path / "demo" / NAME
    project.mkdir(parents=True)
    with pytest.raises(SystemExit, match="no `make demo` has made it"):
        walk(project, count(project, "first")).begin()
    assert list(project.parent.iterdir()) == [project]
