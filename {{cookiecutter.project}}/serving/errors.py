"""Why there is no answer.

ServingError
├── BundleError     the files of a bundle are missing, broken or do not fit this code
└── InputError      the row asked about breaks the input schema
"""


class ServingError(Exception):
    pass


class BundleError(ServingError):
    pass


class InputError(ServingError):
    pass
