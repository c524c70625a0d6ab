"""Tests what is found of the columns of a table, and what is proposed for it."""

import tracemalloc
from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from mlops.adopt import columns, proposal, spelling
from mlops.adopt.originals import table_of_columns
from mlops.adopt.proposal import Proposal
from mlops.errors import DataError
from mlops.predict.dialect import Dialect

ROWS = 200
RANDOM = np.random.default_rng(5)
NOISE = RANDOM.normal(size=ROWS).round(3)
TARGET = ["yes" if value > 0.5 else "no" for value in RANDOM.normal(size=ROWS)]


def proposed(target: Iterable[object] = TARGET, **cells: Iterable[object]) -> Proposal:
    """Returns the proposal for a table of the given columns and one without a meaning."""
    given = {"noise": NOISE, **cells, "target": target}
    table = table_of_columns({name: [*map(str, values)] for name, values in given.items()})
    found = columns.find_columns(table, spelling.find_spelling(table.words, Dialect()), "target")
    aim = proposal.find_target(table, found.spelling, "target", None)
    return proposal.propose("table", aim, found, table.rows)


def kind_and_remark(cells: Iterable[object]) -> tuple[str, str]:
    (column,) = (each for each in proposed(column=cells).columns if each.name == "column")
    return column.kind, column.remark


def some(words: Sequence[object]) -> list[object]:
    return [words[int(place)] for place in RANDOM.integers(len(words), size=ROWS)]


@pytest.mark.parametrize(
    ("cells", "kind", "words"),
    [
        (range(1, ROWS + 1), "ignored", "row counter"),
        ([3 * n for n in range(ROWS)], "ignored", "in ascending order"),
        (["x"] * ROWS, "ignored", "always x"),
        ([""] * ROWS, "ignored", "empty in every row"),
        ([f"c{n}" for n in range(ROWS)], "ignored", "an identifier"),
        (NOISE, "ignored", "a copy of noise"),
        ([f"this is text number {n} of many" for n in range(ROWS)], "ignored", "free text"),
        (some([f"w{n}" for n in range(150)]), "ignored", "hardly any is frequent enough"),
        (some(["2024-05-01 10:00", "2024-05-01 11:30"]), "date", "the model is given the hour too"),
        (["2024-05-01", "24.12.2024"] * 100, "ignored", "dates in more than one form"),
        ([f"<{n}" if n % 5 else f"{n}.7" for n in range(ROWS)], "ignored", "identifier"),
        (
            [f"{n}.7" if n % 5 else f"<{n}" for n in range(ROWS)],
            "ignored",
            "beside texts such as <",
        ),
        (["short", "long" * 300] * 100, "ignored", "free text"),
        (some(["Sep-63", "Oct-64", "Jan-70"]), "ignored", "they lack a year, a month"),
        (some(["male", "Male", "f"]), "category", "spellings that may mean the same"),
        (some(["007", "012"]), "category", "whose zeros a number would lose"),
        (some(range(50)), "integer", ""),
        (some([1.5, 2, 3]), "number", ""),
        (some([1e39, 2.5, 3]), "ignored", "numbers over 3.4e+38, the largest that a model takes"),
        (some([20_000_001, 30_000_000]), "number", "round to seven digits"),
        (some(["$1,000.50", "$2.00"]), "number", "without $"),
        (some(["a", "b"]), "category", ""),
        (some(["yes", "no"]), "boolean", ""),
        (some(["2024-05-01", "2023-12-24"]), "date", ""),
    ],
)
def test_a_column_gets_its_type_or_is_left_out_with_the_reason(
    cells: Iterable[object], kind: str, words: str
) -> None:
    found, remark = kind_and_remark(cells)
    assert found == kind
    assert words in remark


def test_days_of_excel_are_said_by_the_name_of_their_column() -> None:
    column = proposed(born=[44_000, 44_001] * 100, date=[45_000, 45_001] * 100).columns[-1]
    assert (column.name, column.kind) == ("date", "integer")
    assert "perhaps dates as Excel counts days: 4500" in column.remark
    assert "is 2023-03-1" in column.remark


