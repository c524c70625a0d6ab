"""Tests the card of a version, and runs each of its commands in a fresh clone."""

import os
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from dvc.cli import main as dvc

from mlops.errors import MlopsError
from mlops.release.history import lockfile, records
from mlops.release.history.git import Git
from mlops.release.history.records import Record
from mlops.release.history.versions import Version
from mlops.release.look import card, card_lines


def lines_of(project: Path, version: str) -> list[str]:
    return [line.strip() for line in card_lines.card_lines(card.card_of(Git(project), version))]


def keep(git: Git, record: Record) -> None:
    """Writes a record as a release does. Its version is new if there is no tag of it."""
    version = Version.from_content(asdict(record))
    for name, message in ((record.name, record.message()), (version.tag, version.message())):
        if not git.commit(f"refs/tags/{name}"):
            git.run("tag", "--annotate", "--file", "-", name, "staging", given=message)


def test_the_card_says_what_the_version_is_and_where_it_was(in_staging: Path) -> None:
    git = Git(in_staging)
    first = records.records_of(git, "staging")[0].record
    accepted = {"incomparable": "other columns", "accepted": "a new survey"}
    second = replace(
        first, number=2, version="v2.0.0", reason="breaks clients", comparison=accepted
    )
    keep(git, second)
    keep(git, replace(first, number=3, kind="rollback", restored="staging/0001"))
    old, new = lines_of(in_staging, "v1.0.0"), lines_of(in_staging, "model@v2.0.0")
    assert "purpose: not stated" in old
    assert lines_of(in_staging, "1.0.0") == lines_of(in_staging, "staging") == old
    assert old[:2] == ["v1.0.0: the first", f"commit {git.run('rev-parse', 'staging')}"]
    assert old[2].startswith("made by A. Tester <tester@example.org>, 2")
    lock = lockfile.read_lock(git, "staging")
    for what in ("models/model.onnx", "data/prepared/train.parquet", "deploy"):
        assert any(line.endswith(f": {lock.required_hash(what)}") for line in old)
    assert {"quality: 0.9", "accuracy: 0.9", "staging/0001: accuracy 0.9 (min 0.7) passed"} < {*old}
    assert "staging/0001: 0.1 ms for one row, 0.1 MB of files, 60.0 MB of memory" in old
    assert new[0] == "v2.0.0: breaks clients"
    assert "staging/0002: released without comparison: a new survey" in new
    stays = [line for line in [*old, *new] if line.startswith("staging: from")]
    assert ["until now" in line for line in stays] == [False, True, False]
    assert [line[line.index("(") :].split(" by ")[0] for line in stays] == [
        "(staging/0001, a promotion",
        "(staging/0003, a rollback",
        "(staging/0002, a promotion",
    ]


def test_every_command_on_the_card_gets_what_it_says(
    in_staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = in_staging.with_name("clone")
    Git(in_staging).run("clone", "--quiet", ".", str(clone))
    monkeypatch.chdir(clone)
    lines = lines_of(in_staging, "v1.0.0")
    for line in lines[lines.index("get it") + 1 :]:
        for command in line.split(" && "):
            perform(shlex.split(command))
        monkeypatch.chdir(clone)
    kept = {"bundle": Path("model-v1.0.0"), "project": clone.with_name("v1.0.0")}
    assert Path("v1.0.0.onnx").read_text() == "quality: 0.9\n"
    assert (kept["bundle"] / "model.onnx").read_text() == "quality: 0.9\n"
    assert Path("raw-v1.0.0").read_text() == "a row\n"
    assert {file.name for file in Path("prepared-v1.0.0").iterdir()} == {
        "test.parquet",
        "train.parquet",
    }
    assert (kept["project"] / "deploy/model.onnx").read_text() == "quality: 0.9\n"


def perform(command: list[str]) -> None:
    match command:
        case ["dvc", *words]:
            assert dvc(words) == 0, command
        case ["cd", place]:
            os.chdir(place)
        case ["git", *words]:
            Git(Path.cwd()).run(*words)
        case _:
            pytest.fail(f"{command} is not tried here")


def test_a_part_that_is_not_as_mlops_writes_it_is_a_fault_of_its_own() -> None:
    for end in ("", "\n", "\r\n\r\ntrain: {}\n"):
        assert card.about_in(f"about:  # why\r\n  limits: none{end}".encode()) == {"limits": "none"}
    assert card.about_in(b"train:\n  about: x\n") == {}
    with pytest.raises(MlopsError, match=r"about is 'a text' instead of texts by name"):
        card.about_in(b"about: a text\n")
    assert card.subgroups_in(b"group,rows,mae\na,40,\n") == [
        {"group": "a", "rows": "40", "mae": ""}
    ]
    for broken in (b"", b"<<<<<<< HEAD\n", b"group,rows\na\n", b"group,rows\na,1,2\n"):
        with pytest.raises(MlopsError, match=r"reports/subgroups.csv can't be read: "):
            card.subgroups_in(broken)


def test_an_unknown_version_is_refused_with_the_known_ones(in_staging: Path) -> None:
    with pytest.raises(MlopsError, match=r"no version 'v2.0.0'; the last are v1.0.0"):
        lines_of(in_staging, "v2.0.0")


def test_before_the_first_version_there_is_none(
    on_dev: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MlopsError, match=r"no version 'v1.0.0'; there is no version yet"):
        lines_of(on_dev, "v1.0.0")
    Git(on_dev).run("tag", "--annotate", "--message", "mine", "model@v1.0.0")
    assert lines_of(on_dev, "v1.0.0")[1].endswith(", which is no release")
    assert "the tag model@v1.0.0 was not written by mlops" in capfd.readouterr().err
