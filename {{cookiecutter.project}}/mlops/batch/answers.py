"""Defines the columns in which the answers to the rows of a batch are stored: one layout for every task."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlops.predict.schema import Schema
from mlops.predict.task import Predictions, Task

KEY = pa.field("row_key", pa.string(), nullable=False)

ANSWERS: Mapping[Task, pa.Schema] = {
    "binary": pa.schema(
        [
            pa.field("prediction", pa.string()),
            pa.field("probability_negative", pa.float32()),
            pa.field("probability_positive", pa.float32()),
        ]
    ),
    "multiclass": pa.schema(
        [
            pa.field("prediction", pa.string()),
            pa.field("probability", pa.float32()),
            pa.field("probabilities", pa.string()),
        ]
    ),
    "regression": pa.schema([pa.field("number", pa.float64())]),
}
"""The columns of the answer to a row. `prediction` is a class, and `number` a number that is predicted. Of
more than two classes, `probability` is that of the predicted one, and `probabilities` a JSON object with that
of each. The probabilities are those of the model, bit for bit."""

ANSWER_COLUMNS = pa.unify_schemas([*ANSWERS.values()])
"""The columns of the answers of all tasks. A destination holds each of them, null where a task has none."""

ROWS: Mapping[Task, pa.Schema] = {
    task: pa.schema([KEY, *answers]) for task, answers in ANSWERS.items()
}
"""The columns that a batch yields for each row."""


def answer_columns(schema: Schema, predictions: Predictions) -> pa.RecordBatch:
    """Returns the predictions as the columns that are stored."""
    kind, probabilities = ANSWERS[schema.task].field(0).type, predictions.probabilities
    answers = pa.array(predictions.answers, kind)
    match schema.task:
        case "binary":
            columns = [answers, *columns_of(probabilities)]
        case "multiclass":
            chosen = pc.index_in(answers, pa.array(schema.classes)).to_numpy()
            likeliest = pa.array(probabilities[np.arange(len(chosen)), chosen])
            columns = [answers, likeliest, json_objects(schema.classes, columns_of(probabilities))]
        case "regression":
            columns = [answers]
    return pa.RecordBatch.from_arrays(columns, schema=ANSWERS[schema.task])


def columns_of(matrix: NDArray[np.float32]) -> list[pa.Array]:
    """Returns the columns of a matrix of shape (rows, columns), each of shape (rows,)."""
    return [pa.array(column) for column in np.ascontiguousarray(matrix.T)]


def json_objects(names: Sequence[str], columns: Sequence[pa.Array]) -> pa.Array:
    """Returns a JSON object for each row as text, whose keys are the names of the columns of numbers."""
    parts: list[Any] = []
    for name, column in zip(names, columns, strict=True):
        parts += [f"{', ' if parts else '{'}{json.dumps(name)}: ", column.cast(pa.string())]
    return pc.binary_join_element_wise(*parts, "}", "")
