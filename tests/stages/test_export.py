from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler, TargetEncoder
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

from mlops.architectures import Inputs, native_categories
from mlops.errors import ExportError, ParityError
from mlops.predict.inputs import Matrices
from mlops.predict.schema import Schema
from mlops.train import export, trees

SCHEMA = Schema("numbers", "sign", ("minus", "plus"), ())
LOGISTIC = LogisticRegression()
CODES = native_categories(Inputs(2, ()))


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LinearDiscriminantAnalysis(), "LinearDiscriminantAnalysis cannot be exported: its ONNX"),
        (TunedThresholdClassifierCV(LOGISTIC), "TunedThresholdClassifierCV cannot be exported"),
        (TransformedTargetRegressor(), "TransformedTargetRegressor cannot be exported"),
        (make_pipeline(TargetEncoder(), LOGISTIC), "TargetEncoder cannot be exported"),
        (make_pipeline(SplineTransformer(), LOGISTIC), "SplineTransformer cannot be exported: skl"),
        (make_pipeline(StandardScaler(), LinearSVC()), "LinearSVC cannot be exported: it gives no"),
        (LinearRegression(), "LinearRegression cannot be exported: it gives no probabilities"),
        (make_pipeline(SimpleImputer(add_indicator=True), LOGISTIC), "SimpleImputer(add_indicator="),
        (make_pipeline(OneHotEncoder(min_frequency=2), LOGISTIC), "OneHotEncoder(min_frequency=...)"),
        (make_pipeline(OneHotEncoder(max_categories=2), LOGISTIC), "OneHotEncoder(max_categories="),
        (HistGradientBoostingClassifier(), "HistGradientBoostingClassifier(categorical_features="),
        (make_pipeline(StandardScaler(), RandomForestClassifier()), "after StandardScaler flips"),
        (make_pipeline(SimpleImputer(), LGBMClassifier()), "LGBMClassifier cannot be exported from"),
        (make_pipeline(SimpleImputer(), XGBClassifier()), "make a pipeline of native_categories(inputs)"),
        (make_pipeline(CODES, RandomForestClassifier()), "with a booster of scikit-learn, LightGBM"),
        (make_pipeline(CODES, HistGradientBoostingRegressor()), "Regressor cannot be exported: it gives"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_refused_by_name(estimator: Any, message: str) -> None:
    with pytest.raises(ExportError) as refused:
        export.refuse_unexportable(estimator, "binary")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (make_pipeline(SimpleImputer(), LOGISTIC), "LogisticRegression predicts no numbers, and prepare"),
        (make_pipeline(SimpleImputer(), PoissonRegressor()), "PoissonRegressor needs positive numbers"),
        (make_pipeline(CODES, HistGradientBoostingRegressor(loss="gamma")), "gamma needs positive"),
        (make_pipeline(CODES, LGBMRegressor(objective="tweedie")), "tweedie needs positive numbers"),
    ],
)  # fmt: skip
def test_what_predicts_no_numbers_or_positive_ones_alone_is_refused_for_a_regression(
    estimator: Any, message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        export.refuse_unexportable(estimator, "regression")


def test_numbers_of_another_model_are_refused_by_the_spread_of_the_target() -> None:
    inputs: Matrices = {"numbers": numbers()}
    table, target = export.table_of(inputs), inputs["numbers"][:, 0].astype(float)
    models = [make_pipeline(SimpleImputer(), Ridge(alpha)).fit(table, target) for alpha in (1, 2)]
    told = Inputs(2, (), "regression")
    exported = [export.to_onnx(each, told) for each in models]
    schema = Schema("numbers", "sum", (), (), "regression")
    export.check_parity(models[0], exported[0], inputs, schema)
    with pytest.raises(ParityError, match="of the standard deviation of the target or of the"):
        export.check_parity(models[0], exported[1], inputs, schema)


BAD = LinearDiscriminantAnalysis()


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), BAD),
        ColumnTransformer([("a", make_pipeline(BAD), [0])]),
        FeatureUnion([("a", BAD)]),
        VotingClassifier([("a", LOGISTIC), ("b", BAD)]),
        BaggingClassifier(BAD),
        CalibratedClassifierCV(BAD),
        StackingClassifier([("a", LOGISTIC)], final_estimator=BAD),
    ],
)
def test_it_is_found_wherever_it_is_inside(estimator: Any) -> None:
    with pytest.raises(ExportError, match="LinearDiscriminantAnalysis cannot be exported"):
        export.refuse_unexportable(estimator, "binary")


