from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from mlops import params, provenance
from mlops.architectures import Inputs, architecture, one_hot
from mlops.errors import (
    DataError,
    ExportError,
    OtherLibraries,
    ParameterError,
    ParityError,
    StageError,
)
from mlops.predict import derived, schema
from mlops.prepare import prepare
from mlops.tables import splits
from mlops.train import train
from small_project import change, contents, use


def choose(name: str) -> None:
    change("params.yaml", f"train.architectures.{name}", {})
    change("params.yaml", "train.architecture", name)


class NeverFitted(LogisticRegression):  # type: ignore[misc]
    def fit(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("it was fitted")


def test_an_estimator_that_cannot_be_exported_is_refused_before_fitting(
    trained: Path, registries: None
) -> None:
    @architecture
    def unheard_of(inputs: Inputs, seed: int) -> Any:
        return make_pipeline(one_hot(inputs, "drop"), NeverFitted())

    before = contents("models")
    choose("unheard_of")
    with pytest.raises(ExportError, match="NeverFitted cannot be exported"):
        train.main()
    assert contents("models") == before


def test_a_model_that_answers_something_else_than_its_estimator_is_not_written(
    untrained: Path, registries: None
) -> None:
    @architecture
    def forest_on_missing(inputs: Inputs, seed: int) -> Any:
        return make_pipeline(one_hot(inputs, "passthrough"), RandomForestClassifier(5))

    derived.DERIVED.clear()
    options = params.load_configuration().params.prepare
    table = pd.DataFrame({"a": np.arange(400.0), "b": np.random.default_rng(2).random(400)})
    table.loc[::3, "a"] = np.nan
    table[options.target] = np.where(table.a > 200, str(options.positive), "other")
    change("params.yaml", "prepare.source.missing", [""])
    use(table, number=["a", "b"])
    prepare.main()
    choose("forest_on_missing")
    with pytest.raises(ParityError, match="nothing was written"):
        train.main()
    assert not Path("models").exists()


def test_a_library_of_the_system_that_is_missing_is_named(trained: Path, registries: None) -> None:
    @architecture
    def without_openmp(inputs: Inputs, seed: int) -> Any:
        raise OSError("libgomp.so.1: cannot open shared object file")

    choose("without_openmp")
    with pytest.raises(OtherLibraries, match=r"libgomp\.so\.1: .*`apt-get install libgomp1`"):
        train.main()


def test_a_derived_column_of_an_unknown_column_is_refused(trained: Path, registries: None) -> None:
    @derived.number
    def lost(not_a_column: NDArray[Any]) -> NDArray[Any]:
        return not_a_column

    with pytest.raises(DataError, match="lost takes 'not_a_column', which is not a column"):
        train.main()


def test_a_derived_column_that_would_replace_one_of_the_table_is_refused(
    trained: Path, registries: None
) -> None:
    name = schema.read_schema(splits.SCHEMA).columns[0].name

    def tenfold(values: NDArray[Any]) -> NDArray[Any]:
        return values * 10

    tenfold.__name__ = name
    derived.number(tenfold)
    with pytest.raises(DataError, match=f"{name} has the name of a column of the prepared table"):
        train.main()


@pytest.mark.parametrize(
    ("name", "option", "value", "message"),
    [
        ("random_forest", "trees", 0, "The 'n_estimators' parameter of RandomForestClassifier must be"),
        ("random_forest", "leaves", 2**31, "could not allocate"),
        ("lightgbm", "leaves", 1, "Check failed: (num_leaves) > (1)"),
        ("xgboost", "leaves", -1, "value -1 for Parameter max_leaves should be greater equal to 0"),
        ("xgboost", "iterations", 0, "XGBClassifier has no trees"),
    ],
)  # fmt: skip
def test_a_value_that_a_library_refuses_is_named_with_its_architecture(
    trained: Path, name: str, option: str, value: int, message: str
) -> None:
    before = contents("models")
    change("params.yaml", "train.architecture", name)
    change("params.yaml", f"train.architectures.{name}.{option}", value)
    with pytest.raises(StageError) as refused:
        train.main()
    assert message in str(refused.value)
    assert contents("models") == before
    if isinstance(refused.value, ParameterError):
        where = f"train.architectures.{name} can't be fitted with"
        assert where in str(refused.value)
        assert f"{option} {value}" in str(refused.value)


def test_an_error_of_an_architecture_itself_keeps_its_traceback(
    trained: Path, registries: None
) -> None:
    @architecture
    def mistaken(inputs: Inputs, seed: int) -> Any:
        return inputs.nothing  # type: ignore[attr-defined]

    choose("mistaken")
    with pytest.raises(AttributeError):
        train.main()


def test_the_derived_columns_are_kept_with_the_model(trained: Path) -> None:
    before, after = (
        schema.read_schema(Path(file)) for file in (splits.SCHEMA, "models/schema.json")
    )
    assert before.derived == ()
    assert after.derived == tuple(derived.DERIVED)
    assert after.columns == before.columns


def test_the_provenance_names_the_chosen_hyperparameters_alone(trained: Path) -> None:
    options = params.load_configuration().params.train
    assert provenance.read_provenance(train.PROVENANCE)["parameters"] == {
        options.architecture: options.hyperparameters,
        "train": {"seed": options.seed},
    }


def test_categories_of_a_derived_column_are_those_of_training() -> None:
    column = schema.Column("a", "category", "x", missing=True, categories=("x", "y"))
    table = schema.Schema("d", "t", ("n", "p"), (column,))
    inputs = {"categories": np.array([["x"], ["y"]], object)}
    assert train.describe_inputs(inputs, table) == Inputs(0, (("x", "y", ""),), rows=2)


@pytest.mark.parametrize(("rows", "leaf"), [(30, 2), (200, 10), (399, 19), (400, 20), (10**6, 20)])
def test_a_table_of_few_rows_has_small_leaves(rows: int, leaf: int) -> None:
    assert Inputs(2, (), rows=rows).rows_in_a_leaf == leaf
