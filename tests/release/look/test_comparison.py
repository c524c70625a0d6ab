"""Tests what `mlops compare` prints for a small project whose releases are real."""

import json
from pathlib import Path

import pandas as pd
import pytest

import instant_project
import tiny_pipeline
from mlops.compare.rows_between import count_changes
from mlops.errors import MlopsError
from mlops.release.history.git import Git
from mlops.release.look import comparison

LOCK = """\
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:aaaa
onnxruntime==1.32.0 \\
    --hash=sha256:cccc
"""


def compared(project: Path, old: str, new: str) -> dict[str, list[str]]:
    found = comparison.compare_states(Git(project), old, new)
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
    (in_staging / "gate.py").write_text(instant_project.GATE + "# mended\n")
    (in_staging / "data/raw").write_text("a row that was seen in training\n")
    instant_project.set_quality(in_staging, 0.95)
    found = compared(in_staging, "v1.0.0", "dev")
    assert found["code"][0].split() == ["gate.py", "|", "1", "+"]
    assert found["libraries"] == [
        "numpy (python_full_version < '3.12'): none -> 2.4.6 (serve, train)",
        "onnxruntime: none -> 1.32.0 (serve, train)",
    ]
    assert found["data"][0].startswith("can't be compared: ")
    assert found["parameters"] == ["quality: 0.9 -> 0.95"]
    assert found["metrics"][0] == "test.accuracy: 0.9 -> 0.95 (+0.05)"
    assert found["metrics"][-1] == "measured on different test rows"
    assert found["predictions"] == [
        "can't be compared: Incomparable: the champion was trained on 1 of the 1 test rows"
    ]
    tiny_pipeline.run(in_staging.parent, "rm", "-rf", "project/.dvc/cache", "storage/files")
    lost = compared(in_staging, "v1.0.0", "dev")
    for section in ("data", "predictions"):
        assert "neither in the cache nor in the remote" in lost[section][0]
    assert lost["metrics"] == found["metrics"]


def test_an_unknown_name_is_refused(in_staging: Path) -> None:
    with pytest.raises(MlopsError, match=r"there is no version 'v9.9.9'; the last are v1.0.0"):
        compared(in_staging, "v1.0.0", "v9.9.9")


def test_rows_are_counted_whatever_their_order_and_however_often_they_stand_there() -> None:
    old = pd.DataFrame({"age": [1, 2, 2, 3], "gone": list("abcd")})
    new = pd.DataFrame({"new": list("abcd"), "age": [4, 3, 2, 5]})
    assert count_changes(old, new) == {
        "rows": [4, 4],
        "added": 2,
        "removed": 2,
        "columns_added": ["new"],
        "columns_removed": ["gone"],
    }
    told = comparison.rows_sentence(json.loads(json.dumps(count_changes(old, new))))
    assert told == "4 rows -> 4: 2 added, 2 removed; columns added: new; columns removed: gone"
