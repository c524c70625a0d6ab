"""The reasons for which the service does not start."""

from mlops.predict.errors import AnswerError


class StartError(AnswerError):
    """A setting, a socket or the API key is missing or impossible."""
