"""Counts rows in bins: those of the training, and those that are predicted later.

`deploy` writes the reference into the bundle. Counts of later rows, made here with the same bins, can be
compared with it, and the counts of several batches can be added.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from mlops.predict import bundle_file
from mlops.predict.dates import date_text
from mlops.predict.schema import Column, Schema
from mlops.predict.task import Predictions

REFERENCE = "reference.json"
BINS = 10

Counts = NDArray[np.int64]
"""The number of rows in each bin, in the order of the bins' names: shape (bins,)."""


class NumberBins(Struct, frozen=True, tag="number", forbid_unknown_fields=True):
    """The bins of a column of numbers: up to the first edge, up to each next one, over the last, missing.

    The edges are the deciles of the training rows, each once.
    """

    edges: tuple[float, ...]
    rows: tuple[int, ...] = ()

    def count(self, values: NDArray[np.float64]) -> Counts:
        """Returns the rows in each bin, for numbers of shape (rows,) with NaN for missing."""
        up_to = [np.count_nonzero(values <= edge) for edge in self.edges]
        known = len(values) - np.count_nonzero(np.isnan(values))
        return np.diff([0, *up_to, known, len(values)])

    def names(self) -> list[str]:
        """Returns the names of the bins, with as few digits, from six up, as tell the edges apart."""
        texts = ([f"{edge:.{digits}g}" for edge in self.edges] for digits in range(6, 18))
        edges = next(each for each in texts if len({*each}) == len(self.edges))
        return [*(f"up to {edge}" for edge in edges), f"over {edges[-1]}", "(missing)"]


class DateBins(NumberBins, frozen=True, tag="date", forbid_unknown_fields=True):
    """The bins of a column of dates, which are those of the numbers of days since 1970-01-01."""

    def names(self) -> list[str]:
        edges = [*map(date_text, self.edges)]
        return [*(f"up to {edge}" for edge in edges), f"over {edges[-1]}", "(missing)"]


class BooleanBins(Struct, frozen=True, tag="boolean", forbid_unknown_fields=True):
    """The bins of a column of booleans: true, false, missing."""

    rows: tuple[int, ...] = ()

    def count(self, values: NDArray[np.float64]) -> Counts:
        """Returns the rows in each bin, for 1, 0 and NaN for missing, of shape (rows,)."""
        true, false = (np.count_nonzero(values == value) for value in (1, 0))
        return np.array([true, false, len(values) - true - false], np.int64)

    def names(self) -> list[str]:
        return ["true", "false", "(missing)"]


class CategoryBins(Struct, frozen=True, tag="category", forbid_unknown_fields=True):
    """The bins of a column of categories: each that the model knows, any other one, missing."""

    categories: tuple[str, ...]
    rows: tuple[int, ...] = ()

    def count(self, values: NDArray[Any]) -> Counts:
        """Returns the rows in each bin, for text of shape (rows,) with "" for missing."""
        return self.count_values(Counter(values.tolist()))

    def count_values(self, found: Counter[str]) -> Counts:
        """Returns the rows in each bin, for rows that are counted by their value."""
        rows = [*(found[category] for category in self.categories), found[""]]
        return np.array([*rows[:-1], found.total() - sum(rows), rows[-1]], np.int64)

    def names(self) -> list[str]:
        return [*self.categories, "(other)", "(missing)"]


class ProbabilityBins(Struct, frozen=True, tag="probability", forbid_unknown_fields=True):
    """The bins of the answers of a binary task: the tenths of the probability of the positive class."""

    rows: tuple[int, ...] = ()

    def count(self, positive: NDArray[np.float32]) -> Counts:
        """Returns the rows in each tenth, for probabilities from 0 to 1 of shape (rows,), with 1 itself in
        the last."""
        tenths = np.minimum((positive * BINS).astype(np.int64), BINS - 1)
        return np.bincount(tenths, minlength=BINS)

    def names(self) -> list[str]:
        return [f"{tenth / BINS:g} to {(tenth + 1) / BINS:g}" for tenth in range(BINS)]


class ClassBins(Struct, frozen=True, tag="class", forbid_unknown_fields=True):
    """The bins of answers that are one of more than two classes: each class."""

    classes: tuple[str, ...]
    rows: tuple[int, ...] = ()

    def count(self, answers: NDArray[Any]) -> Counts:
        """Returns the rows in each class, for text of shape (rows,)."""
        found = Counter(answers.tolist())
        return np.array([found[name] for name in self.classes], np.int64)

    def names(self) -> list[str]:
        return [*self.classes]


Bins = NumberBins | DateBins | BooleanBins | CategoryBins
AnswerBins = ProbabilityBins | ClassBins | NumberBins


class Reference(Struct, frozen=True, forbid_unknown_fields=True):
    """The profile: `columns` counts the training rows, and `answers` the predictions for the test rows."""

    columns: dict[str, Bins]
    answers: AnswerBins


def reference_of(training: Iterable[NDArray[Any]], test: Predictions, schema: Schema) -> Reference:
    """Returns the profile of the training rows, given as the columns of the schema in order, each of shape
    (rows,), and of the predictions for the test rows."""
    columns = {
        column.name: filled_bins(column, values)
        for column, values in zip(schema.columns, training, strict=True)
    }
    answers = empty_answer_bins(schema, test)
    counts = count_answers(answers, test)
    return Reference(columns, msgspec.structs.replace(answers, rows=tuple(counts.tolist())))


def filled_bins(column: Column, values: NDArray[Any]) -> Bins:
    bins = empty_bins(column, values)
    return msgspec.structs.replace(bins, rows=tuple(bins.count(values).tolist()))


def empty_bins(column: Column, values: NDArray[Any]) -> Bins:
    """Returns bins without rows for a column, whose values are of shape (rows,)."""
    match column.type:
        case "category":
            return CategoryBins(column.categories)
        case "boolean":
            return BooleanBins()
        case "date":
            return DateBins(deciles(values).edges)
        case _:
            return deciles(values)


def deciles(values: NDArray[np.float64]) -> NumberBins:
    """Returns bins without rows, whose edges are the deciles of numbers of shape (rows,)."""
    shares = np.arange(1, BINS) / BINS
    edges = np.quantile(values[~np.isnan(values)], shares, method="inverted_cdf")
    return NumberBins(tuple(np.unique(edges).tolist()))


def empty_answer_bins(schema: Schema, test: Predictions) -> AnswerBins:
    """Returns bins without rows for predictions. The edges for numbers are the deciles of those for the test
    rows."""
    match schema.task:
        case "binary":
            return ProbabilityBins()
        case "multiclass":
            return ClassBins(schema.classes)
        case "regression":
            return deciles(test.answers)


def count_answers(bins: AnswerBins, predictions: Predictions) -> Counts:
    """Returns the number of predictions in each bin, of shape (bins,)."""
    if isinstance(bins, ProbabilityBins):
        return bins.count(predictions.probabilities[:, 1])
    return bins.count(predictions.answers)


def read_reference(bundle: Path) -> Reference:
    """Returns the profile in a bundle. Raises BundleError if its file is missing or holds anything else."""
    return bundle_file.read_struct(bundle / REFERENCE, Reference, "a profile of the training")


def write_reference(reference: Reference, bundle: Path) -> None:
    bundle_file.write_struct(reference, bundle / REFERENCE)
