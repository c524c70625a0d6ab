"""The library locks of a project of two small libraries, with real uv and an index that is a folder."""

import shutil
import subprocess
from pathlib import Path

import pytest

from baking import UNBAKED
from mlops.errors import Away, MlopsError
from mlops.release.update import locks
from wheels import wheel

PYPROJECT = """\
[project]
name = "mlops-project"
version = "0"
requires-python = ">=3.11"

[dependency-groups]
serve = ["one"]
train = ["one", "two"]
batch = []
tools = []
notebook = []
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that is locked; `two` goes with `one` 1.0 alone."""
    shop, root = tmp_path / "shop", tmp_path / "project"
    for folder in (shop, tmp_path / "empty", root / "requirements"):
        folder.mkdir(parents=True)
    wheel(shop, "one", "1.0")
    wheel(shop, "one", "2.0")
    wheel(shop, "two", "1.0", "one<2")
    shutil.copy(UNBAKED / "Makefile", root)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "requirements/serve.txt").touch()
    for name, value in {
        "UV_NO_CONFIG": "1",
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "UV_DEFAULT_INDEX": (tmp_path / "empty").as_uri(),
        "UV_FIND_LINKS": str(shop),
        "UV_HTTP_RETRIES": "0",
    }.items():
        monkeypatch.setenv(name, value)
    locks.write_locks(root, "")
    return root


def content(project: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in (project / "requirements").iterdir()}


def require(project: Path, library: str) -> None:
    edited = PYPROJECT.replace('train = ["one"', f'train = ["{library}"')
    (project / "pyproject.toml").write_text(edited)


def test_each_room_has_a_lock_and_they_agree(project: Path) -> None:
    pins = {name: locks.pins(lock) for name, lock in content(project).items()}
    assert pins["serve.txt"] == ["one==1.0"]
    assert pins["train.txt"] == ["one==1.0", "two==1.0"]
    assert pins.keys() == {
        f"{room}.txt" for room in ("train", "serve", "batch", "tools", "notebook")
    }


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ("one>=2", "all versions of two depend on one<2 and you require one>=2"),
        ("onne", "onne was not found"),
        ("one=>2", "Failed to parse entry in group `train`: `one=>2`"),
    ],
)
def test_libraries_that_do_not_go_together_change_nothing(
    project: Path, library: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"MAKELEVEL": "1", "MAKEFLAGS": "w"}.items():
        monkeypatch.setenv(name, value)
    require(project, library)
    before = content(project)
    with pytest.raises(MlopsError, match=words) as raised:
        locks.write_locks(project, "loosen it")
    assert raised.value.exit_code == 1
    assert str(raised.value).endswith("Nothing has changed: loosen it")
    assert "make" not in str(raised.value)
    assert content(project) == before
    command = ["make", "lock", "INSTALL=:", "ACTIVATE=:"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert "requirements/ is unchanged. If no solution was found, change what" in done.stderr
    assert content(project) == before


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (
            "UV_DEFAULT_INDEX",
            "http://127.0.0.1:9/simple",
            "Failed to fetch: http://127.0.0.1:9/simple/",
        ),
        ("UV_OFFLINE", "1", "three was not found in the cache"),
        ("UV_FIND_LINKS", "/nowhere", "directory: /nowhere"),
    ],
)
def test_an_index_out_of_reach_changes_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    require(project, "three")
    before = content(project)
    monkeypatch.setenv(variable, value)
    with pytest.raises(
        Away, match=rf"(?s){words}.*Nothing has changed: try again when it is in reach"
    ):
        locks.write_locks(project, "loosen it")
    assert content(project) == before
