import subprocess
from pathlib import Path

import pytest

from mlops.release.history import lock_merge
from mlops.release.history.lock_merge import (
    UnknownLayoutError,
    merge_entries,
    render_lock,
    split_lock,
)

SCRIPT = Path(lock_merge.__file__)


def entry(name: str, version: int) -> str:
    return f"  {name}:\n    cmd: make {name}\n    outs:\n    - path: {name}\n      md5: {version}\n"


def lock(**versions: int) -> str:
    return render_lock({name: entry(name, version) for name, version in versions.items()})


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 3}, {"a": 2, "b": 3}),
        ({"a": 1}, {"a": 2}, {"a": 3}, {}),
        ({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "b": 1}),
        ({"a": 1}, {"a": 1, "c": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 1, "c": 1}),
        ({}, {"a": 1}, {"a": 2}, {}),
        ({}, {"a": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 1}),
        ({"a": 1, "b": 1}, {"a": 1}, {"a": 2, "b": 1}, {"a": 2}),
        ({"a": 1, "b": 1}, {"a": 1}, {"a": 1, "b": 2}, {"a": 1}),
        ({"b": 1, "a": 1}, {"a": 1, "b": 1}, {"b": 1, "a": 2}, {"b": 1, "a": 2}),
    ],
    ids=[
        "changed on one side each",
        "changed on both",
        "changed alike",
        "added on both sides",
        "added differently, no base",
        "added alike, no base",
        "removed here, another changed there",
        "removed here, changed there",
        "order of the base",
    ],
)
def test_an_entry_is_taken_whole_or_dropped_from_either_side(
    base: dict[str, int], ours: dict[str, int], theirs: dict[str, int], merged: dict[str, int]
) -> None:
    before, one, other = (split_lock(lock(**versions)) for versions in (base, ours, theirs))
    assert render_lock(merge_entries(before, one, other)) == lock(**merged)
    assert render_lock(merge_entries(before, other, one)) == lock(**merged)


def test_a_command_of_several_lines_belongs_to_its_entry() -> None:
    text = lock(a=1) + "  b:\n    cmd: |-\n      one\n\n      two:\n    deps:\n    - path: x\n"
    assert list(split_lock(text)) == ["a", "b"]
    assert render_lock(split_lock(text)) == text


@pytest.mark.parametrize("text", ["", "schema: '2.0'\n"])
def test_a_lock_without_entries(text: str) -> None:
    assert split_lock(text) == {}


@pytest.mark.parametrize(
    "text",
    [
        "schema: '3.0'\nstages:\n" + entry("a", 1),
        "stages:\n" + entry("a", 1),
        "schema: '2.0'\nstages: {}\n",
        "schema: '2.0'\ndatasets: []\nstages:\n" + entry("a", 1),
        lock(a=1) + entry("a", 2),
        lock(a=1) + "datasets: []\n",
        lock(a=1) + "<<<<<<< HEAD\n",
        lock(a=1).replace("\n", "\r\n"),
        lock(a=1).removesuffix("\n"),
    ],
)
def test_an_unknown_layout_is_refused(text: str) -> None:
    with pytest.raises(UnknownLayoutError):
        split_lock(text)


def driver(folder: Path, name: str, **versions: str) -> subprocess.CompletedProcess[str]:
    for side, text in versions.items():
        (folder / side).write_text(text)
    sides = [folder / side for side in ("base", "ours", "theirs")]
    return subprocess.run(
        ["python3", "-I", "-S", SCRIPT, *sides, name], capture_output=True, text=True, check=False
    )


def test_as_a_process_it_needs_no_library_and_leaves_the_merge_in_ours(tmp_path: Path) -> None:
    sides = {"base": lock(a=1, b=1), "ours": lock(a=2, b=1), "theirs": lock(a=1, b=3)}
    assert driver(tmp_path, "dvc.lock", **sides).returncode == 0
    assert (tmp_path / "ours").read_text() == lock(a=2, b=3)


def test_what_it_cannot_read_stays_a_conflict_with_our_side_untouched(tmp_path: Path) -> None:
    sides = {"base": lock(a=1), "ours": lock(a=2), "theirs": "schema: '3.0'\n"}
    process = driver(tmp_path, "dvc.lock", **sides)
    assert process.returncode == 1
    assert "git checkout --ours dvc.lock" in process.stderr
    assert (tmp_path / "ours").read_text() == lock(a=2)


@pytest.mark.parametrize(
    ("name", "code"), [("reports/metrics.json", 0), ("logo.png", 1), ("reports", 1)]
)
def test_only_reports_keep_ours(tmp_path: Path, name: str, code: int) -> None:
    process = driver(tmp_path, name, base="1", ours="2", theirs="3")
    assert process.returncode == code
    assert (tmp_path / "ours").read_text() == "2"
