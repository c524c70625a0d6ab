"""The registry of architectures, and the tools with which science/architectures.py defines them.

Every stage reads the registry, and scikit-learn takes seconds to import, so this module imports it only
when a model is made.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from pydantic import BaseModel, ConfigDict, create_model

from mlops.predict.task import Task


@dataclass(frozen=True)
class Inputs:
    """What a model is given and asked for: how many number columns there are, the known values of each
    category column, the task, and the number of training rows."""

    numbers: int
    categories: tuple[tuple[str, ...], ...]
    task: Task = "binary"
    rows: int = 1000

    @property
    def rows_in_a_leaf(self) -> int:
        """Returns the fewest training rows that a leaf of a boosted tree should have: 20, and less if there
        are under 400 rows, of which no leaves would be left otherwise."""
        return max(2, min(20, self.rows // 20))

    @property
    def number_positions(self) -> list[int]:
        return list(range(self.numbers))

    def choose(self, classifier: type, regressor: type) -> type:
        """Returns the kind of estimator for the task: the regressor if a number is predicted, else the
        classifier."""
        return regressor if self.task == "regression" else classifier

    @property
    def category_positions(self) -> list[int]:
        return list(range(self.numbers, self.numbers + len(self.categories)))


Architecture = Callable[..., Any]
"""A function that takes the inputs, the seed and the hyperparameters, and returns an unfitted estimator of
scikit-learn."""

ARCHITECTURES: dict[str, Architecture] = {}
"""The architectures by name; `train.architecture` in params.yaml names one of them."""


@dataclass(frozen=True)
class Between:
    """The numbers from `low` to `high`, which are whole if both are. With `log`, as many of the tried numbers
    are below the geometric mean of both as above it."""

    low: float
    high: float
    log: bool

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"between({self.low}, {self.high}): the first should be the smaller")
        if self.log and self.low <= 0:
            raise ValueError(f"between({self.low}, {self.high}, log=True): both should be over 0")


Range = Between | Sequence[Any]
"""What `mlops search` may try for a hyperparameter: numbers, or each value of a list."""

SEARCH_RANGES: dict[str, Mapping[str, Range]] = {}
"""The ranges of an architecture's hyperparameters, by its name. One without a range keeps its value."""


def between(low: float, high: float, *, log: bool = False) -> Between:
    """Returns the range of the numbers from `low` to `high`, for `@architecture`. Raises ValueError for an
    empty range, and for one with `log` that is not above 0."""
    return Between(low, high, log)


@overload
def architecture(function: Architecture, /) -> Architecture: ...


@overload
def architecture(**ranges: Range) -> Callable[[Architecture], Architecture]: ...


def architecture(function: Architecture | None = None, /, **ranges: Range) -> Any:
    """Registers a function as the architecture of its name, and returns the function.

    `@architecture(trees=between(50, 500), criterion=["gini", "entropy"])` also says what `mlops search` may
    try for a hyperparameter.

    Raises TypeError unless the function's first two parameters can be given by position (the inputs and the
    seed), and each of the others by name (the hyperparameters), and for a range of anything else.
    """
    if function is None:
        return lambda decorated: register(decorated, ranges)
    return register(function, ranges)


def register(function: Architecture, ranges: Mapping[str, Range]) -> Architecture:
    signature = inspect.signature(function)
    kinds = [each.kind for each in signature.parameters.values()]
    by_position, by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    if kinds[:2] != [by_position] * 2 or not {*kinds} <= {by_position, by_name}:
        raise TypeError(
            f"{function.__name__}{signature} should take the inputs and the seed, then each hyperparameter "
            "by its name"
        )
    known = [*signature.parameters][2:]
    for name, values in ranges.items():
        if name not in known:
            raise TypeError(
                f"{function.__name__}{signature} has no hyperparameter {name!r}, for which @architecture "
                "gives a range"
            )
        if not isinstance(values, Between | list | tuple) or not values:
            raise TypeError(
                f"@architecture({name}={values!r}) of {function.__name__} should be between(LOW, HIGH) or a "
                "list of values"
            )
    ARCHITECTURES[function.__name__] = function
    SEARCH_RANGES[function.__name__] = ranges
    return function


def hyperparameters(function: Architecture) -> type[BaseModel]:
    """Returns a strict model of the architecture's block in params.yaml: a field for each argument of the
    function after the inputs and the seed. A field whose argument has no type takes any value."""
    _, _, *parameters = inspect.signature(function).parameters.values()
    fields = {
        each.name: (Any if each.annotation is each.empty else each.annotation, ...)
        for each in parameters
    }
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return create_model(function.__name__, __config__=config, **fields)  # type: ignore[call-overload,no-any-return]


def one_hot(inputs: Inputs, numbers: Any) -> Any:
    """Returns a ColumnTransformer that passes the number columns through `numbers`, a transformer of
    scikit-learn, and encodes each category column as columns of 0 and 1, which are all 0 for an unknown
    value."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(
        categories=[list(values) for values in inputs.categories],
        handle_unknown="ignore",
        sparse_output=False,
    )
    parts = [
        ("numbers", numbers, inputs.number_positions),
        ("categories", encoder, inputs.category_positions),
    ]
    return ColumnTransformer([part for part in parts if part[2]])


def native_categories(inputs: Inputs) -> Any:
    """Returns a transformer of scikit-learn that makes codes of the category columns, for a booster that can
    split by category. `category_codes` does the work."""
    from sklearn.preprocessing import FunctionTransformer

    return FunctionTransformer(category_codes, kw_args={"known": inputs.categories})


def category_codes(table: Any, known: tuple[tuple[str, ...], ...]) -> Any:
    """Returns a table as a float32 matrix of the same shape. Numbers stay as they are. The known values of a
    category column become the codes 1, 2, 3 and so on; any other value becomes NaN.

    A missing category ("") is a known value where the training rows have one, so a booster learns what it
    means. An unknown category is one that is not known, such as a rare one: at each split it goes to the side
    to which the booster sends what it does not know.
    """
    import numpy as np
    import pandas as pd

    matrix = np.empty(table.shape, np.float32)
    numbers = table.shape[1] - len(known)
    matrix[:, :numbers] = table.iloc[:, :numbers]
    for position, values in enumerate(known, numbers):
        codes = {value: code for code, value in enumerate(values, 1)}
        numbered, found = pd.factorize(table.iloc[:, position])
        matrix[:, position] = np.array([codes.get(value, np.nan) for value in found])[numbered]
    return matrix
