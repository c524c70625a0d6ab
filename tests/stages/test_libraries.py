"""Tests that a stage refuses libraries that are not those of its lock, whoever runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from machinery import PROJECT
from mlops import libraries
from mlops.errors import OtherLibraries

LOCK = """\
numpy==2.4.6 ; python_full_version < '3.0' \\
    --hash=sha256:0
numpy==9.9.9 ; python_full_version >= '3.0' \\
    --hash=sha256:0
"""


def put(place: Path, name: str, version: str) -> None:
    """Writes the metadata of a library, as an installation does."""
    folder = place / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def run(*options: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a stage as plain `dvc repro` does."""
    command = [sys.executable, *options]
    return subprocess.run(
        command, cwd=cwd, env=variables, capture_output=True, text=True, check=False
    )


needs_no_variables = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows starts no Python without its own variables"
)


@needs_no_variables
@pytest.mark.parametrize(
    ("stage", "name", "lock"),
    [("train", "scikit_learn", "train"), ("deploy", "onnxruntime", "serve")],
)
def test_another_version_than_locked_is_refused_in_one_sentence(
    project: Path, tmp_path: Path, stage: str, name: str, lock: str
) -> None:
    put(tmp_path / "other", name, "1.5.0")
    done = run("-m", f"mlops.{stage}", cwd=project, PYTHONPATH=str(tmp_path / "other"))
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"OtherLibraries: {name.replace('_', '-')} 1.5.0 is installed for {sys.executable}, "
        f"but requirements/{lock}.txt asks for "
    )
    assert done.stderr.count("\n") == 1


@needs_no_variables
def test_without_any_library_it_is_a_sentence_too(project: Path) -> None:
    done = run("-S", "-m", "mlops.prepare", cwd=project)
    assert done.returncode == 1
    assert "annotated-types is not installed" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_installed_here_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    for stage in libraries.LOCKS:
        libraries.check_libraries(stage)


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory with its own lock; it is also first on the import path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/train.txt").write_text(LOCK)
    return tmp_path


def test_the_line_whose_marker_holds_here_counts(locked: Path) -> None:
    with pytest.raises(OtherLibraries, match=r"asks for 9\.9\.9: `make install` on this branch"):
        libraries.check_libraries("train")
    put(locked, "numpy", "9.9.9")
    libraries.check_libraries("train")


@pytest.mark.parametrize(
    "line",
    [
        "nosuch==1 ; sys_platform == 'nowhere'",
        "nosuch==1 ; sys_platform == 'nowhere' or os_name == 'nowhere'",
        "nosuch==1 ; python_full_version >= '3.0' and implementation_name == 'nothing'",
        "nosuch==1 ; 'linux' in sys_platform",
        "nosuch @ https://example.org/nosuch-1.tar.gz",
    ],
)
def test_what_is_for_another_machine_or_not_understood_is_not_judged(
    locked: Path, line: str
) -> None:
    (locked / "requirements/train.txt").write_text(f"{line} \\\n    --hash=sha256:0\n")
    libraries.check_libraries("train")


@pytest.mark.parametrize(
    "line",
    [
        "nosuch==1",
        "nosuch[extra]==1",
        "nosuch==1 ; python_version >= '3.11' and python_full_version != '3.11.99'",
        "nosuch==1 ; sys_platform == 'nowhere' or python_full_version >= '3'",
    ],
)
def test_what_is_for_this_machine_must_be_there(locked: Path, line: str) -> None:
    (locked / "requirements/train.txt").write_text(f"{line}\n")
    with pytest.raises(OtherLibraries, match="nosuch is not installed"):
        libraries.check_libraries("train")


def test_a_name_or_version_spelled_in_another_way_is_the_same(locked: Path) -> None:
    put(locked, "Other.Spelling", "2026.06")
    (locked / "requirements/train.txt").write_text("other-spelling==2026.6\n")
    libraries.check_libraries("train")


def test_every_stage_is_held_against_the_lock_that_dvc_yaml_names() -> None:
    from test_dvc_yaml import STAGES

    named = {
        stage: Path(dep)
        for stage, entry in STAGES.items()
        for dep in entry["deps"]
        if dep.startswith("requirements/")
    }
    assert named == libraries.LOCKS
