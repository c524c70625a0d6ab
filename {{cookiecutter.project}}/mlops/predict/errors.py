"""The reasons for which there is no answer. The rooms contract and service add kinds of AnswerError."""

from mlops.errors import MlopsError


class AnswerError(MlopsError):
    """An answer cannot be given."""


class BundleError(AnswerError):
    """The files of a bundle are missing, broken or do not fit this code."""
