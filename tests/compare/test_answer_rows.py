"""Tests mlops.compare.answer_rows on real bundles and rows: what it writes, and the rows that it refuses."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from msgspec.structs import replace
from pyarrow import parquet

from contenders import answer_test_rows, metrics_of
from mlops.compare import answer_rows
from mlops.errors import Incomparable
from mlops.predict import predictor, schema
from mlops.predict.errors import Unanswered
from mlops.predict.schema import Column, Schema
from mlops.predict.task import Predictions
from mlops.tables import splits

NAN = math.nan
TABLE = Schema(
    "d",
    "y",
    ("no", "yes"),
    (Column("x", "number", 1.0, True), Column("c", "category", "a", True, categories=("a",))),
)
ROWS = {"x": [1.0, 2.0], "c": ["a", ""], "y": ["no", "yes"]}


def check_rows(**columns: object) -> None:
    answer_rows.check_columns(pa.table({**ROWS, **columns}), TABLE)


def test_rows_that_fit_the_champion_are_accepted() -> None:
    check_rows()
    check_rows(x=[1, 2], further=[0, 0])


@pytest.mark.parametrize("name", ["x", "c"])
def test_a_column_that_the_rows_lack_is_named(name: str) -> None:
    rows = pa.table({other: values for other, values in ROWS.items() if other != name})
    with pytest.raises(Incomparable, match=f"^the test rows lack {name}, which the champion needs"):
        answer_rows.check_columns(rows, TABLE)


def test_another_question_is_named() -> None:
    rows = pa.table({**ROWS, "z": ROWS["y"]})
    for schema_of_champion, words in (
        (replace(TABLE, target="w"), "the champion predicts w, which the test rows lack"),
        (replace(TABLE, target="x"), "predicts classes of x, and the test rows hold numbers"),
        (
            replace(TABLE, task="regression", classes=()),
            "predicts numbers of y, and the test rows hold classes",
        ),
    ):
        with pytest.raises(Incomparable, match=words):
            answer_rows.check_columns(rows, schema_of_champion)


@pytest.mark.parametrize(("name", "values"), [("x", ["1", "2"]), ("c", [1, 2]), ("c", [1.5, 2.0])])
def test_a_column_of_another_type_is_named(name: str, values: list[object]) -> None:
    with pytest.raises(Incomparable, match=f"^the test rows hold {name} in another type"):
        check_rows(**{name: values})


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (["no", "no"], "but the 2 test rows are of no"),
        (["yes", "maybe"], "but the 2 test rows are of maybe and yes"),
        (["no", "never"], "but the 2 test rows are of never and no"),
    ],
)
def test_other_classes_are_named(classes: list[str], words: str) -> None:
    with pytest.raises(Incomparable) as refused:
        check_rows(y=classes)
    assert str(refused.value) == f"the champion predicts the classes no and yes, {words}"


def test_a_third_class_is_refused_and_so_is_no_row_at_all() -> None:
    third = pa.table({"x": [1.0] * 3, "c": ["a"] * 3, "y": ["no", "yes", "maybe"]})
    with pytest.raises(Incomparable, match="3 test rows are of maybe and no and yes"):
        answer_rows.check_columns(third, TABLE)
    with pytest.raises(Incomparable, match="0 test rows are of none"):
        answer_rows.check_columns(third.slice(0, 0), TABLE)


def table(numbers: list[float | None], texts: list[str]) -> pa.Table:
    return pa.table({"x": pa.array(numbers, pa.float64()), "c": texts, "y": ["no"] * len(numbers)})


@pytest.mark.parametrize(
    ("train", "test", "known"),
    [
        (([1, 2, NAN], ["", "", ""]), ([1, 2, NAN], ["", "", ""]), 3),
        (([NAN, 5], ["a", "b"]), ([NAN, NAN, 5], ["a", "b", "a"]), 1),
        (([None], ["a"]), ([NAN], ["a"]), 1),
        (([NAN], ["a"]), ([None], ["a"]), 1),
        (([0.0], [""]), ([-0.0], [""]), 1),
        (([-0.0], [""]), ([0.0], [""]), 1),
        (([1], ["a"]), ([1, 1, 2], ["a", "a", "a"]), 2),
    ],
)
def test_rows_seen_in_training_are_counted_whatever_is_missing(
    train: tuple[list[float | None], list[str]],
    test: tuple[list[float | None], list[str]],
    known: int,
) -> None:
    rows = table(*test)
    assert answer_rows.seen_rows(rows, table(*train), TABLE).sum() == known


@pytest.mark.parametrize(
    ("number", "text"), [(NAN, "b"), (0.0, "a"), (1.0, ""), (2.0, "a"), (NAN, "")]
)
def test_a_row_that_differs_in_one_cell_was_not_seen(number: float, text: str) -> None:
    seen = answer_rows.seen_rows(table([number], [text]), table([NAN, 1.0], ["a", "a"]), TABLE)
    assert not seen.any()


def test_another_class_for_the_same_inputs_was_seen() -> None:
    other = table([1], ["a"]).set_column(2, "y", [["yes"]])
    assert answer_rows.seen_rows(other, table([1], ["a"]), TABLE).all()


def test_another_row_of_a_group_was_seen_if_both_tables_hold_the_group() -> None:
    rows, train = table([1, 2], ["", ""]), table([3, 4], ["", ""])
    with_group = rows.append_column("person", [["7", "8"]])
    for seen_groups, expected in ((["8", "9"], [False, True]), ([9.0, 7.0], [True, False])):
        seen = answer_rows.seen_rows(
            with_group, train.append_column("person", [seen_groups]), TABLE, "person"
        )
        assert seen.tolist() == expected
    assert not answer_rows.seen_rows(with_group, train, TABLE, "person").any()


def add_training_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Adds training rows that lack a number to the test rows."""
    training = pd.read_parquet(splits.split_file("train"))
    numbers = schema.read_schema(splits.SCHEMA).names("integer", "number")
    lacking = training[training[numbers].isna().any(axis=1)]
    return pd.concat([rows, lacking.head(4)])


