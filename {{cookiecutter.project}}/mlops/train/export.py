"""A fitted estimator to an ONNX model that answers the same, or an error that says why not.

What converts without an error and answers something else was found by converting it: the rules here
refuse the known cases by name before fitting, and `check_parity` holds every export against its
estimator, with missing and unseen values among the rows.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import skl2onnx
from numpy.typing import NDArray
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import FloatTensorType, StringTensorType

from mlops.errors import ExportError, ParityError
from mlops.predict.inputs import Matrices
from mlops.predict.predictor import likeliest_labels, model_session
from mlops.predict.schema import Schema

TOLERANCE = 1e-5

REFUSED = {
    "LinearDiscriminantAnalysis": "its ONNX model answers something else",
    "TunedThresholdClassifierCV": "its ONNX model forgets the threshold",
    "TargetEncoder": "its ONNX model answers something else for more than two classes",
    "TransformedTargetRegressor": "it has no converter",
}

REFUSED_OPTIONS = {
    ("SimpleImputer", "add_indicator"): "its ONNX model loses the flags",
    ("OneHotEncoder", "min_frequency"): "its ONNX model fails; pass `categories` instead",
    ("OneHotEncoder", "max_categories"): "its ONNX model fails; pass `categories` instead",
    ("HistGradientBoostingClassifier", "categorical_features"): "it flips labels; encode one-hot",
}

CONTAINERS = ("Pipeline", "ColumnTransformer", "FeatureUnion")
SCALERS = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")
TREES = ("Tree", "Forest", "Boosting", "Bagging")


def refuse_unexportable(estimator: Any) -> None:
    """Raises ExportError for an unfitted estimator that no faithful ONNX model can be made of."""
    names = [type(part).__name__ for part in parts(estimator)]
    for part, name in zip(parts(estimator), names, strict=True):
        if name in REFUSED:
            raise ExportError(
                f"{name} cannot be exported: {REFUSED[name]}; choose another estimator"
            )
        if name not in CONTAINERS and type(part) not in sklearn_operator_name_map:
            raise ExportError(f"{name} cannot be exported: skl2onnx has no converter for it")
        for (owner, option), reason in REFUSED_OPTIONS.items():
            if name == owner and getattr(part, option, None):
                raise ExportError(f"{name}({option}=...) cannot be exported: {reason}")
    if not hasattr(estimator, "predict_proba"):
        raise ExportError(
            f"{names[-1]} cannot be exported: it gives no probabilities; choose a classifier that "
            "has predict_proba"
        )
    scaler = next((name for name in names if name in SCALERS), None)
    tree = next((name for name in names if any(kind in name for kind in TREES)), None)
    if scaler and tree:
        raise ExportError(
            f"{tree} behind {scaler} flips labels in ONNX: trees need no scaler; drop it"
        )


def parts(estimator: Any) -> Iterator[Any]:
    """The estimator and everything inside it."""
    yield estimator
    inside = [
        *getattr(estimator, "steps", []),
        *getattr(estimator, "transformers", []),
        *getattr(estimator, "transformer_list", []),
        *getattr(estimator, "estimators", []),
    ]
    for name in ("estimator", "final_estimator"):
        inside.append((name, getattr(estimator, name, None)))
    for _, part, *_ in inside:
        if not isinstance(part, str) and part is not None:
            yield from parts(part)


def to_onnx(estimator: Any, inputs: Matrices) -> bytes:
    """The model: from the matrices `numbers` and `categories` to `probabilities`."""
    for part in parts(estimator):
        if type(part).__name__ == "HistGradientBoostingClassifier":
            floor_thresholds(part)
    types = {"numbers": FloatTensorType, "categories": StringTensorType}
    initial = [(name, types[name]([None, matrix.shape[1]])) for name, matrix in inputs.items()]
    try:
        model = skl2onnx.to_onnx(
            estimator, initial_types=initial, options={"zipmap": False}, target_opset=TARGET_OPSET
        )
    except Exception as error:  # converters raise whatever their author chose
        reason = str(error).splitlines()[0]
        raise ExportError(f"{type(estimator).__name__} cannot be exported: {reason}") from error
    # The converter lists the operator sets in an order that changes with Python's hash seed.
    operator_sets = sorted(model.opset_import, key=lambda operators: operators.domain)
    del model.opset_import[:]
    model.opset_import.extend(operator_sets)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


TARGET_OPSET = {"": 21, "ai.onnx.ml": 3}


def floor_thresholds(booster: Any) -> None:
    """Make every split of the fitted booster one that 32-bit numbers can tell.

    For a 32-bit x, `x <= t` is `x <= f` where f is the largest 32-bit number not above t; the
    converter rounds t to the nearest instead. The estimator's own predictions stay the same.
    """
    try:
        nodes = [tree.nodes["num_threshold"] for trees in booster._predictors for tree in trees]
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise ExportError(
            "this scikit-learn keeps the thresholds of HistGradientBoostingClassifier elsewhere: "
            "use the locked version"
        ) from error
    for thresholds in nodes:
        thresholds[:] = floor32(thresholds)


def floor32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def check_parity(estimator: Any, model: bytes, inputs: Matrices, schema: Schema) -> None:
    """Raises ParityError unless both give every row the same class and probabilities."""
    rows = with_missing_and_unseen(inputs)
    expected = estimator.predict_proba(table_of(rows))
    got = answers(model, rows)
    worst = float(np.abs(got - expected).max())
    flipped = int((likeliest_labels(schema, got) != likeliest_labels(schema, expected)).sum())
    if flipped or not worst <= TOLERANCE:
        raise ParityError(
            f"the ONNX model differs from its estimator on {len(got)} rows: {flipped} classes "
            f"flipped, worst difference of a probability {worst:.2g}, allowed {TOLERANCE:.0e}; "
            "nothing was written. Change it: mlops/train/export.py lists what ONNX gets wrong"
        )


def answers(model: bytes, rows: Matrices) -> NDArray[np.float32]:
    try:
        (probabilities,) = model_session(model).run(["probabilities"], rows)
    except Exception as error:  # onnxruntime raises bare classes of its own, one per failure
        reason = str(error).splitlines()[0]
        raise ParityError(
            f"the ONNX model does not run, so nothing was written: {reason}; change the estimator"
        ) from error
    return np.asarray(probabilities)


def with_missing_and_unseen(inputs: Matrices) -> Matrices:
    """The rows, followed by the same with a tenth of each column missing and a tenth unseen."""
    holes = {"numbers": (np.nan, np.float32(1e9)), "categories": ("", "never seen")}
    result = {}
    for name, matrix in inputs.items():
        spoiled = matrix.copy()
        row, column = np.indices(spoiled.shape)
        for place, hole in enumerate(holes[name]):
            spoiled[(3 * row + 7 * column) % 10 == place] = hole
        result[name] = np.concatenate([matrix, spoiled])
    return result


def table_of(inputs: Matrices) -> pd.DataFrame:
    """The matrices side by side, as scikit-learn is given them: numbers first, in 64 bits."""
    tables = [
        pd.DataFrame(matrix.astype(np.float64) if name == "numbers" else matrix)
        for name, matrix in inputs.items()
    ]
    table = pd.concat(tables, axis=1)
    table.columns = [f"column {position}" for position in range(table.shape[1])]
    return table
