import numpy as np
import pytest

from mlops.predict import derived
from mlops.predict.inputs import matrices_of, matrix_columns
from mlops.predict.schema import Column, Schema


def column(name: str, kind: str) -> Column:
    return Column(name, kind, 0, missing=False)  # type: ignore[arg-type]


MIXED = (column("c", "category"), column("n", "number"), column("i", "integer"))
VALUES = {"c": np.array(["x", ""], object), "n": np.array([0.1, np.nan]), "i": np.array([1.0, 2])}


@pytest.fixture(autouse=True)
def no_derived_columns(registries: None) -> None:
    derived.DERIVED.clear()


def schema(*columns: Column) -> Schema:
    return Schema("d", "t", ("no", "yes"), columns)


def test_numbers_and_categories_are_two_matrices_in_the_order_of_the_schema() -> None:
    made = matrices_of(VALUES, schema(*MIXED))
    np.testing.assert_array_equal(made["numbers"], np.array([[0.1, 1], [np.nan, 2]], np.float32))
    assert made["numbers"].dtype == np.float32
    assert made["categories"].tolist() == [["x"], [""]]


def test_derived_columns_come_after_those_of_the_table() -> None:
    derived.number(lambda n: n)
    assert matrix_columns(schema(*MIXED))["numbers"] == ["n", "i", "<lambda>"]


@pytest.mark.parametrize(("position", "absent"), [(0, "numbers"), (1, "categories")])
def test_a_matrix_without_columns_is_absent(position: int, absent: str) -> None:
    assert absent not in matrices_of(VALUES, schema(MIXED[position]))