def drop_column(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(columns=schema.read_schema(splits.SCHEMA).columns[0].name)


def keep_one_class(rows: pd.DataFrame) -> pd.DataFrame:
    input_schema = schema.read_schema(splits.SCHEMA)
    return rows[rows[input_schema.target] == input_schema.positive]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop_column, r"the test rows lack \w+, which the champion needs"),
        (keep_one_class, r"the champion predicts the classes .*, but the \d+ test rows are of"),
    ],
)
def test_rows_on_which_a_real_champion_cannot_be_measured_are_refused(
    contenders: Path, change: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    change(pd.read_parquet(splits.split_file("test"))).to_parquet(
        splits.split_file("test"), index=False
    )
    with pytest.raises(Incomparable, match=words):
        answer_test_rows("sound")
    assert not Path("scores.npz").exists()


def test_training_rows_among_the_test_rows_are_marked(contenders: Path) -> None:
    rows = add_training_rows(pd.read_parquet(splits.split_file("test")))
    rows.to_parquet(splits.split_file("test"), index=False)
    assert answer_test_rows("sound")["seen"].nonzero()[0].tolist() == [*range(len(rows))][-4:]


def test_a_champion_that_answers_with_nan_is_refused(
    contenders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions_of = predictor.predictions_of

    def predictions_with_nan(schema: Schema, output: np.ndarray) -> Predictions:
        answers = predictions_of(schema, output)
        answers.probabilities[:3] = np.nan
        return answers

    monkeypatch.setattr(predictor, "predictions_of", predictions_with_nan)
    with pytest.raises(Unanswered, match=r"^the model answers 3 of \d+ rows with NaN or infinity:"):
        answer_test_rows("sound")
    assert not Path("scores.npz").exists()


@pytest.mark.parametrize("name", ["sound", "misled"])
def test_the_scores_are_what_evaluate_measures(contenders: Path, name: str) -> None:
    scores = answer_test_rows(name)
    input_schema = schema.read_schema(splits.SCHEMA)
    target = (
        parquet.read_table(splits.split_file("test"))[input_schema.target].to_numpy()
    ) == input_schema.positive
    measured = metrics_of(name)
    assert tuple(scores["classes"]) == input_schema.classes
    right = (scores["answers"] == input_schema.positive) == target
    assert right.mean() == pytest.approx(measured["accuracy"], abs=1e-6)
    brier = ((scores["probabilities"][:, 1].astype(float) - target) ** 2).mean()
    assert brier == pytest.approx(measured["brier"], abs=1e-6)
