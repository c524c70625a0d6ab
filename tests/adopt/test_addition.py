"""Tests `mlops data add` on the project's own table."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from baking import Run
from mlops.adopt import addition
from mlops.adopt.addition import Rows
from mlops.errors import DataError, Refused
from mlops.predict.dialect import Dialect
from mlops.release.history.git import Git
from mlops.tables import cells


@pytest.fixture
def add(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[str]]:
    """Adds a file to the table of `project` and returns what was said."""
    for name, value in run.environment.items():
        if name.startswith("GIT_"):
            monkeypatch.setenv(name, value)

    def add(path: Path) -> list[str]:
        said: list[str] = []
        addition.add(
            Git(project),
            [str(path)],
            said.append,
            lambda _, default: default,
            lambda _, known: known[0],
        )
        return said

    return add


def test_rows_are_added_once_and_what_they_change_is_said(
    project: Path, add: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    header, *rows = (project / "data/raw/adult.csv").read_text().splitlines(keepends=True)
    path = tmp_path / "adult.csv"
    path.write_text(header.replace("age", "years") + "".join(rows[:9]))
    with pytest.raises(DataError, match=r"column 'age': declared in params.yaml"):
        add(path)
    path.write_text("price,city\n1,Ulm\n")
    with pytest.raises(DataError, match=f"`mlops adopt {path} --target COLUMN`"):
        add(path)
    path.write_text(header + "".join(rows[:9]))
    with pytest.raises(Refused, match=r"all 9 rows are in the table already"):
        add(path)
    record = dict(zip(header.strip().split(","), rows[0].strip().split(","), strict=True))
    lines = tmp_path / "adult.jsonl"
    lines.write_text(json.dumps(record) + "\n" + json.dumps({**record, "age": "39,5"}))
    with pytest.raises(DataError, match=r"'age': not a number: '39,5' in row 2 and 0 more"):
        add(lines)
    assert Git(project).lines("status", "--porcelain") == []
    age = header.split(",").index("age")
    older = [row.split(",") for row in rows[:600]]
    for row in older:
        row[age] = str(int(row[age]) + 30)
        row[1] = "Astronaut"
    path.write_text(header + "".join(map(",".join, older)) + rows[0])
    said = add(path)
    assert said[:2] == [
        f"601 rows for a table of 32,561: {path}",
        "1 of them are in the table already",
    ]
    assert any(line.startswith("age: the new rows differ") and "before 37" in line for line in said)
    assert any("1 new categories: 'Astronaut' (600)" in line for line in said)
    assert not any(line.startswith("sex") for line in said)
    assert (project / "data/raw/adult-2.csv").read_bytes() == path.read_bytes()
    git = Git(project)
    assert git.lines("status", "--porcelain") == []
    assert git.lines("diff", "--name-only", "HEAD~1") == ["data/raw.dvc"]


def test_the_middle_of_a_column_is_said_as_a_value_of_it() -> None:
    text = pa.array(["2024-05-01", "2024-05-03", "2024-05-07", ""] * 90)
    dates = cells.date_cells(text, Dialect(missing=("",)), "day")
    numbers = cells.number_cells(pa.array([1.5, None, 2.5, 7.0] * 90), Dialect())
    kinds = {"day": dates, "price": numbers}
    values = {name: column.values for name, column in kinds.items()}
    later = {"day": dates.values + 300, "price": np.full(360, np.nan)}
    hashes = np.zeros(360, np.uint64)
    old, new = Rows(360, hashes, values, kinds), Rows(360, hashes, later, kinds)
    assert [line.rpartition(": ")[2] for line in addition.differences(old, new)] == [
        "median 2025-02-27, before 2024-05-03",
        "median none, as all are missing, before 2.5",
    ]
