from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from mlops.contract import profile
from mlops.contract.profile import CategoryBins, ClassBins, Counts, NumberBins, ProbabilityBins
from mlops.predict.errors import BundleError
from mlops.predict.inputs import Columns
from mlops.predict.schema import Column, Schema
from mlops.predict.task import Predictions

SCHEMA = Schema(
    "trees",
    "kind",
    ("elm", "oak"),
    (
        Column("age", "integer", 50, missing=True, minimum=1, maximum=100),
        Column("height", "number", 0.0, missing=False, minimum=0, maximum=9),
        Column("joined", "date", "2024-05-01", missing=True),
        Column("native", "boolean", True, missing=True),
        Column("soil", "category", "clay", missing=True, categories=("clay", "sand")),
    ),
)
TRAINING = {
    "age": np.array([*range(1, 101), np.nan]),
    "height": np.array([0.0] * 95 + [9.0] * 6),
    "joined": np.array([*range(19844, 19944), np.nan]),
    "native": np.array([1.0] * 70 + [0.0] * 30 + [np.nan]),
    "soil": np.array(["clay"] * 50 + ["sand"] * 30 + ["moor"] * 20 + [""], object),
}
TEST = Predictions(
    np.array(["elm", "oak", "oak", "elm"], object),
    np.array([[1, 0], [0.45, 0.55], [0, 1], [0.901, 0.099]], np.float32),
)
REFERENCE = profile.reference_of(TRAINING.values(), TEST, SCHEMA)


def counts(columns: Columns) -> dict[str, Counts]:
    return {name: bins.count(columns[name]) for name, bins in REFERENCE.columns.items()}


@pytest.mark.parametrize("content", [b"", b"{}", b'{"columns": {}, "answers": "x"}', b"\xff"])
def test_a_broken_reference_is_refused_with_its_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "reference.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"reference\.json is not a profile of the training"):
        profile.read_reference(tmp_path)


def test_a_missing_reference_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"reference\.json is missing: run `mlops repro`"):
        profile.read_reference(tmp_path)


def test_what_is_written_is_what_is_read_and_its_bytes_repeat(tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        profile.write_reference(profile.reference_of(TRAINING.values(), TEST, SCHEMA), tmp_path)
        written.append((tmp_path / "reference.json").read_bytes())
    assert profile.read_reference(tmp_path) == REFERENCE
    assert written[0] == written[1]


def test_the_bins_of_a_number_are_the_deciles_of_the_training_each_once() -> None:
    assert REFERENCE.columns["age"] == NumberBins(tuple(range(10, 100, 10)), (10,) * 10 + (1,))
    assert REFERENCE.columns["height"] == NumberBins((0,), (95, 6, 0))


def test_the_names_of_bins_tell_close_numbers_apart() -> None:
    assert NumberBins((0.1, 1234567.5)).names()[:2] == ["up to 0.1", "up to 1.23457e+06"]
    assert NumberBins((999_999_999.5, 1e9)).names() == [
        "up to 999999999.5", "up to 1000000000", "over 1000000000", "(missing)",
    ]  # fmt: skip


def test_the_bins_of_a_category_are_the_known_ones_any_other_and_missing() -> None:
    assert REFERENCE.columns["soil"] == CategoryBins(("clay", "sand"), (50, 30, 20, 1))


def test_the_answers_for_the_test_rows_are_counted_by_tenths() -> None:
    assert REFERENCE.answers == ProbabilityBins((2, 0, 0, 0, 0, 1, 0, 0, 0, 1))


def test_the_answers_of_more_classes_are_counted_by_class() -> None:
    trees = replace(SCHEMA, task="multiclass", classes=("elm", "fir", "oak"))
    test = Predictions(TEST.answers, np.zeros((4, 3), np.float32))
    answers = profile.reference_of(TRAINING.values(), test, trees).answers
    assert answers == ClassBins(("elm", "fir", "oak"), (2, 0, 2))
    assert answers.names() == ["elm", "fir", "oak"]


def test_numbers_that_are_answered_are_counted_by_the_deciles_of_the_test_rows() -> None:
    ages = replace(SCHEMA, task="regression", classes=())
    test = Predictions(np.arange(1.0, 21), np.empty((20, 0), np.float32))
    answers = profile.reference_of(TRAINING.values(), test, ages).answers
    assert answers == NumberBins((2, 4, 6, 8, 10, 12, 14, 16, 18), (2,) * 10 + (0,))
    beyond = Predictions(np.array([-9.0, 99, 99]), np.empty((3, 0), np.float32))
    assert profile.count_answers(answers, beyond).tolist() == [1, *[0] * 8, 2, 0]


def test_the_rows_of_the_training_have_the_counts_of_the_reference() -> None:
    again = counts(TRAINING)
    assert {name: tuple(rows) for name, rows in again.items()} == {
        name: bins.rows for name, bins in REFERENCE.columns.items()
    }


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_each_row_is_in_one_bin_and_parts_add_up_to_the_whole(rows: int) -> None:
    random = np.random.default_rng(rows)
    columns = {
        "age": random.choice([np.nan, -1e30, 1, 10, 10.5, 90, 91, 1e30], rows),
        "height": random.choice([0.0, -0.0, 9], rows),
        "joined": random.choice([0.0, 19853, 19854, 30000, np.nan], rows),
        "native": random.choice([1.0, 0.0, np.nan], rows),
        "soil": random.choice(np.array(["clay", "moor", "", "(other)"], object), rows),
    }
    whole = counts(columns)
    for name, bins in REFERENCE.columns.items():
        assert whole[name].sum() == rows
        assert (whole[name] >= 0).all()
        assert len(bins.names()) == len(whole[name])
    halves = [
        counts({name: values[part] for name, values in columns.items()})
        for part in (slice(rows // 2), slice(rows // 2, None))
    ]
    for name in columns:
        np.testing.assert_array_equal(whole[name], halves[0][name] + halves[1][name])


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("age", 10.0, "up to 10"),
        ("age", 10.5, "up to 20"),
        ("age", 91.0, "over 90"),
        ("age", np.nan, "(missing)"),
        ("joined", 19853.0, "up to 2024-05-10"),
        ("joined", 19943.0, "over 2024-07-29"),
        ("joined", np.nan, "(missing)"),
        ("native", 1.0, "true"),
        ("native", 0.0, "false"),
        ("native", np.nan, "(missing)"),
        ("soil", "sand", "sand"),
        ("soil", "moor", "(other)"),
        ("soil", "", "(missing)"),
    ],
)
def test_a_value_is_counted_in_the_bin_that_its_name_says(
    column: str, value: object, name: str
) -> None:
    bins = REFERENCE.columns[column]
    values = np.array([value], object if isinstance(value, str) else float)
    assert bins.names()[int(bins.count(values).argmax())] == name


@pytest.mark.parametrize(
    ("probability", "tenth"), [(0, 0), (0.0999, 0), (0.55, 5), (0.95, 9), (1, 9)]
)
def test_a_probability_is_in_its_tenth(probability: float, tenth: int) -> None:
    assert ProbabilityBins().count(np.array([probability], np.float32)).argmax() == tenth
