"""The kinds of question that a model answers, and what its answers are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlops.predict.errors import Unanswered

Task = Literal["binary", "multiclass", "regression"]
"""Which of two classes a row has, which of more than two, or a number."""

Output = Literal["probabilities", "predictions"]
"""The output of an ONNX model: the probability of each class, of shape (rows, classes), or the number that is
predicted, of shape (rows, 1)."""


@dataclass(frozen=True)
class Predictions:
    """`answers` has shape (rows,): the class of each row as text, or the number in 64 bits. `probabilities`
    has shape (rows, classes), in the order of the schema's classes, and no columns if numbers are
    predicted."""

    answers: NDArray[Any]
    probabilities: NDArray[np.float32]

    @classmethod
    def joined(cls, predictions: Sequence["Predictions"]) -> "Predictions":
        """Returns the predictions for the rows of all parts, in their order."""
        return cls(
            np.concatenate([each.answers for each in predictions]),
            np.concatenate([each.probabilities for each in predictions]),
        )

    @property
    def numbers(self) -> NDArray[Any]:
        """Returns the numbers that the model gives: the probabilities, of shape (rows, classes), or the
        predictions, of shape (rows,), if it predicts numbers."""
        return self.probabilities if self.probabilities.shape[1] else self.answers

    def take(self, rows: slice | NDArray[Any]) -> "Predictions":
        """Returns the predictions of some of the rows, by their positions or a mask."""
        return Predictions(self.answers[rows], self.probabilities[rows])


def refuse_unanswered(numbers: NDArray[Any]) -> None:
    """Raises Unanswered if a number that a model gives, of shape (rows,) or (rows, classes), is NaN or
    infinite: JSON and databases cannot hold it, and every comparison with NaN is false, so that any bound
    would seem to hold."""
    is_finite = np.isfinite(numbers)
    if not is_finite.all():
        rows = np.flatnonzero(~is_finite.reshape(len(numbers), -1).all(axis=1)).tolist()
        raise Unanswered(
            f"the model answers {len(rows):,} of {len(numbers):,} rows with NaN or infinity: change the "
            "derived column (science/features.py) or the architecture that causes it",
            rows,
        )


def class_positions(answers: NDArray[Any], classes: Sequence[str]) -> NDArray[np.intp]:
    """Returns the position of each answer among the classes: shape (rows,). Raises KeyError for an answer
    that is none of them."""
    positions = {name: position for position, name in enumerate(classes)}
    return np.fromiter((positions[answer] for answer in answers), np.intp, len(answers))


def output_name(task: Task) -> Output:
    """Returns the name of the output that the model of a task has."""
    return "predictions" if task == "regression" else "probabilities"


def has_classes_of(task: Task, classes: int) -> bool:
    """Returns whether a target with this number of classes is one of the task; a number has none."""
    return {"binary": classes == 2, "multiclass": classes > 2, "regression": classes == 0}[task]
