"""Tests what `mlops compare` prints for a small project whose releases are real."""

import json
import os
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

import instant_project
import terminal
import tiny_pipeline
from machinery import PROJECT
from mlops.compare.rows_between import count_changes, open_table
from mlops.errors import MlopsError, Refused
from mlops.release.history import revisions
from mlops.release.history.git import Git
from mlops.release.look import comparison, status
from mlops.release.prove import reproduction

LOCK = """\
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:aaaa
onnxruntime==1.32.0 \\
    --hash=sha256:cccc
"""


def compared(
    project: Path, old: str, new: str, may_run: Callable[[str], bool] = lambda question: False
) -> dict[str, list[str]]:
    found = comparison.compare_states(Git(project), old, new, may_run)
    return {section.title: section.lines for section in found}


def test_a_state_differs_from_itself_in_nothing(in_staging: Path) -> None:
    found = compared(in_staging, "v1.0.0", "staging/0001")
    assert list(found) == [
        "code", "libraries", "data", "parameters", "environment", "metrics", "predictions",
    ]  # fmt: skip
    assert {line for lines in found.values() for line in lines} == {"no difference"}


def test_environments_differ_by_name_and_settings(in_staging: Path) -> None:
    found = compared(in_staging, "dev", "staging")
    assert found["environment"] == [
        "data: 0.3 -> 1",
        "environment: dev -> staging",
        "gate: 0.1 -> 0.7",
    ]
    assert found["code"] == found["metrics"] == found["predictions"] == ["no difference"]


def test_each_change_stands_under_its_heading_and_what_can_not_be_compared_is_said(
    in_staging: Path,
) -> None:
    for name in ("serve", "train"):
        (in_staging / f"requirements/{name}.txt").write_text(LOCK)
    other_task = instant_project.GATE.replace('"false_positive_percent": 100', '"mae": 100')
    (in_staging / "gate.py").write_text(other_task)
    (in_staging / "data/raw").write_text("a row that was seen in training\n")
    instant_project.set_quality(in_staging, 0.95)
    found = compared(in_staging, "v1.0.0", "dev")
    assert found["code"][0] == "gate.py: +1 -1"
    assert found["libraries"] == [
        "numpy (python_full_version < '3.12'): none -> 2.4.6 (serve, train)",
        "onnxruntime: none -> 1.32.0 (serve, train)",
    ]
    assert found["data"][0].startswith("can't be compared: ")
    assert found["parameters"] == ["quality: 0.9 -> 0.95"]
    assert found["metrics"][0] == "test.accuracy: 0.9 -> 0.95 (+0.05)"
    assert re.fullmatch(
        r"test\.false_positive_percent: (9\.99|10\.0)\d* -> none", found["metrics"][1]
    )
    assert re.fullmatch(r"test\.mae: none -> (4\.99|5\.0)\d*", found["metrics"][2])
    assert found["metrics"][-1] == "measured on different test rows"
    assert found["predictions"] == [
        "can't be compared: Incomparable: the champion was trained on 1 of the 1 test rows"
    ]
    tiny_pipeline.run(in_staging.parent, "rm", "-rf", "project/.dvc/cache", "storage/files")
    lost = compared(in_staging, "v1.0.0", "dev")
    for section in ("data", "predictions"):
        assert "neither whole in the cache nor in the DVC remote" in lost[section][0]
    assert lost["metrics"] == found["metrics"]


def test_the_code_of_a_foreign_commit_is_run_only_if_somebody_allows_it(in_staging: Path) -> None:
    git = Git(in_staging)
    git.run("switch", "--quiet", "--create", "feature")
    ran = in_staging.with_name("ran")
    answers = in_staging / "mlops/compare/answer_rows.py"
    answers.write_text(f"import pathlib; pathlib.Path({str(ran)!r}).touch()\n{answers.read_text()}")
    instant_project.set_quality(in_staging, 0.95)
    commit = git.run("rev-parse", "--short", "feature")
    found = compared(in_staging, "v1.0.0", "feature")
    assert found["predictions"] == [
        f"can't be compared: no environment's branch holds feature ({commit}, by A. Tester), and this would "
        "run its code: `mlops compare v1.0.0 feature --run`"
    ]
    assert found["metrics"][0] == "test.accuracy: 0.9 -> 0.95 (+0.05)"
    with pytest.raises(Refused, match="would run its code: `mlops reproduce feature --run`"):
        reproduction.reproduce_commit(git, "feature", print)
    assert not ran.exists()
    asked: list[str] = []

    def agree(question: str) -> bool:
        asked.append(question)
        return True

    compared(in_staging, "v1.0.0", "feature", agree)
    assert asked == [
        f"No environment's branch holds feature ({commit}, by A. Tester). Run its code on this machine?"
    ]
    assert ran.exists()
    git.run("switch", "--quiet", "dev")
    git.run("update-ref", "refs/remotes/origin/dev", commit)
    assert revisions.is_held(git, commit)
    pressed = (
        "import sys; from mlops.cli import printing; sys.exit(printing.ask('Run \\x1b[2J it?'))"
    )
    for answer, code in {"y\n": 1, "n\n": 0}.items():
        command = [sys.executable, "-c", pressed]
        variables = {**os.environ, "PYTHONPATH": str(PROJECT)}
        ended, shown = terminal.converse(command, in_staging.parent, variables, [answer])
        assert ended == code
        assert r"Run \x1b[2J it? [y/N]" in shown


