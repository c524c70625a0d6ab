"""Where a demo may be made, before anything is installed; other tests run whole demos."""

import sys
from pathlib import Path

import pytest

import walkthrough
from baking import NAME, TEMPLATE, Run


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
    step = walkthrough.Step("Bake", tmp_path, [["mkdir", "-p", str(project / ".git")], make])
    walkthrough.Walk("demo", project, [step], ["true"], "").run()
    assert project.exists()
    assert list((tmp_path / "tmp").iterdir()) == []