def fitted(matrix: NDArray[np.float32], estimator: Any) -> tuple[Any, bytes, Matrices]:
    inputs: Matrices = {"numbers": matrix}
    estimator.fit(export.table_of(inputs), (np.nan_to_num(matrix).sum(axis=1) > 0).astype(np.int8))
    return estimator, export.to_onnx(estimator, Inputs(matrix.shape[1], ())), inputs


def numbers(rows: int = 200, columns: int = 2) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(rows, columns)).astype(np.float32)


def logistic(**options: float) -> Any:
    return make_pipeline(SimpleImputer(), LogisticRegression(**options))


def test_a_faithful_model_passes() -> None:
    export.check_parity(*fitted(numbers(), logistic()), SCHEMA)


def test_a_model_that_is_wrong_on_missing_values_alone_is_refused() -> None:
    with_holes = numbers()
    with_holes[::3, 0] = np.nan
    estimator, model, _ = fitted(with_holes, DecisionTreeClassifier(random_state=1))
    with pytest.raises(ParityError, match=r"differs from its estimator on 400 rows: \d+ classes"):
        export.check_parity(estimator, model, {"numbers": numbers()}, SCHEMA)


def test_a_difference_without_a_flipped_class_is_refused() -> None:
    estimator, _, inputs = fitted(numbers(), logistic(C=1))
    _, other, _ = fitted(numbers(), logistic(C=0.999))
    with pytest.raises(ParityError, match=r": 0 classes are flipped, .* allowed is 1e-05"):
        export.check_parity(estimator, other, inputs, SCHEMA)


def test_a_model_that_does_not_run_is_refused() -> None:
    estimator, _, inputs = fitted(numbers(columns=3), logistic())
    _, other, _ = fitted(numbers(columns=2), logistic())
    with pytest.raises(ParityError, match="the ONNX model does not run, and nothing was written"):
        export.check_parity(estimator, other, inputs, SCHEMA)


def test_an_unknown_layout_of_the_booster_is_refused() -> None:
    with pytest.raises(
        ExportError, match=r"stores the thresholds .* elsewhere: install the locked"
    ):
        export.floor_thresholds(HistGradientBoostingClassifier())


def test_floor_to_float32_is_the_largest_32_bit_number_not_above() -> None:
    random = np.random.default_rng(4)
    values = random.normal(size=10_000) * 10 ** random.uniform(-30, 30, 10_000)
    values = np.concatenate([values, values.astype(np.float32), [0, 0.1, -0.1, 2**24 + 1]])
    floored = trees.floor_to_float32(values)
    assert floored.dtype == np.float32
    assert (floored <= values).all()
    assert (np.nextafter(floored, np.float32(np.inf)) > values).all()


def test_a_booster_without_categories_passes_and_answers_as_before_its_thresholds_were_floored() -> (
    None
):
    matrix = (numbers(2000) * 10).round(1)
    table = export.table_of({"numbers": matrix})
    booster = HistGradientBoostingClassifier(categorical_features=None, max_iter=20)
    booster.fit(table, (matrix[:, 0] > 0.1).astype(int))
    before = booster.predict_proba(table)
    model = export.to_onnx(booster, Inputs(matrix.shape[1], ()))
    np.testing.assert_array_equal(booster.predict_proba(table), before)
    export.check_parity(booster, model, {"numbers": matrix}, SCHEMA)


@pytest.mark.parametrize("columns", [1, 2, 5, 10])
def test_every_column_is_compared_with_missing_and_unseen_values(columns: int) -> None:
    inputs: Matrices = {
        "numbers": numbers(50, columns),
        "categories": np.full((50, columns), "a", object),
    }
    rows = export.with_missing_and_unseen(inputs)
    np.testing.assert_array_equal(rows["numbers"][:50], inputs["numbers"])
    spoiled = {name: matrix[50:] for name, matrix in rows.items()}
    for bad in (
        np.isnan(spoiled["numbers"]),
        spoiled["numbers"] == 1e9,
        spoiled["categories"] == "",
        spoiled["categories"] == "never seen",
    ):
        np.testing.assert_array_equal(bad.sum(axis=0), 5)
