"""Loads a bundle and predicts with it. This is the only module that runs a model."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mlops.predict import schema
from mlops.predict.derived import DERIVED
from mlops.predict.errors import BundleError
from mlops.predict.inputs import Columns, arrange_matrices, matrix_columns
from mlops.predict.schema import Schema
from mlops.predict.task import Predictions, output_name, refuse_unanswered

MODEL = "model.onnx"
SCHEMA = "schema.json"

DECIMALS = 5
"""Probabilities that agree in this many decimals count as equal, so that scikit-learn and ONNX, which
differ in the last bits, choose the same class at a tie."""


class Predictor:
    """Predicts with the model in `bundle`, a directory with model.onnx and schema.json.

    Raises BundleError if a file is missing or broken, or if the files do not fit each other or this code.
    """

    def __init__(self, bundle: Path) -> None:
        self.schema = schema.read_schema(bundle / SCHEMA)
        refuse_other_features(self.schema, bundle)
        self._session = load_model(bundle / MODEL)
        refuse_other_inputs(self._session, self.schema, bundle)
        self._matrix_columns = matrix_columns(self.schema)
        self._date_parts = self.schema.date_parts()

    def predict(self, columns: Columns) -> Predictions:
        """Predicts rows, given as columns of the table of shape (rows,), the derived ones not included.
        Raises Unanswered if the model gives NaN or infinity for one of them."""
        inputs = arrange_matrices(columns, self._matrix_columns, self._date_parts)
        (output,) = self._session.run([output_name(self.schema.task)], inputs)
        predictions = predictions_of(self.schema, output)
        refuse_unanswered(predictions.numbers)
        return predictions


def predictions_of(schema: Schema, output: NDArray[Any]) -> Predictions:
    """Returns the predictions that the output of a model means: probabilities of shape (rows, classes), or
    numbers of shape (rows, 1)."""
    if schema.task == "regression":
        numbers = output[:, 0].astype(np.float64)
        if scale := schema.target_scale:
            numbers = scale.offset + scale.factor * numbers
        return Predictions(numbers, np.empty((len(numbers), 0), np.float32))
    # The trees of a forest add up in 32 bits, to 1.0000001 at times.
    probabilities = output.clip(0, 1)
    return Predictions(chosen_classes(schema, probabilities), probabilities)


def chosen_classes(schema: Schema, probabilities: NDArray[Any]) -> NDArray[Any]:
    """Returns the class of each row by its probabilities, as text: shape (rows,). It is the positive class
    from the schema's threshold on, or without a threshold the likeliest class, the first one at a tie."""
    classes: NDArray[Any] = np.asarray(schema.classes, object)
    rounded = rounded_probabilities(probabilities)
    if schema.threshold is None:
        chosen = rounded.argmax(axis=1)
    else:
        chosen = (rounded[:, 1] >= schema.threshold).astype(np.intp)
    answers: NDArray[Any] = classes[chosen]
    return answers


def rounded_probabilities(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the probabilities, of any shape, as they are compared with each other and with a threshold:
    with DECIMALS decimals. Those of 32 bits are rounded with 64, or another number would be near."""
    return probabilities.astype(np.float64).round(DECIMALS)


def model_session(model: bytes) -> Any:
    """Returns a session with one thread: more would change the last bits; a service scales by processes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def load_model(file: Path) -> Any:
    try:
        return model_session(file.read_bytes())
    except FileNotFoundError:
        raise BundleError(f"{file} is missing: run `mlops repro`, or `dvc pull`") from None
    except Exception as error:  # onnxruntime raises bare classes of its own, one per failure
        raise BundleError(
            f"{file} can't be loaded as a model: delete it and run `mlops repro` ({error})"
        ) from error


def refuse_other_features(schema: Schema, bundle: Path) -> None:
    if schema.derived != tuple(DERIVED):
        raise BundleError(
            f"{bundle} was trained with the derived columns {list(schema.derived)}, and "
            f"science/features.py has {list(DERIVED)}: use the code of the model's "
            "commit, or train again"
        )


def refuse_other_inputs(session: Any, schema: Schema, bundle: Path) -> None:
    takes = {matrix.name: matrix.shape[1] for matrix in session.get_inputs()}
    described = {matrix: len(names) for matrix, names in matrix_columns(schema).items() if names}
    if takes != described:
        raise BundleError(
            f"{bundle}: the model takes columns of {takes} and {SCHEMA} describes {described}: "
            "they are not from the same training; run `mlops repro`, or `dvc checkout`"
        )
