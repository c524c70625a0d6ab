"""Tests an origin and a storage that go away, refuse, are read-only or full, at a call of Git of a command.

`make soak` strikes at every third call for a place that goes away, and at every tenth for the other faults;
without it only a few are tested.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from test_faults import COMMANDS, Point, in_a_soak, prepared, tester

import soak
from small_disk import mounted

__all__ = ["prepared", "tester"]

CODES = {
    ("origin.git", "gone"): {5},
    ("origin.git", "refuses"): {3},
    ("origin.git", "read-only"): {3},
    ("origin.git", "full"): {3, 5},
    ("storage", "gone"): {5},
    ("storage", "read-only"): {1, 5},
    ("storage", "full"): {5},
}
"""The exit codes with which a command may end under each fault, unless it ends well.

Git does not always say that the disk of origin is full. A storage that is a read-only directory is a matter
of rights (1), and one that becomes so while data are sent does not take the data (5).
"""

STRIKE = {
    "gone": "mv {place} {place}.away",
    "refuses": "printf '#!/bin/sh\\nexit 1\\n' > {place}/hooks/update; chmod +x {place}/hooks/update",
    "read-only": "mount -o remount,ro {disk}",
    "full": "head -c 64m /dev/zero > {disk}/filler 2> {disk}.full",
}
HEAL = {
    "gone": "rm -rf {place} && mv {place}.away {place}",
    "refuses": "rm {place}/hooks/update",
    "read-only": "mount -o remount,rw {disk}",
    "full": "rm {disk}/filler",
}


@contextmanager
def on_a_disk_of_its_own(place: Path) -> Iterator[Path]:
    """Moves the place to a small file system, behind a link, and yields that."""
    with mounted(place.with_suffix(".disk"), "16m") as disk:
        shutil.copytree(place, disk / place.name, symlinks=True)
        shutil.rmtree(place)
        place.symlink_to(disk / place.name)
        yield disk


def strike(point: Point, name: str, fault: str, moment: str) -> str:
    """Runs the command with the fault, checks how it ends and what the same command then does.

    Returns what the fault has left: old, new on origin, or new. Fails too if the fault did not happen.
    """
    place = point.project.parent / name
    with ExitStack() as stack:
        needs_disk = fault in ("read-only", "full")
        disk = stack.enter_context(on_a_disk_of_its_own(place)) if needs_disk else place
        command = point.command(moment, STRIKE[fault].format(place=place, disk=disk))
        said, code = command.ended(), command.process.returncode
        subprocess.run(["sh", "-c", HEAL[fault].format(place=place, disk=disk)], check=True)
        assert "Traceback" not in said
        assert code in CODES[name, fault] | {0}, said
        left = point.check()
        assert code or left != "old", said
        soak.note(
            "lost place", command=point.release, place=name, fault=fault, code=code, left=left
        )
    return left


@pytest.mark.parametrize(
    "case",
    [
        ("promote", "origin.git", "gone", "* push *"),
        ("promote", "storage", "full", "* --is-shallow-repository"),
        ("rollback", "storage", "gone", "* commit-tree *"),
        ("push", "origin.git", "full", "* push *"),
        ("push", "storage", "gone", "* cat-file blob *"),
    ],
)
def test_the_same_command_completes_what_a_lost_place_has_stopped(
    prepared: Path, tmp_path: Path, case: tuple[str, str, str, str]
) -> None:
    command, place, fault, moment = case
    point = Point(prepared, tmp_path / "point", command)
    assert strike(point, place, fault, moment) == "old"


@in_a_soak
@pytest.mark.parametrize(("place", "fault"), CODES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_place_that_is_lost_at_any_call_of_git(
    prepared: Path, tmp_path: Path, command: str, place: str, fault: str
) -> None:
    undisturbed = Point(prepared, tmp_path / "undisturbed", command).command()
    undisturbed.ended()
    calls = len(undisturbed.calls.read_text().splitlines())
    for number in range(1, calls + 1, 3 if fault == "gone" else 10):
        folder = tmp_path / str(number)
        strike(Point(prepared, folder, command), place, fault, f"{number} *")
        shutil.rmtree(folder)
