"""Tests the stages on a disk that is too small for what they write."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from machinery import PROJECT
from small_disk import mounted
from small_project import contents

LEFT = 8_192
"""The bytes that are left on the disk."""


@pytest.fixture
def crowded(finished: Path, tmp_path: Path) -> Iterator[Path]:
    """A small project of which every stage was run, on a disk that is full."""
    with mounted(tmp_path / "disk", "32m") as disk:
        project = disk / "project"
        shutil.copytree(finished, project, symlinks=True)
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - LEFT))
        yield project


@pytest.mark.parametrize("stage", ["prepare", "deploy"])
def test_a_stage_names_a_full_disk_and_leaves_what_was_there(crowded: Path, stage: str) -> None:
    whole = {name: contents(str(crowded / name)) for name in ("data/prepared", "deploy")}
    done = subprocess.run(
        [sys.executable, "-m", f"mlops.{stage}"],
        cwd=crowded,
        env={"PYTHONPATH": str(PROJECT), "TMPDIR": str(crowded)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "no space is left on the disk" in done.stderr
    assert {name: contents(str(crowded / name)) for name in whole} == whole
