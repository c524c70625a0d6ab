"""Architectures: the estimators that `train.architecture` in params.yaml can name.

To add one, write a function under `@architecture`. It gets the shape of the inputs and the seed;
its keyword arguments are its hyperparameters. It returns a scikit-learn estimator for a table whose
first columns are the numbers (NaN for missing), the others the categories ("" for missing). Then
give it a block of its own under `train.architectures` in params.yaml.

scikit-learn takes seconds to import, and every stage asks this module which architectures there
are: so each function imports what it uses.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, create_model

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline


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


Architecture = Callable[..., "Pipeline"]

ARCHITECTURES: dict[str, Architecture] = {}


def architecture(function: Architecture) -> Architecture:
    ARCHITECTURES[function.__name__] = function
    return function


@architecture
def logistic_regression(
    inputs: Inputs, seed: int, *, inverse_penalty: float, iterations: int
) -> "Pipeline":
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(C=inverse_penalty, max_iter=iterations, random_state=seed)
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_pipeline(one_hot(inputs, numbers), model)


@architecture
def random_forest(inputs: Inputs, seed: int, *, trees: int, leaves: int) -> "Pipeline":
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    model = RandomForestClassifier(
        n_estimators=trees, max_leaf_nodes=leaves, random_state=seed, n_jobs=-1
    )
    return make_pipeline(one_hot(inputs, SimpleImputer(strategy="median")), model)


@architecture
def gradient_boosting(
    inputs: Inputs, seed: int, *, iterations: int, learning_rate: float, leaves: int
) -> "Pipeline":
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline

    model = HistGradientBoostingClassifier(
        max_iter=iterations,
        learning_rate=learning_rate,
        max_leaf_nodes=leaves,
        categorical_features=None,
        early_stopping=False,
        random_state=seed,
    )
    return make_pipeline(one_hot(inputs, "passthrough"), model)


def one_hot(inputs: Inputs, numbers: Any) -> "ColumnTransformer":
    """Numbers through `numbers`, each category as columns of 0 and 1, all 0 for an unknown."""
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


def hyperparameters(function: Architecture) -> type[BaseModel]:
    """The keyword arguments of an architecture, as a strict model of its block in params.yaml."""
    fields = {
        name: (parameter.annotation, ...)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return create_model(function.__name__, __config__=config, **fields)  # type: ignore[call-overload,no-any-return]