def test_unique_whole_numbers_without_order_are_asked_about() -> None:
    found = proposed(amount=RANDOM.permutation(ROWS) * 7)
    (column,) = (each for each in found.columns if each.name == "amount")
    assert column.kind == "integer"
    assert "is it an identifier?" in column.doubt


def test_numbers_of_nines_far_from_all_others_mean_missing() -> None:
    found = proposed(a=some([*range(10, 90), *[-999] * 9]), b=some([*range(10, 90)]))
    assert found.findings.spelling.dialect.missing == ("", "-999")
    assert proposed(a=some([*range(-90, 90), -99])).findings.spelling.dialect.missing == ("",)


def test_zeros_among_numbers_far_from_zero_are_said() -> None:
    found = proposed(pressure=some([*range(60, 120), 0, 0, 0]))
    assert "0 may mean missing in 'pressure'" in found.remarks[0]


@pytest.mark.parametrize(
    ("target", "task", "positive"),
    [
        (["a", "b", "b"] * 60, "binary", "a"),
        (["0", "1", "1"] * 60, "binary", "1"),
        (["Yes", "No", "Yes"] * 60, "binary", "Yes"),
        (["a", "b", "c"] * 60, "multiclass", None),
        (["0", "1", "2"] * 60, "multiclass", None),
        ([*range(30, 90)] * 3, "regression", None),
        ([f"{n}.5" for n in range(180)], "regression", None),
    ],
)
def test_the_task_follows_from_the_target(
    target: list[object], task: str, positive: str | None
) -> None:
    found = proposed([*target, *target[:20]]).target
    assert (found.task, found.positive) == (task, positive)


def test_classes_that_differ_in_case_alone_are_said() -> None:
    found = proposed((["Yes", "yes ", "No", ">5", "<=5"] * ROWS)[:ROWS])
    said = [remark for remark in found.remarks if "may be the same" in remark]
    assert said == ["classes that may be the same: 'Yes', 'yes': write them in one way in the file"]


def test_a_target_of_too_few_rows_a_class_is_refused_or_loses_them() -> None:
    with pytest.raises(DataError, match="200 different texts in 200 rows"):
        proposed([f"w{n}" for n in range(ROWS)])
    table = table_of_columns({"a": ["1", "2"] * 50, "t": ["x", "y"] * 49 + ["z", "z"]})
    found = spelling.find_spelling(table.words, Dialect())
    aim = proposal.find_target(table, found, "t", None)
    rare = proposal.without_rare_classes(found, table, aim)
    assert rare.dialect.missing == ("", "z")
    assert proposal.find_target(table, rare, "t", None).missing == 2


def test_leaks_are_named_and_strong_columns_are_not() -> None:
    numbers = RANDOM.normal(10, 3, ROWS)
    fare, extra = RANDOM.normal(20, 5, (2, ROWS)).round(2)
    assert proposed(alive=["1" if t == "yes" else "0" for t in TARGET]).leaks[0].columns == (
        "alive",
    )
    assert proposed(numbers.round(4), double=(2 * numbers + 1).round(3)).leaks[0].columns == (
        "double",
    )
    (leak,) = proposed((fare - extra).round(2), fare=fare, extra=extra).leaks
    assert leak.words == "the target is fare - extra"
    outlier = np.array([*numbers[:-1], 1e4])
    (leak,) = proposed(outlier, double=2 * outlier + 3000).leaks
    assert leak.words == "the target is 0.5 * double - 1500"
    strong = numbers + RANDOM.normal(0, 2, ROWS)
    assert proposed(numbers.round(4), strong=strong.round(4)).leaks == []


