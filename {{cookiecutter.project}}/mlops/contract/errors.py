"""The reasons for which rows are not answered.

AnswerError
└── InputError          the rows break the input contract
    ├── MalformedBody   the body is not JSON
    └── TooManyRows
"""

from collections.abc import Sequence

from mlops.contract.faults import Fault
from mlops.predict.errors import AnswerError


class InputError(AnswerError):
    """The rows break the contract. `faults` are the first faults, errors before warnings, and `more` counts
    the others; it is empty if the message says everything, as for a body that is not JSON."""

    def __init__(self, message: str, faults: Sequence[Fault] = (), more: int = 0) -> None:
        super().__init__(message)
        self.faults = list(faults)
        self.more = more


class MalformedBody(InputError):
    """The body is not JSON, or an object in it has a field twice."""


class TooManyRows(InputError):
    """The list holds more rows than one request may hold."""
