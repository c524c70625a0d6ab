import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from mlops import params
from mlops.contract.contract import Contract
from mlops.evaluate import evaluate
from mlops.predict import derived, schema
from mlops.predict.derived import Feature
from mlops.predict.inputs import matrix_columns
from mlops.predict.predictor import Predictor
from mlops.prepare import prepare
from mlops.tables import splits
from mlops.train import train
from small_project import use

Numbers = NDArray[np.float64]
Categories = NDArray[Any]


def test_every_derived_column_treats_each_row_by_itself(trained: Path) -> None:
    columns = splits.read_split("test", schema.read_schema(splits.SCHEMA)).columns
    backwards = derived.derive({name: values[::-1] for name, values in columns.items()})
    for name, values in derived.derive(columns).items():
        np.testing.assert_array_equal(values, backwards[name][::-1])


def odd(a: Numbers) -> Numbers:
    return a % 2


def odd_in_words(a: Numbers, b: Categories) -> Categories:
    return np.where(a % 2 == 1, "odd ", "even ").astype(object) + b


def accuracy_on_odd_numbers() -> float:
    """Returns the accuracy of a model that tells odd from even, which the columns a and b alone do not
    show."""
    a = np.random.default_rng(1).integers(0, 10**6, 400)
    options = params.load_configuration().params.prepare
    target = {options.target: np.where(a % 2 == 1, str(options.positive), "other")}
    use(pd.DataFrame({"a": a, "b": ["x", "y"] * 200, **target}), integer=["a"], category=["b"])
    for stage in (prepare, train, evaluate):
        stage.main()
    accuracy: float = json.loads(Path("reports/metrics.json").read_text())["test"]["accuracy"]
    return accuracy


def test_without_a_derived_column_a_model_cannot_tell_odd_from_even(
    untrained: Path, registries: None
) -> None:
    derived.DERIVED.clear()
    assert accuracy_on_odd_numbers() < 0.7


@pytest.mark.parametrize(
    ("kind", "function", "matrix"),
    [
        (derived.number, odd, {"numbers": ["a", "odd"], "categories": ["b"]}),
        (derived.category, odd_in_words, {"numbers": ["a"], "categories": ["b", "odd_in_words"]}),
    ],
)
def test_a_derived_column_is_one_function_for_training_and_prediction(
    untrained: Path,
    registries: None,
    kind: Callable[[Feature], Feature],
    function: Feature,
    matrix: dict[str, list[str]],
) -> None:
    derived.DERIVED.clear()
    kind(function)
    assert accuracy_on_odd_numbers() > 0.9
    predictor = Predictor(Path("models"))
    assert matrix_columns(predictor.schema) == matrix
    rows = [{"a": 31_415, "b": "x"}, {"a": 31_416, "b": "x"}]
    answers = predictor.predict(Contract(predictor.schema).columns(rows))
    assert answers.answers.tolist() == [predictor.schema.positive, "other"]
