from typing import Any

import numpy as np
import pytest

from serving.errors import InputError
from serving.rows import columns_of
from serving.schema import Column, Schema

SCHEMA = Schema(
    "trees",
    "kind",
    ("elm", "oak"),
    (
        Column("age", "integer", 80, missing=False),
        Column("height", "number", 12.5, missing=True),
        Column("soil", "category", "clay", missing=False, categories=("clay", "sand")),
    ),
)
ROW = {"age": 80, "height": 12.5, "soil": "clay"}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"age": True}, "age should be a whole number or null, not True"),
        ({"age": "80"}, "age should be a whole number or null, not '80'"),
        ({"age": 80.5}, "age should be a whole number or null, not 80.5"),
        ({"age": 10**400}, "age should be a whole number or null, not 1000"),
        ({"height": "12.5"}, "height should be a number or null, not '12.5'"),
        ({"height": float("nan")}, "height should be a number or null, not nan"),
        ({"height": float("1e400")}, "height should be a number or null, not inf"),
        ({"height": -1e39}, "height should be a number or null, not -1e+39"),
        ({"height": [1]}, "height should be a number or null, not [1]"),
        ({"soil": 3}, "soil should be text or null, not 3"),
        ({"girth": 1}, "girth is no column of the model"),
    ],
)
def test_a_field_that_does_not_fit_is_refused(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(InputError) as refused:
        columns_of([ROW, {**ROW, **change}], SCHEMA)
    assert str(refused.value).startswith(f"row 1: {fault}")


def test_every_wrong_field_of_every_row_is_named_at_once() -> None:
    with pytest.raises(InputError) as refused:
        columns_of([{"age": "x", "soil": 1}, ROW, {**ROW, "girth": 1, "age": 0.5}], SCHEMA)
    assert str(refused.value).split("; ") == [
        "row 0: height is missing",
        "row 0: age should be a whole number or null, not 'x'",
        "row 0: soil should be text or null, not 1",
        "row 2: girth is no column of the model",
        "row 2: age should be a whole number or null, not 0.5",
    ]


def test_rows_become_columns_and_null_is_missing() -> None:
    nothing = dict.fromkeys(ROW)
    columns = columns_of([ROW, nothing, {**ROW, "age": 7.0, "soil": "never seen"}], SCHEMA)
    np.testing.assert_array_equal(columns["age"], [80, np.nan, 7])
    np.testing.assert_array_equal(columns["height"], [12.5, np.nan, 12.5])
    assert columns["soil"].tolist() == ["clay", "", "never seen"]
    assert [values.dtype.kind for values in columns.values()] == ["f", "f", "O"]


def test_the_example_of_a_schema_is_a_row_that_fits() -> None:
    assert columns_of([SCHEMA.example()], SCHEMA)["age"].tolist() == [80]
