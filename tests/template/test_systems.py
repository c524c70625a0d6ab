"""Tests what holds a project on other systems than the one that the tests run on: macOS, Windows, ARM."""

import ast
import fcntl
import importlib.util
import os
import re
import struct
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import pytest

import post_gen_project
import small_batch
from baking import TEMPLATE, UNBAKED, Run
from mlops import file_lock, libraries
from mlops.contract import measure

FILES = [*UNBAKED.rglob("mlops/**/*.py"), UNBAKED / "install.py", *TEMPLATE.glob("hooks/*.py")]
OPENERS = {"open", "fdopen", "NamedTemporaryFile", "TemporaryFile"}


def test_the_text_of_files_has_the_same_bytes_on_every_system() -> None:
    """Windows writes text in the code page of the user and ends lines with CRLF, unless it is told."""
    faults = [
        f"{file.relative_to(TEMPLATE)}:{call.lineno}: {fault}"
        for file in FILES
        for call, fault in faults_of(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert faults == []


@pytest.mark.parametrize(
    ("code", "faults"),
    [
        ("file.read_text()", ["no encoding"]),
        ("file.read_text(encoding='utf-8')", []),
        ("file.write_text(text)", ["no encoding", "no newline"]),
        ("file.write_text(text, encoding='utf-8')", ["no newline"]),
        ("open(file)", ["no encoding"]),
        ("open(file, 'rb')", []),
        ("file.open('a')", ["no encoding", "no newline"]),
        ("file.open('xb')", []),
        ("os.fdopen(number, 'w', encoding='utf-8', newline='')", []),
        ("os.open(file, os.O_RDONLY)", []),
        ("tempfile.TemporaryFile()", []),
        ("tempfile.TemporaryFile('w+')", ["no encoding", "no newline"]),
    ],
)
def test_the_rule_for_text_finds(code: str, faults: list[str]) -> None:
    assert [fault for _, fault in faults_of(ast.parse(code))] == faults


def faults_of(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Yields each call that reads or writes text and leaves the encoding, or the line ends, to the system."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        given = {keyword.arg for keyword in call.keywords}
        if (mode := mode_of(call)) and "b" not in mode:
            if "encoding" not in given:
                yield call, "no encoding"
            if set(mode) & set("wax+") and "newline" not in given:
                yield call, "no newline"


def mode_of(call: ast.Call) -> str:
    """Returns the mode in which a call opens a file, or "" if it names none: `os.open` has none, and the
    method `open` of a table's source is binary."""
    name = ast.unparse(call.func)
    method = name.rpartition(".")[2]
    if method in ("read_text", "write_text"):
        return method[0]
    if name == "open" and len(call.args) == 1:
        return "r"
    values = [each.value for each in call.args if isinstance(each, ast.Constant)]
    modes = [
        each for each in values if isinstance(each, str) and re.fullmatch("[rwaxbt+]{1,3}", each)
    ]
    return "".join(modes) if method in OPENERS else ""


def test_the_project_runs_without_what_only_linux_has(
    run: Run, finished: Path, tmp_path: Path
) -> None:
    """Every module is imported, the stages run, and a batch is scored; what they write has the same bytes."""
    done = run(sys.executable, TEMPLATE / "tests/fixtures/other_system.py", tmp_path, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == str(small_batch.ROWS)
    for name in ("models", "deploy", "reports/metrics.json", "reports/gate.json"):
        for file in [path for path in (finished / name).rglob("*") if path.is_file()]:
            assert (tmp_path / file.relative_to(finished)).read_bytes() == file.read_bytes(), file


class RegionLocks:
    """Stands for `msvcrt` of Windows: its locks end with the open file, and bind within one process too."""

    LK_LOCK, LK_NBLCK = 1, 2

    @staticmethod
    def locking(descriptor: int, mode: int, size: int) -> None:
        start = os.lseek(descriptor, 0, os.SEEK_CUR)
        region = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, start, size, 0)
        fcntl.fcntl(
            descriptor, fcntl.F_OFD_SETLK, region
        )  # raises OSError at once, with LK_LOCK too


@pytest.mark.skipif(sys.platform != "linux", reason="locks of open files are Linux's")
def test_a_file_is_locked_without_fcntl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", RegionLocks)
    spec = importlib.util.spec_from_file_location("windows_lock", file_lock.__file__)
    assert spec
    assert spec.loader
    windows = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(windows)
    path = tmp_path / "lock"
    with windows.lock_file(path) as held, ThreadPoolExecutor(1) as pool:
        assert held.tell() == 0
        with pytest.raises(BlockingIOError):
            windows.lock_file(path, wait=False)
        waiting = pool.submit(windows.lock_file, path, shared=True)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        held.close()
        waiting.result(timeout=10).close()
    windows.lock_file(path, wait=False).close()


@pytest.mark.skipif(sys.platform != "linux", reason="compares with what Linux says")
def test_memory_is_in_bytes_on_every_system(monkeypatch: pytest.MonkeyPatch) -> None:
    peak = measure.peak_memory()
    monkeypatch.setattr(sys, "platform", "freebsd")
    assert peak / 2 < measure.peak_memory() < peak * 2  # getrusage tells kibibytes
    monkeypatch.setattr(sys, "platform", "darwin")
    assert measure.peak_memory() * 1024 == pytest.approx(peak, rel=0.5)  # bytes there


@pytest.mark.parametrize(
    ("system", "url", "written"),
    [
        (PurePosixPath, "../adult-income-storage", "../../adult-income-storage"),
        (PurePosixPath, "/srv/storage", "/srv/storage"),
        (PurePosixPath, "s3://bucket/a", "s3://bucket/a"),
        (PureWindowsPath, r"..\adult-income-storage", "../../adult-income-storage"),
        (PureWindowsPath, r"C:\data\storage", "C:/data/storage"),
        (PureWindowsPath, "s3://bucket/a", "s3://bucket/a"),
    ],
)
def test_paths_in_dvcs_settings_have_slashes(
    monkeypatch: pytest.MonkeyPatch, system: type[PurePath], url: str, written: str
) -> None:
    monkeypatch.setattr(post_gen_project, "Path", system)
    assert post_gen_project.url_for_dvc(url) == written


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_locks_leave_out_what_a_system_lacks(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    texts = [lock.read_text(encoding="utf-8") for lock in UNBAKED.glob("requirements/*.txt")]
    pinned = {name for text in texts for name in libraries.pinned_versions(text)}
    assert ("uvloop" in pinned) == (system != "win32")
    assert ("pywin32" in pinned) == (system == "win32")
