"""Measures how good an architecture is with some hyperparameters, on rows that it was not fitted to.

For a small table these are training rows, by repeated cross-validation, because few validation rows would
choose by chance. For any other they are the validation rows. The test rows are not read.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops.metrics import loss
from mlops.params import Configuration, TrainParams
from mlops.predict import schema
from mlops.predict.inputs import matrices_of
from mlops.predict.predictor import predictions_of
from mlops.tables import splits
from mlops.train import export, train

SMALL_TABLE = 5_000
"""The number of training rows from which an architecture is measured on the validation rows."""

FOLDS = 5
REPEATS = 3


class Bench:
    """The rows, read once, on which architectures are measured.

    `parts` is the number of parts into which the measured rows fall: the folds of all repetitions, or 1 for
    the validation rows. `rows` says which rows they are, and `metric` is the loss that is measured.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._params = configuration.params.train
        self._schema = schema.read_schema(splits.SCHEMA)
        train.check_features(self._schema)
        self._table, self._target, self._inputs = train.read_training_rows(self._schema)
        scale = train.scale_of(self._target, self._schema.task)
        self._schema = msgspec.structs.replace(self._schema, target_scale=scale)
        self.metric = "log_loss" if self._schema.classes else "rmse"
        rows = len(self._target)
        # Rows that were split by group or time need the same rule in each fold; the validation rows hold it.
        by_row = configuration.params.prepare.split.by in ("row", "class")
        self._folds: list[NDArray[np.bool_]] = []
        if by_row and rows < SMALL_TABLE:
            target, is_class = self._target, bool(self._schema.classes)
            strata = target if is_class else strata_of(target)
            folds = fold_masks(self._table, strata, self._params.seed)
            if is_class:  # no model answers with a class that it was not fitted to
                folds = (held & np.isin(target, target[~held]) for held in folds)
            self._folds = list(folds)
            self.rows = f"{rows:,} training rows, {REPEATS} times {FOLDS}-fold cross-validation"
        else:
            validation = splits.read_split("validation", self._schema)
            matrices = matrices_of(validation.columns, self._schema)
            self._validation = export.table_of(matrices), validation.target
            self.rows = f"{len(validation):,} validation rows"
        self.parts = len(self._folds) or 1

    def measure(self, architecture: str, values: Mapping[str, Any], part: int) -> float:
        """Returns the loss on one part of the rows of the architecture, fitted to the rows beside them."""
        chosen = {"architecture": architecture, "architectures": {architecture: values}}
        params = TrainParams.model_validate({**dict(self._params), **chosen})
        if self._folds:
            held = self._folds[part]
            (known, answers), (table, target) = (
                (self._table[rows], self._target[rows]) for rows in (~held, held)
            )
        else:
            (known, answers), (table, target) = (self._table, self._target), self._validation
        answers = train.scaled(answers, self._schema)
        estimator = train.fit_estimator(params, known, answers, self._inputs, self._schema)
        is_class = bool(self._schema.classes)
        output = estimator.predict_proba(table) if is_class else estimator.predict(table)[:, None]
        return loss(self._schema, target, predictions_of(self._schema, output))


def strata_of(numbers: NDArray[Any]) -> NDArray[np.int64]:
    """Returns a stratum for each row, of shape (rows,): FOLDS rows whose numbers are neighbours. Numbers of
    which no two are equal would have an order that leaves nothing to chance, and so the same folds in each
    repetition."""
    ranks = np.argsort(np.argsort(numbers, kind="stable"), kind="stable")
    return ranks // FOLDS


def fold_masks(table: pd.DataFrame, strata: NDArray[Any], seed: int) -> Iterator[NDArray[np.bool_]]:
    """Yields FOLDS * REPEATS masks of shape (rows,); those of a repetition divide the rows.

    Rows with equal inputs are in the same fold. Folds are of nearly the same size, and have nearly as many
    rows of each stratum. `strata`, of shape (rows,), are the positions of classes, or of `strata_of`.
    """
    hashes = pd.util.hash_pandas_object(table, index=False).to_numpy()
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    for repeat in range(REPEATS):
        shuffled = np.random.default_rng([seed, repeat]).permutation(len(first))
        by_stratum = shuffled[np.argsort(strata[first][shuffled], kind="stable")]
        fold = np.empty(len(first), int)
        fold[by_stratum] = np.arange(len(first)) % FOLDS
        for number in range(FOLDS):
            yield fold[group] == number
