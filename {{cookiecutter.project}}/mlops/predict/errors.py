"""The reasons for which there is no answer. The rooms contract and service add kinds of AnswerError."""

from collections.abc import Sequence

from mlops.errors import MlopsError


class AnswerError(MlopsError):
    """An answer cannot be given."""


class BundleError(AnswerError):
    """The files of a bundle are missing, broken or do not fit this code."""


class Unanswered(AnswerError):
    """The model gives NaN or infinity for `rows`, the positions of rows among those that it was asked for."""

    def __init__(self, message: str, rows: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.rows = rows
