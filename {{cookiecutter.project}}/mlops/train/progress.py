"""Says how far a long training is, for the boosters: scikit-learn's, LightGBM and XGBoost."""

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

from mlops.stage import Progress
from mlops.train import boosters

Advance = Callable[[int], None]
"""A function that is called with the number of iterations that are done."""


def report_iterations(total: int) -> Advance:
    """Returns a function that shows how many iterations of a long training are done."""
    progress = Progress()
    return lambda done: progress.show(f"train: iteration {done:,} of {total:,}")


@contextlib.contextmanager
def reported_iterations(estimator: Any) -> Iterator[dict[str, Any]]:
    """While the context is open, a booster behind `native_categories` reports its iterations as it is fitted.
    Gives the arguments that the method `fit` of the estimator needs for that."""
    booster = boosters.native_booster(estimator)
    kind = type(booster).__name__
    if kind.startswith("LGBM"):
        advance = report_iterations(booster.n_estimators)
        name, _ = estimator.steps[-1]
        yield {f"{name}__callbacks": [lambda state: advance(state.iteration + 1)]}
    elif kind.startswith("XGB"):
        advance = report_iterations(booster.get_num_boosting_rounds())
        booster.set_params(callbacks=[xgboost_callback(advance)])
        yield {}
        booster.set_params(callbacks=None)
    elif kind.startswith("HistGradientBoosting"):
        verbose = booster.verbose
        booster.set_params(verbose=2)  # it prints "[7/150] " when it begins an iteration
        with contextlib.redirect_stdout(Lines(report_iterations(booster.max_iter))):
            yield {}
        booster.set_params(verbose=verbose)
    else:
        yield {}


def xgboost_callback(advance: Advance) -> Any:
    from xgboost.callback import TrainingCallback

    class Callback(TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            advance(epoch + 1)
            return False

    return Callback()


class Lines(io.TextIOBase):
    """A stream that finds the numbers of iterations in what is written to it, and writes nothing."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def write(self, text: str) -> int:
        if begun := re.match(r"\[(\d+)/", text):
            self._advance(int(begun[1]) - 1)
        return len(text)