def test_one_long_text_costs_no_memory_for_the_others() -> None:
    table = table_of_columns({"a": [*map(str, range(4_000)), "long" * 2_500]})
    tracemalloc.start()
    try:
        assert len(table.words["a"]) == 4_001
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_people_and_time_decide_about_the_split() -> None:
    day = [f"2024-{1 + n // 28:02d}-{1 + n % 28:02d}" for n in range(ROWS)]
    hour = [f"2024-05-{1 + n // 24:02d} {n % 24:02d}:00" for n in range(ROWS)]
    assert proposed(patient_id=[n // 4 for n in range(ROWS)]).split.column == "patient_id"
    partial = proposed(patient_id=["", *(n // 4 for n in range(1, ROWS))])
    assert (partial.split.by, "'patient_id' may tell" in partial.remarks[0]) == ("row", True)
    assert (proposed(day=day).split.by, proposed(day=day).split.column) == ("time", "day")
    assert proposed(at=hour).split.column == "at"
    assert proposed(day=RANDOM.permutation(day)).split.by == "row"
    assert proposed(["rare"] * 12 + ["usual"] * (ROWS - 12)).split.by == "class"
    answers = ["yes", "no"] * (ROWS // 2)
    few: dict[str, list[object]] = {"noise": [n % 40 for n in range(ROWS)], "a": ["x"] * ROWS}
    assert (proposed(answers).split.by, proposed(answers, **few).split.by) == ("row", "class")


def kinds(found: Proposal) -> dict[str, str]:
    return {column.name: column.kind for column in found.columns}


def test_the_column_of_a_split_is_no_input_unless_it_is_the_only_one() -> None:
    people: dict[str, Iterable[object]] = {
        "patient_id": [n // 4 for n in range(ROWS)],
        "surname": [f"name {n // 4}" for n in range(ROWS)],
        "visit_id": [n // 2 for n in range(ROWS)],
        "city": some(["Ulm", "Bonn", ""]),
        "weight": [60 + n // 4 for n in range(ROWS)],
    }
    found = proposed(**people)
    assert found.split.column == "patient_id"
    assert kinds(found) == {
        **dict.fromkeys(["patient_id", "surname", "visit_id"], "ignored"),
        "noise": "number",
        "city": "category",
        "weight": "integer",
    }
    remarks = {column.name: column.remark for column in found.columns}
    assert remarks["patient_id"] == (
        "rows are split by it, and new ones have values that no model has seen; under `integer` the model "
        "is given it"
    )
    assert remarks["visit_id"].startswith("each of its values is of one patient_id, by which rows")
    day = [f"2024-{1 + n // 28:02d}-{1 + n % 28:02d}" for n in range(ROWS)]
    found = proposed(day=day)
    assert (found.split.column, kinds(found)["day"]) == ("day", "ignored")
    assert "later values than any" in found.columns[-1].remark
    assert kinds(proposed(day=day, noise=["x"] * ROWS)) == {"noise": "ignored", "day": "date"}


def test_a_time_with_which_the_target_changes_stays_an_input() -> None:
    order = RANDOM.permutation(ROWS)
    target = (order + RANDOM.normal(0, 9, ROWS)).round(2)
    for times in (1800 + order, 1800 + np.arange(ROWS)):
        found = proposed(target if times[0] == 1800 + order[0] else np.sort(target), year=times)
        (year,) = (column for column in found.columns if column.name == "year")
        assert (found.split.column, year.kind) == ("year", "integer")
        assert year.remark.endswith("given it all the same, since the target changes with it")
    assert kinds(proposed(year=1800 + np.arange(ROWS)))["year"] == "ignored"


def test_bounds_refuse_what_is_worse_than_a_guess() -> None:
    gate = proposed(["a"] * 150 + ["b"] * 50).gate
    half = 1.96 * (0.75 * 0.25 / 40) ** 0.5
    assert -0.01 < gate.bounds["accuracy"]["above_baseline"] + half <= 0
    assert gate.bounds["roc_auc"]["min"] < 0.5
    assert gate.min_rows == 5
    numbers = RANDOM.normal(1e9, 1, ROWS)
    assert -0.3 < proposed(numbers).gate.bounds["mae"]["below_baseline"] < -0.1
