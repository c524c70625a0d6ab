"""Exports a fitted estimator as an ONNX model that gives the same answers.

Some estimators are converted without an error, although the ONNX model gives other answers. The known cases
are refused by name before fitting, and `check_parity` compares every exported model with its estimator, on
rows with missing and unseen values among them.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import skl2onnx
from numpy.typing import NDArray
from onnx import GraphProto
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.base import is_regressor

from mlops.architectures import Inputs, category_codes
from mlops.errors import ExportError, ParityError
from mlops.predict.inputs import Matrices
from mlops.predict.predictor import chosen_classes, model_session
from mlops.predict.schema import Schema
from mlops.predict.task import Task, output_name
from mlops.train import boosters, trees

TOLERANCE = 1e-5

UNEXPORTABLE = {
    "LinearDiscriminantAnalysis": "its ONNX model gives other answers",
    "TunedThresholdClassifierCV": "its ONNX model forgets the threshold",
    "TargetEncoder": "its ONNX model gives other answers for more than two classes",
    "TransformedTargetRegressor": "it has no converter, and the target is scaled already",
}

UNEXPORTABLE_OPTIONS = {
    ("SimpleImputer", "add_indicator"): "its ONNX model loses the flags",
    ("OneHotEncoder", "min_frequency"): "its ONNX model fails; pass `categories` instead",
    ("OneHotEncoder", "max_categories"): "its ONNX model fails; pass `categories` instead",
    **dict.fromkeys(
        [
            (f"HistGradientBoosting{kind}", "categorical_features")
            for kind in ("Classifier", "Regressor")
        ],
        "it gives other answers; make a pipeline of native_categories(inputs) and it, or encode one-hot and "
        "set None",
    ),
}

FOR_POSITIVE_NUMBERS = ("poisson", "gamma", "tweedie")
"""What the name or the loss of an estimator holds that cannot be fitted to numbers of which the mean is 0."""

CONTAINERS = ("Pipeline", "ColumnTransformer", "FeatureUnion")
SCALERS = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")
TREES = ("Tree", "Forest", "Boosting", "Bagging")


def refuse_unexportable(estimator: Any, task: Task) -> None:
    """Raises ExportError for an unfitted estimator that ONNX cannot represent faithfully, or that does not
    predict what the task asks for."""
    if boosters.native_booster(estimator) is None:
        refuse_unconvertible(estimator)
    *_, last = nested_estimators(estimator)
    losses = [getattr(last, option, "") for option in ("loss", "objective", "criterion")]
    for loss in map(str, (type(last).__name__, *losses)):
        if any(word in loss.lower() for word in FOR_POSITIVE_NUMBERS):
            raise ExportError(
                f"{type(last).__name__}: {loss} needs positive numbers, and the target is scaled to a mean "
                "of 0; choose another loss"
            )
    if task == "regression" and not is_regressor(estimator):
        raise ExportError(
            f"{type(last).__name__} predicts no numbers, and prepare.task is regression: choose a regressor"
        )
    if task != "regression" and not hasattr(estimator, "predict_proba"):
        raise ExportError(
            f"{type(last).__name__} cannot be exported: it gives no probabilities; choose a classifier that "
            "has predict_proba"
        )


def refuse_unconvertible(estimator: Any) -> None:
    """Raises ExportError for an estimator that skl2onnx does not convert, or not faithfully."""
    names = [type(part).__name__ for part in nested_estimators(estimator)]
    for part, name in zip(nested_estimators(estimator), names, strict=True):
        if name in UNEXPORTABLE:
            raise ExportError(
                f"{name} cannot be exported: {UNEXPORTABLE[name]}; choose another estimator"
            )
        if getattr(part, "func", None) is category_codes:
            raise ExportError(
                "native_categories can be exported in a pipeline with a booster of scikit-learn, LightGBM or "
                "XGBoost alone: use one_hot for any other estimator"
            )
        if name in boosters.READERS and type(part) not in sklearn_operator_name_map:
            raise ExportError(
                f"{name} cannot be exported from here: make a pipeline of native_categories(inputs) and it, "
                "and of nothing else"
            )
        if name not in CONTAINERS and type(part) not in sklearn_operator_name_map:
            raise ExportError(f"{name} cannot be exported: skl2onnx has no converter for it")
        for (owner, option), reason in UNEXPORTABLE_OPTIONS.items():
            if name == owner and getattr(part, option, None):
                raise ExportError(f"{name}({option}=...) cannot be exported: {reason}")
    scaler = next((name for name in names if name in SCALERS), None)
    tree = next((name for name in names if any(kind in name for kind in TREES)), None)
    if scaler and tree:
        raise ExportError(
            f"{tree} after {scaler} flips labels in ONNX: trees need no scaler; remove it"
        )


def nested_estimators(estimator: Any) -> Iterator[Any]:
    """Yields the estimator and, in depth-first order, every estimator and transformer inside it."""
    yield estimator
    children = [
        *getattr(estimator, "steps", []),
        *getattr(estimator, "transformers", []),
        *getattr(estimator, "transformer_list", []),
        *getattr(estimator, "estimators", []),
    ]
    for name in ("estimator", "final_estimator"):
        children.append((name, getattr(estimator, name, None)))
    for _, part, *_ in children:
        if not isinstance(part, str) and part is not None:
            yield from nested_estimators(part)


def to_onnx(estimator: Any, inputs: Inputs) -> bytes:
    """Returns the serialized ONNX model of a fitted estimator. Its inputs are the matrices `numbers` and
    `categories`, its output is `probabilities` of shape (rows, classes), or `predictions` of shape (rows, 1)
    if the task is a regression. Raises ExportError if no model can be made."""
    if (booster := boosters.native_booster(estimator)) is not None:
        known = boosters.known_categories(estimator)
        ensemble = boosters.read_trees(booster, inputs.numbers, known)
        return trees.to_onnx(ensemble, inputs.numbers, known)
    for part in nested_estimators(estimator):
        if type(part).__name__.startswith("HistGradientBoosting"):
            floor_thresholds(part)
    columns = {
        "numbers": (FloatTensorType, inputs.numbers),
        "categories": (StringTensorType, len(inputs.categories)),
    }
    initial = [(name, kind([None, count])) for name, (kind, count) in columns.items() if count]
    try:
        model = skl2onnx.to_onnx(
            estimator,
            initial_types=initial,
            options={} if inputs.task == "regression" else {"zipmap": False},
            target_opset=trees.OPERATOR_SETS,
        )
    except Exception as error:  # converters raise whatever their author chose
        reason = str(error).splitlines()[0]
        raise ExportError(f"{type(estimator).__name__} cannot be exported: {reason}") from error
    if inputs.task == "regression":
        rename_output(model.graph, output_name(inputs.task))
    # The converter lists the operator sets in an order that changes with Python's hash seed.
    operator_sets = sorted(model.opset_import, key=lambda operators: operators.domain)
    del model.opset_import[:]
    model.opset_import.extend(operator_sets)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def rename_output(graph: GraphProto, name: str) -> None:
    """Renames the only output of a graph."""
    (output,) = graph.output
    for node in graph.node:
        node.output[:] = [name if each == output.name else each for each in node.output]
    output.name = name


def floor_thresholds(booster: Any) -> None:
    """Replaces every threshold of the fitted booster by the largest 32-bit number that is not above it.

    For a 32-bit x and that number f, `x <= t` holds exactly if `x <= f` holds, so the estimator's own
    predictions for 32-bit inputs stay the same. The converter would round t to the nearest 32-bit number,
    which can change predictions.
    """
    try:
        nodes = [tree.nodes["num_threshold"] for trees in booster._predictors for tree in trees]
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise ExportError(
            "this version of scikit-learn stores the thresholds of HistGradientBoostingClassifier "
            "elsewhere: install the locked version, `make install`"
        ) from error
    for thresholds in nodes:
        thresholds[:] = trees.floor_to_float32(thresholds)


def check_parity(estimator: Any, model: bytes, inputs: Matrices, schema: Schema) -> None:
    """Raises ParityError unless estimator and ONNX model predict the same class for every row, and
    probabilities that differ by at most TOLERANCE. Numbers may differ by TOLERANCE of the standard deviation
    of the target or, if that is more, of the number's distance from its mean."""
    rows = with_missing_and_unseen(inputs)
    actual = run_model(model, rows, schema.task)
    if schema.task == "regression":
        number = np.asarray(estimator.predict(table_of(rows)), np.float64)
        apart = np.abs(actual[:, 0] - number) / np.maximum(np.abs(number), 1)
        if not (worst := float(apart.max())) <= TOLERANCE:
            raise ParityError(
                f"the ONNX model differs from its estimator on {len(actual)} rows: the largest difference "
                f"is {worst:.2g} of the standard deviation of the target or of the prediction, {ADVICE}"
            )
        return
    expected = estimator.predict_proba(table_of(rows))
    worst = float(np.abs(actual - expected).max())
    flipped = int((chosen_classes(schema, actual) != chosen_classes(schema, expected)).sum())
    if flipped or not worst <= TOLERANCE:
        raise ParityError(
            f"the ONNX model differs from its estimator on {len(actual)} rows: {flipped} classes are "
            f"flipped, and the largest difference of a probability is {worst:.2g}, {ADVICE}"
        )


