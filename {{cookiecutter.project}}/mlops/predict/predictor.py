"""Loads a bundle and predicts with it. This is the only module that runs a model."""

from collections.abc import Sequence
from dataclasses import dataclass
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

MODEL = "model.onnx"
SCHEMA = "schema.json"

DECIMALS = 5
"""Probabilities that agree in this many decimals count as equal, so that scikit-learn and ONNX, which
differ in the last bits, choose the same class at a tie."""


@dataclass(frozen=True)
class Predictions:
    """`labels` has shape (rows,), `probabilities` (rows, 2) in the order of the schema's classes."""

    labels: NDArray[Any]
    probabilities: NDArray[np.float32]

    @classmethod
    def joined(cls, predictions: Sequence["Predictions"]) -> "Predictions":
        """Returns the predictions for the rows of all parts, in their order."""
        return cls(
            np.concatenate([each.labels for each in predictions]),
            np.concatenate([each.probabilities for each in predictions]),
        )

    def take(self, rows: slice | NDArray[Any]) -> "Predictions":
        """Returns the predictions of some of the rows, by their positions or a mask."""
        return Predictions(self.labels[rows], self.probabilities[rows])


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
        """Predicts rows, given as columns of the table of shape (rows,), the derived ones not included."""
        inputs = arrange_matrices(columns, self._matrix_columns, self._date_parts)
        (probabilities,) = self._session.run(["probabilities"], inputs)
        # The trees of a forest add up in 32 bits, to 1.0000001 at times.
        probabilities = probabilities.clip(0, 1)
        return Predictions(likeliest_labels(self.schema, probabilities), probabilities)


def likeliest_labels(schema: Schema, probabilities: NDArray[Any]) -> NDArray[Any]:
    """Returns the likelier class of each row, the first one at a tie: shape (rows,)."""
    classes: NDArray[Any] = np.asarray(schema.classes, object)
    likeliest: NDArray[Any] = classes[probabilities.round(DECIMALS).argmax(axis=1)]
    return likeliest


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