def test_bytes_that_are_no_text_hold_up_neither_compare_nor_promote(in_staging: Path) -> None:
    git = Git(in_staging)
    for name in (b"r\xe9sum\xe9.txt", b"science/\xe9t\xe9.py", b"environments/\xe9.yaml"):
        Path(os.fsdecode(bytes(in_staging) + b"/" + name)).write_bytes(b"caf\xe9\n")
    (in_staging / "requirements/serve.txt").write_bytes(b"# caf\xe9\nnumpy==2.4.6 \\\n")
    git.run("config", "core.quotePath", "false")
    git.run("add", "--all")
    (in_staging / "message").write_bytes(b"Caf\xe9\n")
    git.run("commit", "--quiet", "--file", "message")
    (in_staging / "message").unlink()
    instant_project.set_quality(in_staging, 0.95)
    found = compared(in_staging, "v1.0.0", "dev")
    assert found["libraries"] == ["numpy: none -> 2.4.6 (serve)"]
    found.pop("predictions")  # this project has no arrays to compare
    assert not [lines for lines in found.values() if "can't be compared" in lines[0]]
    assert instant_project.promote(in_staging, "staging")
    assert status.status_of(git, "staging").version == "v1.1.0"


def test_what_can_not_be_read_costs_its_own_sections(in_staging: Path) -> None:
    git = Git(in_staging)
    for file, content, expected in (
        ("reports/metrics.json", "{", ["metrics"]),
        ("data/raw.dvc", "outs: [{md5: 5}]", ["data"]),
        ("data/raw.dvc", "outs: 5", ["data"]),
        ("dvc.lock", "stages: [5]", ["data", "metrics", "predictions"]),
        ("params.yaml", "\t: [", ["parameters"]),
        ("environments/dev.yaml", "- 1", ["environment"]),
    ):
        (in_staging / file).write_text(content)
        git.run("commit", "--quiet", "--all", "--message", "Break")
        found = compared(in_staging, "dev~1", "dev")
        broken = [title for title, lines in found.items() if "can't be compared: " in lines[0]]
        assert broken == expected, (file, found)
        assert all(file in found[title][0] for title in broken)
        git.run("reset", "--quiet", "--hard", "HEAD~1")


def test_an_unknown_name_is_refused(in_staging: Path) -> None:
    with pytest.raises(MlopsError, match=r"there is no version 'v9.9.9'; the last are v1.0.0"):
        compared(in_staging, "v1.0.0", "v9.9.9")


def test_rows_are_counted_whatever_their_order_and_however_often_they_stand_there(
    tmp_path: Path,
) -> None:
    folder = "data/raw"
    for name, content in {
        f"old/{folder}/one.csv": "age;gone\n1;a\n2;b\n2;c\n3;d\n",
        f"new/{folder}/1.csv": "new;age\na; 4\nb;3\n",
        f"new/{folder}/2.TXT": "new;age\nc;2\nd;5\n",
        f"new/{folder}/notes.md": "no table",
        "old/params.yaml": "prepare: {source: {delimiter: ;}}",
        "new/params.yaml": "prepare: of an older template",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    old, new = (open_table(tmp_path / name, Path(folder)) for name in ("old", "new"))
    found = count_changes(old, new)
    assert found == {
        "rows": [4, 4],
        "added": 2,
        "removed": 2,
        "columns_added": ["new"],
        "columns_removed": ["gone"],
    }
    told = comparison.rows_sentence(json.loads(json.dumps(found)))
    assert told == "4 rows -> 4: 2 added, 2 removed; columns added: new; columns removed: gone"


def test_rows_of_parquet_are_compared_whatever_the_types_of_their_columns(tmp_path: Path) -> None:
    columns = {
        "price": [1.5, None, 3.0],
        "called": [datetime(2024, 5, 1, hour) for hour in range(3)],
        "active": [True, None, False],
        "tags": [["a"], [], None],
    }
    for name, first in (("old", 1.5), ("new", 1.25)):
        (tmp_path / name / "raw").mkdir(parents=True)
        table = pa.table({**columns, "price": [first, None, 3.0]})
        parquet.write_table(table, tmp_path / name / "raw/table.parquet")
    old, new = (open_table(tmp_path / name, Path("raw")) for name in ("old", "new"))
    found = count_changes(old, new)
    assert (found["rows"], found["added"], found["removed"]) == ([3, 3], 1, 1)
