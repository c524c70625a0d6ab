"""Tests `mlops data add` on the project's own table."""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import small_batch
from baking import Run
from machinery import PROJECT
from mlops import params
from mlops.adopt import addition, labelled
from mlops.adopt.addition import Rows, Scores
from mlops.adopt.dialogue import Dialogue
from mlops.batch.monitoring import labels
from mlops.batch.monitoring.labels import LabelsOrder
from mlops.errors import DataError, MlopsError, Refused, UsageError
from mlops.predict.dialect import Dialect
from mlops.prepare import raw
from mlops.release.history.git import Git
from mlops.tables import cells, files


@pytest.fixture
def add(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Adds a file to the table of `project` and returns what was said."""
    for name, value in run.environment.items():
        if name.startswith("GIT_"):
            monkeypatch.setenv(name, value)

    def add(path: Path, scores: Scores | None = None) -> list[str]:
        said: list[str] = []
        person = Dialogue(
            said.append,
            lambda _, default: default,
            lambda _, known: known[0],
            lambda _, default: default,
        )
        addition.add(Git(project), [str(path)], person, scores)
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
    with pytest.raises(Refused, match=r"the table holds 9 such rows already"):
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
        "in the table already: 1 of them",
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
    one = Rows(1, hashes[:1], {name: values[:1] for name, values in later.items()}, kinds)
    assert [*addition.differences(old, one)] == []  # of one row, nothing can be said


def load_labels(released: Path, rows: list[tuple[str, str]]) -> None:
    """Loads labels of the income, which are given with the keys of their rows."""
    Path("truth.csv").write_text(
        "".join(f"{key},{label}\n" for key, label in [("row_key", "income"), *rows])
    )
    url = f"sqlite:///{small_batch.DATABASE}"
    labels.load_labels(LabelsOrder("truth.csv", url, str(released)))


def test_scored_rows_with_a_label_become_training_rows(
    released: Path, arrived: Path, project: Path, add: Callable[..., list[str]]
) -> None:
    scores = Scores(f"sqlite:///{arrived / small_batch.DATABASE}")
    rows = arrived / "rows.csv"
    table = small_batch.table().drop(columns="income")
    table.to_csv(rows, index=False)
    with rows.open("a") as file:
        file.write("a record that is no row\n")
    with pytest.raises(MlopsError, match=r"predictions.db does not exist"):
        add(rows, scores)
    small_batch.run(released, "rows.csv")
    with pytest.raises(DataError, match=r"no label of a row of .*: load labels, `mlops labels F"):
        add(rows, scores)
    keys = small_batch.stored("SELECT row_key FROM scores")
    load_labels(released, [(key, ">50K") for key in keys if key.endswith(":7")])
    other = arrived / "other.csv"
    other.write_text(rows.read_text() + "\n")
    with pytest.raises(DataError, match=r"no scores of .*other.csv for the target 'income'"):
        add(other, scores)
    with pytest.raises(UsageError, match=r"neither sqlite:///FILE nor"):
        add(rows, Scores("redis://host"))
    git = Git(project)
    before = git.run("rev-parse", "HEAD")
    said = add(rows, scores)
    assert re.search(r"batch \w+, scored with v1.0.0 of prod on 20", said[0])
    assert said[1].endswith("rows with a label: 1 of 201; the others are left out")
    assert said[2].endswith("params.yaml does not name are left out: id")
    assert git.lines("diff", "--name-only", before) == ["data/raw.dvc"]
    assert said[0] in git.run("log", "-1", "--format=%B")
    assert git.lines("status", "--porcelain") == []
    (stored,) = (project / "data/raw").glob("labelled-*.parquet")
    (row,) = parquet.read_table(stored).to_pylist()
    assert (row["income"], str(int(row["age"]))) == (">50K", table["age"][6])
    with pytest.raises(Refused, match=r"the table holds 1 such row already"):
        add(rows, scores)
    load_labels(released, [(key, "other") for key in keys[:100]])
    content, hook = stored.read_bytes(), project / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(MlopsError, match="git commit"):
        add(rows, scores)
    assert (stored.read_bytes(), git.lines("status", "--porcelain")) == (content, [])
    hook.unlink()
    assert f"they replace 1 row of {stored.name}, which had a label before" in add(rows, scores)
    prepare = params.load_configuration(project).params.prepare
    (read,) = raw.read_files(prepare, [str(stored)])
    assert read.texts["income"].values.tolist().count("other") == 100
    git.run("revert", "--no-edit", "HEAD")


def test_a_database_that_holds_no_scores_of_the_task_is_named(
    released: Path, arrived: Path, project: Path, add: Callable[..., list[str]]
) -> None:
    scores = Scores(f"sqlite:///{small_batch.DATABASE}")
    Path(small_batch.DATABASE).touch()
    with pytest.raises(
        MlopsError, match=r"no such table: batches; name the database of `mlops score --to`"
    ):
        add(Path("rows.csv"), scores)
    small_batch.run(released)
    keys = small_batch.stored("SELECT row_key FROM scores")
    load_labels(released, [(keys[0], ">50K")])
    with closing(sqlite3.connect(small_batch.DATABASE)) as database:
        database.execute("UPDATE batches SET task = 'regression'")
        database.commit()
        with pytest.raises(DataError, match=r"no scores of .* 'income' of the task binary: name"):
            add(Path("rows.csv"), scores)
        database.execute("UPDATE batches SET task = 'binary'")
        database.commit()
    with pytest.raises(MlopsError, match=r"'nosuch'"):
        add(Path("rows.csv"), Scores(scores.url, "nosuch"))


def test_ignored_columns_of_labelled_rows_are_in_the_order_of_params(tmp_path: Path) -> None:
    path, table = tmp_path / "rows.csv", small_batch.table()
    table.to_csv(path, index=False)
    prepare = params.load_configuration(PROJECT).params.prepare
    ignored = tuple("qwertzuiop")
    columns = prepare.columns.model_copy(update={"ignored": ignored})
    declared = prepare.model_copy(update={"columns": columns})
    found = {str(table["id"][0]): ">50K"}
    rows, *_ = labelled.joined_rows(files.hashed_file(str(path)), found, "id", declared)
    assert tuple(rows.column_names[-len(ignored) :]) == ignored


def test_scored_rows_without_the_column_of_the_split_are_no_training_rows(tmp_path: Path) -> None:
    path, table = tmp_path / "rows.csv", small_batch.table()
    table.to_csv(path, index=False)
    prepare = params.load_configuration(PROJECT).params.prepare
    split = prepare.split.model_copy(update={"by": "group", "column": "person"})
    declared = prepare.model_copy(update={"split": split})
    found = {str(table["id"][0]): ">50K"}
    with pytest.raises(DataError, match=r"no column 'person', by which .* without --labels"):
        labelled.joined_rows(files.hashed_file(str(path)), found, "id", declared)
    table.rename(columns={"id": "person"}).to_csv(path, index=False)
    rows, *_ = labelled.joined_rows(files.hashed_file(str(path)), found, "person", declared)
    assert rows["person"].to_pylist() == [table["id"][0]]


def test_scored_rows_are_found_by_their_keys_whatever_their_file_is_called_now(
    released: Path, arrived: Path, project: Path, add: Callable[..., list[str]]
) -> None:
    scores = Scores(f"sqlite:///{small_batch.DATABASE}")
    small_batch.run(released, key="id")
    rows = (arrived / "rows.csv").rename(arrived / "done.csv")
    table = small_batch.table()
    known = table[table["age"].str.isdigit()][3:5]
    load_labels(released, [*zip(known["id"], (">50K", "other"), strict=True), ("nobody", "other")])
    with pytest.raises(DataError, match=r"keys such as 'person \d': name the column of these keys"):
        add(rows, scores)
    with pytest.raises(DataError, match=r"no value of 'age' is the key of a row with a label"):
        add(rows, Scores(scores.url, "age"))
    assert "2 rows for a table of 32,561" in add(rows, Scores(scores.url, "id"))[3]
    (stored,) = (project / "data/raw").glob("labelled-*.parquet")
    assert parquet.read_table(stored)["age"].to_pylist() == [*map(float, known["age"])]
