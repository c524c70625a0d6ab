"""Why there is no answer.

ServingError
├── BundleError     the files of a bundle are missing, broken or do not fit this code
├── InputError      the rows asked about break the input contract
│   ├── MalformedBody   they are no JSON
│   └── TooManyRows
└── StartError      the service is told something that is missing or impossible
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.faults import Fault


class ServingError(Exception):
    pass


class BundleError(ServingError):
    pass


class InputError(ServingError):
    """`faults` are the first of them, errors before warnings, and `more` counts those beyond; there
    is none where the message says it all, of a body that is no JSON for one."""

    def __init__(self, message: str, faults: "Sequence[Fault]" = (), more: int = 0) -> None:
        super().__init__(message)
        self.faults = list(faults)
        self.more = more


class MalformedBody(InputError):
    pass


class TooManyRows(InputError):
    pass


class StartError(ServingError):
    pass
