"""The derived columns of science/features.py. To add a test, add a row and its answer to EXAMPLES."""

import numpy as np
import pytest

from mlops import params
from mlops.predict.derived import DERIVED, arguments, derive
from science import features

EXAMPLES = [
    ("capital_net", {"capital_gain": 2174, "capital_loss": 0}, 2174),
    ("capital_net", {"capital_gain": 0, "capital_loss": 1902}, -1902),
    ("hours_per_year_of_education", {"hours_per_week": 60, "education_num": 4}, 15),
    ("hours_per_year_of_education", {"hours_per_week": 40, "education_num": 0}, 40),
]


@pytest.mark.parametrize(("name", "row", "answer"), EXAMPLES)
def test_an_example(name, row, answer):
    if name not in DERIVED:
        pytest.skip(f"science/features.py derives no {name} any more: delete its examples")
    columns = {column: one_value(value) for column, value in row.items()}
    (found,) = getattr(features, name)(**columns)
    assert found == (answer if isinstance(answer, str) else pytest.approx(answer))


def one_value(value):
    return np.array([value], object if isinstance(value, str) else float)


@pytest.fixture
def columns():
    """A hundred rows of made-up values for the columns that params.yaml names: a service is sent anything."""
    declared, random = params.load_configuration().params.prepare.columns, np.random.default_rng(1)
    numbers = {name: random.normal(50, 20, 100) for name in (*declared.integer, *declared.number)}
    booleans = {name: random.choice([1.0, 0.0, np.nan], 100) for name in declared.boolean}
    dates = {name: random.integers(20_000, size=100).astype(float) for name in declared.date}
    texts = {name: random.choice(list("abc"), 100).astype(object) for name in declared.category}
    return {**numbers, **booleans, **dates, **texts}


@pytest.mark.parametrize("name", DERIVED)
def test_its_arguments_are_columns_of_the_table(name, columns):
    assert set(arguments(DERIVED[name][1])) <= set(columns)


def test_every_row_is_treated_by_itself(columns):
    together = derive(columns)
    for row in range(100):
        alone = derive({name: values[row : row + 1] for name, values in columns.items()})
        for name, values in alone.items():
            np.testing.assert_array_equal(values, together[name][row : row + 1], name)
