"""Why the service does not start."""

from mlops.predict.errors import AnswerError


class StartError(AnswerError):
    """The service is told something that is missing or impossible."""
