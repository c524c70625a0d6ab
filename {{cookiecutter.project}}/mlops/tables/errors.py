"""Why a table cannot be read."""

from mlops.errors import MlopsError


class SourceError(MlopsError):
    """A file cannot be read, or lacks columns of the model."""