ADVICE = (
    f"allowed is {TOLERANCE:.0e}; nothing was written. Change the estimator: mlops/train/export.py lists "
    "what ONNX gets wrong"
)


def run_model(model: bytes, rows: Matrices, task: Task) -> NDArray[np.float32]:
    try:
        (output,) = model_session(model).run([output_name(task)], rows)
    except Exception as error:  # onnxruntime raises bare classes of its own, one per failure
        reason = str(error).splitlines()[0]
        raise ParityError(
            f"the ONNX model does not run, and nothing was written: {reason}; change the estimator"
        ) from error
    return np.asarray(output)


def with_missing_and_unseen(inputs: Matrices) -> Matrices:
    """Returns the rows, followed by a copy of them in which a tenth of the values of each column is missing
    and a tenth is one that training has not seen."""
    replacements = {"numbers": (np.nan, np.float32(1e9)), "categories": ("", "never seen")}
    result = {}
    for name, matrix in inputs.items():
        altered = matrix.copy()
        row, column = np.indices(altered.shape)
        for remainder, value in enumerate(replacements[name]):
            altered[(3 * row + 7 * column) % 10 == remainder] = value
        result[name] = np.concatenate([matrix, altered])
    return result


def table_of(inputs: Matrices) -> pd.DataFrame:
    """Returns the matrices side by side, as the table that estimators get: numbers first, in 64 bits."""
    tables = [
        pd.DataFrame(matrix, dtype=np.float64 if name == "numbers" else object)
        for name, matrix in inputs.items()
    ]
    table = pd.concat(tables, axis=1)
    table.columns = [f"column {position}" for position in range(table.shape[1])]
    return table
