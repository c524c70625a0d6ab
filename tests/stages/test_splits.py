"""Tests the splits by class, group and time; those by row are tested with the stage prepare."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import raw_table
import small_project
from mlops import params
from mlops.errors import DataError, ParameterError
from mlops.predict import schema
from mlops.prepare import prepare, split_rules
from mlops.tables import csv_source, splits
from mlops.tables.errors import SourceError
from small_project import TABLE, change

SPLIT = {"by": "row", "column": None, "validation": 0.2, "test": 0.2, "seed": 1}
PERSON = "person"
"""A column of the table that is declared in prepare.split alone."""


def split_by(by: str, column: str | None = None, **others: object) -> None:
    change("params.yaml", "prepare.split", {**SPLIT, "by": by, "column": column, **others})


def table_with(values: Any) -> pd.DataFrame:
    """Writes the small table with a further column as the raw table."""
    table = small_project.table()
    table[PERSON] = values
    table.to_csv(TABLE, index=False)
    return table


def split_of_rows() -> pd.Series:
    return raw_table.split_of_rows(params.load_configuration().params.prepare)


def prepared(environment: str) -> dict[str, pd.DataFrame]:
    change("branch.yaml", "environment", environment)
    prepare.main()
    return {name: pd.read_parquet(splits.split_file(name)) for name in splits.NAMES}


def refusal(by: str, values: object) -> str:
    table_with(values)
    split_by(by, PERSON)
    with pytest.raises(DataError) as refused:
        prepare.main()
    assert not Path("data/prepared").exists()
    return str(refused.value)


PEOPLE = np.arange(small_project.ROWS) // 4
DAYS = pd.date_range("2024-01-01", periods=small_project.ROWS, freq="6h")


@pytest.mark.parametrize(
    ("by", "column", "message"),
    [
        ("group", None, "prepare.split: column: a split by group needs the name of a column"),
        ("time", "", "prepare.split: column: a split by time needs the name of a column"),
        ("row", PERSON, "column: 'person' has no meaning for a split by row: set it to null"),
        ("group", "income", "split.column: 'income' is the target"),
        ("time", "workclass", "split.column: 'workclass' holds categories or booleans and no time"),
    ],
)
def test_a_split_that_fits_no_column_is_refused_before_anything_runs(
    untrained: Path, by: str, column: str | None, message: str
) -> None:
    split_by(by, column)
    with pytest.raises(ParameterError) as refused:
        prepare.main()
    assert message in str(refused.value)


def test_numbers_have_no_classes_to_split_by(untrained: Path) -> None:
    change("params.yaml", "prepare.task", "regression")
    change("params.yaml", "prepare.positive", None)
    split_by("class")
    with pytest.raises(ParameterError, match=r"split\.by: a number has no classes: split by row"):
        prepare.main()


@pytest.mark.parametrize(
    ("by", "values", "message"),
    [
        (
            "group",
            "one",
            "column 'person', by which rows are split (prepare.split), has 1 different value, and 3 are",
        ),
        (
            "group",
            [*"ab" * 300],
            "has 2 different values, and 3 are needed, one for each split: name",
        ),
        ("group", range(small_project.ROWS), "is different in every row, so that no rows belong"),
        ("group", ["", *PEOPLE[1:]], "column 'person': missing, and rows are split by it"),
        ("time", ["", *DAYS[1:]], "column 'person': missing, and rows are split by it"),
        ("time", [*DAYS[1:], "May"], "column 'person': no time, by which rows are split"),
        ("time", [*DAYS[1:], "2024-02-30"], "such as 2024-12-24 18:30, nor in a column of numbers"),
        ("time", [*DAYS[1:], "7"], "line 601 ('7')"),
        ("time", [*DAYS[1:], "9999-12-31T23:59-05:00"], "no time, by which rows are split"),
        ("time", ["0000-01-01", *DAYS[1:].strftime("%Y-%m-%d")], "line 2 ('0000-01-01"),
        ("time", ["1e400", *range(1, small_project.ROWS)], "no time, by which rows are split"),
        ("time", "2024-05-01", "has 1 different time, and 3 are needed, one for each split"),
    ],
)
def test_a_column_by_which_no_rows_can_be_split_is_refused(
    untrained: Path, by: str, values: object, message: str
) -> None:
    assert message in refusal(by, values)


def test_dates_in_one_file_and_numbers_in_another_have_no_order(untrained: Path) -> None:
    table_with(range(small_project.ROWS)).to_csv("data/raw/later.csv", index=False)
    assert "holds dates in one place and numbers in another" in refusal("time", DAYS)


def test_a_person_is_in_one_split_and_in_the_slice_or_not(untrained: Path) -> None:
    table = table_with(PEOPLE)
    split_by("group", PERSON)
    names = split_of_rows()
    assert names.groupby(table[PERSON]).nunique().max() == 1
    assert {*names} == {*splits.NAMES}
    small, whole = prepared("dev"), prepared("staging")
    for name in splits.NAMES:
        by_person = whole[name][PERSON].value_counts()
        seen = small[name][PERSON].value_counts()
        assert 0 < len(seen) < len(by_person)
        assert seen.equals(by_person[seen.index].rename("count"))
    assert PERSON not in [column.name for column in schema.read_schema(splits.SCHEMA).columns]

    typed = raw_table.read_table(params.load_configuration().params.prepare)
    table[:300].to_csv(TABLE, index=False)
    assert split_of_rows().tolist() == names[:300].tolist()
    typed.assign(**{PERSON: PEOPLE}).to_parquet(TABLE.with_suffix(".parquet"))
    TABLE.unlink()
    change("params.yaml", "prepare.columns.ignored", [PERSON])
    assert split_of_rows().tolist() == names.tolist()


def test_an_input_may_be_the_group(untrained: Path) -> None:
    name = params.load_configuration().params.prepare.columns.category[0]
    table = small_project.table()
    table[name] = [f"place {number}" for number in PEOPLE]
    table.to_csv(TABLE, index=False)
    split_by("group", name)
    assert split_of_rows().groupby(table[name]).nunique().max() == 1


FORMS: list[Callable[[pd.DatetimeIndex], object]] = [
    lambda times: times,
    lambda times: times.strftime("%Y-%m-%dT%H:%M:%SZ"),
    lambda times: times.year * 10000 + times.day_of_year,
    lambda times: times.strftime("%Y-%m-%d %H:%M:%S.%f+01:00"),
]


@pytest.mark.parametrize("form", FORMS)
def test_the_newest_rows_are_the_test_rows(
    untrained: Path, capsys: pytest.CaptureFixture[str], form: Callable[[pd.DatetimeIndex], object]
) -> None:
    order = np.random.default_rng(3).permutation(small_project.ROWS)
    table_with(np.asarray(form(DAYS))[order])
    split_by("time", PERSON)
    names = split_of_rows()
    by_time = names.groupby(order // 4).agg(lambda each: [*each])
    assert [*by_time[:90].explode().unique()] == ["train"]
    assert [*by_time[90:120].explode().unique()] == ["validation"]
    assert [*by_time[120:].explode().unique()] == ["test"]
    assert "prepare: test rows are those with person from 20" in capsys.readouterr().out


def test_rows_of_one_time_stay_together_and_dev_sees_a_part_of_each_time(
    untrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    months = pd.Series(DAYS).dt.strftime("%Y-%m-01")
    table_with(months)
    split_by("time", PERSON)
    names = split_of_rows()
    assert names.groupby(months).nunique().max() == 1
    assert names[months == "2024-05-01"].unique().tolist() == ["test"]
    printed = capsys.readouterr().out
    assert (
        "prepare: test rows are those with person from 2024-05-01 00:00:00 on; rows at this time, which "
        "stay together: 116" in printed
    )
    small, whole = prepared("dev"), prepared("staging")
    for name in splits.NAMES:
        assert {*small[name][PERSON]} == {*whole[name][PERSON]}
        assert len(small[name]) < len(whole[name])
    assert "declared 20.0%" in capsys.readouterr().out


def test_a_piece_of_blank_lines_holds_neither_dates_nor_numbers(
    untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table_with(DAYS.strftime("%d.%m.%Y"))
    change("params.yaml", "prepare.source.dates", "%d.%m.%Y")
    split_by("time", PERSON)
    prepare.main()
    before = [splits.split_file(name).read_bytes() for name in splits.NAMES]
    with TABLE.open("a") as file:
        file.write("\n" * 2000)
    monkeypatch.setattr(csv_source, "PIECE", 700)
    prepare.main()
    assert [splits.split_file(name).read_bytes() for name in splits.NAMES] == before


def test_a_date_that_the_model_is_given_may_be_the_time(untrained: Path) -> None:
    table = table_with(DAYS.strftime("%d.%m.%Y"))
    change("params.yaml", "prepare.source.dates", "%d.%m.%Y")
    change("params.yaml", "prepare.columns.date", [PERSON])
    split_by("time", PERSON)
    newest = split_of_rows()[len(table) - 100 :]
    assert newest.unique().tolist() == ["test"]


def with_rare_class(rows: int) -> pd.DataFrame:
    table = small_project.table()
    target = params.load_configuration().params.prepare.target
    positive = table[target] != "other"
    table = pd.concat([table[~positive], table[positive].head(rows)]).sort_index()
    table.to_csv(TABLE, index=False)
    return table


def test_a_rare_class_is_in_every_split(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = with_rare_class(5)
    target = params.load_configuration().params.prepare.target
    by_row = split_of_rows()
    split_by("class")
    rare = (table[target] != "other").to_numpy()
    assert split_of_rows()[rare].value_counts().to_dict() == {
        "train": 3,
        "validation": 1,
        "test": 1,
    }
    others = split_of_rows()[~rare].value_counts(normalize=True)
    assert others["test"] == pytest.approx(0.2, abs=0.002)
    monkeypatch.setattr(split_rules, "RARE", 100)
    assert split_of_rows()[~rare].equals(by_row[~rare])


def test_too_few_rows_of_a_class_are_counted(untrained: Path) -> None:
    with_rare_class(2)
    change("branch.yaml", "environment", "staging")
    with pytest.raises(DataError, match="about 15 rows of a class in the table are needed"):
        prepare.main()
    split_by("class")
    with pytest.raises(DataError, match=r"has 2 different rows of the class .*, and 3 are needed"):
        prepare.main()


def test_a_parquet_file_may_hold_times_and_numbers(untrained: Path) -> None:
    table = raw_table.read_table(params.load_configuration().params.prepare)
    change("params.yaml", "prepare.columns.ignored", [])
    TABLE.unlink()
    found = []
    for times in (DAYS, DAYS.tz_localize("UTC"), DAYS.astype("int64") / 1e9, DAYS.astype(str)):
        table.assign(**{PERSON: times}).to_parquet(TABLE.with_suffix(".parquet"))
        split_by("time", PERSON)
        found.append(split_of_rows().tolist())
    assert found[0] == found[1] == found[2] == found[3]
    table[PERSON] = pd.Series([DAYS[0].time()] * len(table))
    table.to_parquet(TABLE.with_suffix(".parquet"))
    with pytest.raises(SourceError, match="should hold dates, times or numbers"):
        split_of_rows()
