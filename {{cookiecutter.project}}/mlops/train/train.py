"""The stage train fits an estimator to the training split and exports it to ONNX.

It reads data/prepared and writes models.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from numpy.typing import NDArray

import science.architectures  # noqa: F401 - what it imports is code of this stage
from mlops import provenance
from mlops.architectures import ARCHITECTURES, Inputs
from mlops.errors import DataError, OtherLibraries, ParameterError, say
from mlops.params import ThresholdParams, TrainParams, load_configuration
from mlops.predict.derived import DERIVED, arguments
from mlops.predict.inputs import Matrices, matrices_of, matrix_columns
from mlops.predict.predictor import MODEL, SCHEMA, Predictor
from mlops.predict.schema import Scale, Schema, read_schema, write_schema
from mlops.predict.task import Task
from mlops.tables import splits
from mlops.tables.answered import answer_split
from mlops.train import boosters, export
from mlops.train.progress import reported_iterations
from mlops.train.threads import fitting_threads
from mlops.train.threshold import choose_threshold
from mlops.train.weights import fit_weights, row_weights

MODELS = Path("models")
PROVENANCE = MODELS / "provenance.json"

PARITY_ROWS = 20_000
"""The largest number of validation rows for which the exported model is compared with its estimator."""


def main() -> None:
    params = load_configuration().params.train
    input_schema = read_schema(splits.SCHEMA)
    check_features(input_schema)
    table, target, inputs = read_training_rows(input_schema)
    input_schema = msgspec.structs.replace(
        input_schema, derived=tuple(DERIVED), target_scale=scale_of(target, input_schema.task)
    )
    estimator = fit_estimator(params, table, scaled(target, input_schema), inputs, input_schema)
    model = export.to_onnx(estimator, inputs)
    file = splits.split_file("validation")
    validation = next(splits.split_pieces(file, input_schema, PARITY_ROWS))
    export.check_parity(
        estimator, model, matrices_of(validation.columns, input_schema), input_schema
    )
    if params.threshold:
        threshold = chosen_threshold(params.threshold, model, input_schema)
        input_schema = msgspec.structs.replace(input_schema, threshold=threshold)
    MODELS.mkdir(exist_ok=True)
    (MODELS / MODEL).write_bytes(model)
    write_schema(input_schema, MODELS / SCHEMA)
    parameters = {
        params.architecture: params.hyperparameters,
        "train": params.model_dump(exclude={"architecture", "architectures"}, exclude_none=True),
    }
    provenance.write_provenance(PROVENANCE, "train", parameters)
    made = f"train: {params.architecture} on {len(target):,} rows, {len(model) / 1e6:.1f} MB"
    say(made)


def read_training_rows(schema: Schema) -> tuple[pd.DataFrame, NDArray[Any], Inputs]:
    """Returns the training rows as the table that estimators get, their target of shape (rows,), and what an
    architecture is told of them."""
    training = splits.read_split("train", schema)
    matrices = matrices_of(training.columns, schema)
    return export.table_of(matrices), training.target, describe_inputs(matrices, schema)


def scale_of(target: NDArray[Any], task: Task) -> Scale | None:
    """Returns how the numbers of the target are scaled for the fit, and None if it is a class. A model
    answers with 32 bits, which would not tell 1,000,000,001 from 1,000,000,002; so it is fitted to numbers
    of mean 0 and standard deviation 1, and its answers are restored with 64 bits."""
    return Scale(float(target.mean()), float(target.std())) if task == "regression" else None


def scaled(target: NDArray[Any], schema: Schema) -> NDArray[Any]:
    """Returns the target as an estimator is fitted to it: shape (rows,)."""
    scale = schema.target_scale
    return (target - scale.offset) / scale.factor if scale else target


def fit_estimator(
    params: TrainParams,
    table: pd.DataFrame,
    target: NDArray[Any],
    inputs: Inputs,
    schema: Schema,
) -> Any:
    """Returns the chosen architecture, fitted. Raises ExportError if it cannot be exported, ParameterError if
    its library refuses the hyperparameters, and DataError if a column has too many categories for it, or if
    the weights of classes do not fit it or the target."""
    architecture = ARCHITECTURES[params.architecture]
    try:
        with library_errors(params):
            estimator = architecture(inputs, params.seed, **params.hyperparameters)
    except OSError as error:  # LightGBM takes OpenMP from the system
        raise OtherLibraries(
            f"{params.architecture} needs a library of the system: {error}. On Debian and Ubuntu: "
            "`apt-get install libgomp1`; on macOS: `brew install libomp`"
        ) from error
    export.refuse_unexportable(estimator, schema.task)
    boosters.refuse_many_categories(estimator, matrix_columns(schema)["categories"])
    weights = row_weights(params.class_weights, target, schema.classes)
    with fitting_threads(table.size), reported_iterations(estimator) as options:
        weighted = fit_weights(estimator, weights)
        with library_errors(params):
            return estimator.fit(table, target, **options, **weighted)


@contextmanager
def library_errors(params: TrainParams) -> Iterator[None]:
    """Turns an error with which a library refuses values into ParameterError."""
    try:
        yield
    except Exception as error:
        # The error of LightGBM is of no kind that Python knows.
        is_of_values = isinstance(error, ValueError | ArithmeticError | MemoryError)
        if not is_of_values and type(error).__name__ != "LightGBMError":
            raise
        values = ", ".join(f"{name} {value}" for name, value in params.hyperparameters.items())
        raise ParameterError(
            f"train.architectures.{params.architecture} can't be fitted with "
            f"{values or 'its defaults'}: {' '.join(str(error).split())}"
        ) from error


def chosen_threshold(rule: ThresholdParams, model: bytes, schema: Schema) -> float:
    """Returns the threshold for the model by the rule, on all validation rows."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, MODEL).write_bytes(model)
        write_schema(schema, Path(folder, SCHEMA))
        rows, predictions = answer_split("validation", Predictor(Path(folder)))
    return choose_threshold(rule, rows.target, predictions.probabilities[:, 1])


def describe_inputs(inputs: Matrices, schema: Schema) -> Inputs:
    """Returns what an architecture is told of its inputs. The known values of a derived category column are
    those in the training rows."""
    known = {
        column.name: (*column.categories, *([""] if column.missing else []))
        for column in schema.columns
    }
    named = (
        zip(matrix_columns(schema)["categories"], inputs["categories"].T, strict=True)
        if "categories" in inputs
        else ()
    )
    categories = tuple(known.get(name) or tuple(sorted(set(values))) for name, values in named)
    numbers = inputs["numbers"].shape[1] if "numbers" in inputs else 0
    rows = len(next(iter(inputs.values())))
    return Inputs(numbers, categories, schema.task, rows)


def check_features(schema: Schema) -> None:
    """Raises DataError for a derived column that is computed from a column that the schema does not have, or
    that has the name of one that it has."""
    columns = [column.name for column in schema.columns]
    for name, (_, function) in DERIVED.items():
        if name in columns:
            raise DataError(
                f"science/features.py: {name} has the name of a column of the prepared table, which it would "
                "replace: give the function another name"
            )
        for argument in arguments(function):
            if argument not in columns:
                raise DataError(
                    f"science/features.py: {name} takes {argument!r}, which is not a column of the "
                    f"prepared table ({', '.join(columns)}): name another column, or remove {name}"
                )
