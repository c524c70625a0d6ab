"""Proposes what to try next, from what was tried: Optuna's tree-structured Parzen estimator (Bergstra et al.,
Algorithms for Hyper-Parameter Optimization, 2011), over an architecture and the hyperparameters of it."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from mlops.architectures import Between, Range
from mlops.trials import Trial

DIGITS = 3
"""The significant digits of a number that is not whole: more would only make params.yaml hard to read."""

STATES = {"done": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
ARCHITECTURE = "architecture"

Space = Mapping[str, Mapping[str, Range]]
"""The ranges of the hyperparameters of each architecture."""


@dataclass(frozen=True)
class Proposal:
    """An architecture and all its hyperparameters. `asked` is Optuna's trial, or None if Optuna did not
    propose it."""

    architecture: str
    values: Mapping[str, Any]
    asked: optuna.Trial | None = None


class Sampler(optuna.samplers.TPESampler):
    """Proposes numbers of few digits, so that a trial is measured with the very values that are recorded."""

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        values = super().sample_relative(study, trial, search_space)
        return {name: rounded(value, search_space[name]) for name, value in values.items()}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        value = super().sample_independent(study, trial, param_name, param_distribution)
        return rounded(value, param_distribution)


def rounded(value: Any, distribution: BaseDistribution) -> Any:
    """Returns a number that is not whole with DIGITS significant digits, within the bounds of its range."""
    if not isinstance(distribution, FloatDistribution):
        return value
    return min(max(float(f"{value:.{DIGITS}g}"), distribution.low), distribution.high)


class Proposer:
    """Proposes trials. The sequence of proposals depends on the seed and on what was told alone, so that a
    search that was interrupted goes on as if it had not been."""

    def __init__(
        self, space: Space, values: Mapping[str, Mapping[str, Any]], seed: int, workers: int
    ) -> None:
        """Proposes values of `space`; `values` has those of the hyperparameters that are not in it."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "Choices for a categorical")  # a choice may be a list
        self._distributions = {
            architecture: {
                f"{architecture}.{name}": distribution(each, values[architecture][name])
                for name, each in ranges.items()
            }
            for architecture, ranges in space.items()
        }
        self._architectures = CategoricalDistribution([*space])
        self._values = values
        self._seed = seed
        self._workers = workers
        self._study = optuna.create_study(pruner=optuna.pruners.WilcoxonPruner(p_threshold=0.1))

    def propose(self) -> Proposal:
        told = len(self._study.trials)
        seed = int(np.random.SeedSequence([self._seed, told]).generate_state(1)[0])
        self._study.sampler = Sampler(
            seed=seed, multivariate=True, group=True, constant_liar=self._workers > 1
        )
        asked = self._study.ask()
        architecture = suggest(asked, ARCHITECTURE, self._architectures)
        proposed = {
            name.partition(".")[2]: suggest(asked, name, each)
            for name, each in self._distributions[architecture].items()
        }
        return Proposal(architecture, {**self._values[architecture], **proposed}, asked)

    def is_hopeless(self, asked: optuna.Trial, losses: Sequence[float]) -> bool:
        """Returns whether the losses so far are clearly worse than those of the best trial on the same parts
        of the rows, by a signed-rank test."""
        asked.report(losses[-1], len(losses) - 1)
        return asked.should_prune()

    def tell(self, trial: Trial, asked: optuna.Trial | None = None) -> None:
        """Takes a trial into account, which was `asked` for here or comes from elsewhere."""
        if asked:
            state = STATES[trial.state]
            self._study.tell(asked, trial.loss, state)
        elif trial.architecture in self._distributions:
            distributions = self._distributions[trial.architecture]
            params = {name: trial.values[name.partition(".")[2]] for name in distributions}
            with suppress(ValueError):  # a value that no logarithm has is of no use to Optuna
                self._study.add_trial(
                    create_trial(
                        state=STATES[trial.state],
                        value=trial.loss,
                        params={ARCHITECTURE: trial.architecture, **params},
                        distributions={ARCHITECTURE: self._architectures, **distributions},
                        intermediate_values=dict(enumerate(trial.losses)),
                    )
                )


def suggest(asked: optuna.Trial, name: str, values: BaseDistribution) -> Any:
    if isinstance(values, IntDistribution):
        return asked.suggest_int(name, values.low, values.high, log=values.log)
    if isinstance(values, FloatDistribution):
        return asked.suggest_float(name, values.low, values.high, log=values.log)
    assert isinstance(values, CategoricalDistribution)
    return asked.suggest_categorical(name, values.choices)


def distribution(values: Range, present: Any) -> BaseDistribution:
    """Returns Optuna's form of a range. The value that params.yaml has is always part of it."""
    if not isinstance(values, Between):
        return CategoricalDistribution([*values, *([] if present in values else [present])])
    numbers = [values.low, values.high]
    if isinstance(present, int | float) and (present > 0 or not values.log):
        numbers += [present]
    low, high = min(numbers), max(numbers)
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(int(low), int(high), log=values.log)
    return FloatDistribution(low, high, log=values.log)
