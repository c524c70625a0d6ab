"""What science/architectures.py is written with: the registry of architectures, and what each is given.

scikit-learn takes seconds to import and every stage reads the registry, so nothing here imports it before
a model is made.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model


@dataclass(frozen=True)
class Inputs:
    """How many number columns there are, and the known values of each category column."""

    numbers: int
    categories: tuple[tuple[str, ...], ...]

    @property
    def number_positions(self) -> list[int]:
        return list(range(self.numbers))

    @property
    def category_positions(self) -> list[int]:
        return list(range(self.numbers, self.numbers + len(self.categories)))


Architecture = Callable[..., Any]
"""From the inputs, the seed and the hyperparameters to an estimator of scikit-learn that is not fitted."""

ARCHITECTURES: dict[str, Architecture] = {}
"""The architectures that `train.architecture` in params.yaml can name."""


def architecture(function: Architecture) -> Architecture:
    """Declares an architecture, which has the name of the function.

    Raises TypeError for a function that does not take inputs, seed and hyperparameters by name.
    """
    signature = inspect.signature(function)
    kinds = [each.kind for each in signature.parameters.values()]
    by_position, by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    if kinds[:2] != [by_position] * 2 or not {*kinds} <= {by_position, by_name}:
        raise TypeError(
            f"{function.__name__}{signature} should take the inputs and the seed, then each hyperparameter "
            "by its name"
        )
    ARCHITECTURES[function.__name__] = function
    return function


def hyperparameters(function: Architecture) -> type[BaseModel]:
    """The arguments behind inputs and seed, as a strict model of the architecture's block in params.yaml.

    An argument without a type takes any value.
    """
    _, _, *parameters = inspect.signature(function).parameters.values()
    fields = {each.name: (type_of(each), ...) for each in parameters}
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return create_model(function.__name__, __config__=config, **fields)  # type: ignore[call-overload,no-any-return]


def type_of(parameter: inspect.Parameter) -> Any:
    return Any if parameter.annotation is parameter.empty else parameter.annotation


def one_hot(inputs: Inputs, numbers: Any) -> Any:
    """A ColumnTransformer: numbers through `numbers`, and each category as columns of 0 and 1, all of
    them 0 for an unknown value."""
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
