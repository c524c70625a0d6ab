"""Why rows are not answered.

AnswerError
└── InputError          the rows asked about break the input contract
    ├── MalformedBody   they are no JSON
    └── TooManyRows
"""

from collections.abc import Sequence

from mlops.contract.faults import Fault
from mlops.predict.errors import AnswerError


class InputError(AnswerError):
    """`faults` are the first of them, errors before warnings, and `more` counts those beyond; there
    is none where the message says it all, of a body that is no JSON for one."""

    def __init__(self, message: str, faults: Sequence[Fault] = (), more: int = 0) -> None:
        super().__init__(message)
        self.faults = list(faults)
        self.more = more


class MalformedBody(InputError):
    pass


class TooManyRows(InputError):
    pass
