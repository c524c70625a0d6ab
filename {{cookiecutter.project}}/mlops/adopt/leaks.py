"""Finds columns that tell the answer: one that predicts the target almost alone, or a sum that equals it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlops.adopt.columns import Findings
from mlops.tables.cells import Texts

ALMOST_ALONE = 0.95
"""The share of the errors of a guess that a column avoids alone, above which it is named as a leak: errors
of the most frequent class, or the squared errors of the mean."""

SUM = 0.9999
LONGEST_SUM = 4
MOST_COLUMNS = 100
"""The number of columns among which a sum is looked for."""

ROWS = 20_000
"""The number of rows by which leaks are judged."""

FEWEST_ROWS = 40

Answers = NDArray[np.float64]
"""The number to predict, or the position of the class, for each row: shape (rows,)."""


@dataclass(frozen=True)
class Leak:
    """The columns that tell the answer together, and how, in words."""

    columns: tuple[str, ...]
    words: str


def find_leaks(found: Findings, answers: Answers, is_number: bool) -> list[Leak]:
    """Returns the leaks among the columns that are kept. `answers` are NaN for rows without a target."""
    rows = np.flatnonzero(~np.isnan(answers))
    if len(rows) < FEWEST_ROWS:
        return []
    rows = np.random.default_rng(0).permutation(rows)[:ROWS]
    answers = answers[rows]
    leaks = []
    numbers: dict[str, NDArray[np.float64]] = {}
    for column in found.kept:
        values = found.values(column.name)
        if isinstance(values, Texts):
            bins = values.numbers[rows].astype(float)
        else:
            bins = values.values[rows]
            if column.kind in ("integer", "number"):
                numbers[column.name] = bins
        avoided = share_avoided(bins, answers, is_number, isinstance(values, Texts))
        if avoided >= ALMOST_ALONE:
            said = f"it predicts the target almost alone ({avoided:.1%} of the errors of a guess avoided)"
            leaks.append(Leak((column.name,), said))
    if is_number and not leaks:
        leaks += sums(numbers, answers)
    return leaks


def share_avoided(
    values: NDArray[np.float64], answers: Answers, is_number: bool, is_text: bool
) -> float:
    """Returns how much better than a guess a column predicts the second half of the rows, after the first
    half: 1 for without error, 0 for no better. Numbers are cut into intervals with equally many rows."""
    half = len(values) // 2
    codes = intervals(values, half, is_text)
    count = int(codes.max()) + 1
    learnt, tested = codes[:half], codes[half:]
    rows = np.bincount(learnt, minlength=count)
    if is_number:
        mean = answers[:half].mean()
        sums_of = np.bincount(learnt, answers[:half], minlength=count)
        guess = np.where(rows > 0, sums_of / np.maximum(rows, 1), mean)[tested]
        error = ((answers[half:] - guess) ** 2).sum()
        usual = ((answers[half:] - mean) ** 2).sum()
    else:
        classes = answers.astype(int)
        table = np.zeros((count, classes.max() + 1), np.int64)
        np.add.at(table, (learnt, classes[:half]), 1)
        most = np.bincount(classes[:half]).argmax()
        guess = np.where(rows > 0, table.argmax(axis=1), most)[tested]
        error, usual = (guess != classes[half:]).sum(), (most != classes[half:]).sum()
    return 1 - float(error) / float(usual) if usual else 0.0


def intervals(values: NDArray[np.float64], half: int, is_text: bool) -> NDArray[np.int64]:
    """Returns the position of the interval of each value, of shape (rows,); missing values have their own."""
    missing = np.isnan(values)
    known = values[:half][~missing[:half]]
    different = np.unique(known)
    most = max(8, half // 10)
    if is_text or len(different) <= most:
        edges = (different[1:] + different[:-1]) / 2
    else:
        edges = np.unique(np.quantile(known, np.linspace(0, 1, most)[1:-1]))
    return np.where(missing, 0, 1 + np.searchsorted(edges, values))


def sums(columns: dict[str, NDArray[np.float64]], answers: Answers) -> Iterator[Leak]:
    """Yields the smallest sum of columns, each times a number, that equals the target, if there is one.

    A sum may have one column, which the intervals of few rows do not always find.
    """
    complete = {name: v for name, v in columns.items() if not np.isnan(v).any() and v.std() > 0}
    usual = ((answers - answers.mean()) ** 2).sum()

    def fit(names: Sequence[str]) -> tuple[NDArray[np.float64], bool]:
        factors, rest = least_squares([complete[name] for name in names], answers)
        return factors, usual > 0 and 1 - (rest**2).sum() / usual >= SUM

    chosen = list(complete)
    if not 0 < len(chosen) <= MOST_COLUMNS or not fit(chosen)[1]:
        return
    for name in complete:
        fewer = [other for other in chosen if other != name]
        if fewer and fit(fewer)[1]:
            chosen = fewer
    if len(chosen) <= LONGEST_SUM:
        yield Leak(tuple(chosen), f"the target is {formula(chosen, fit(chosen)[0], answers.std())}")


def least_squares(
    columns: Sequence[NDArray[np.float64]], answers: Answers
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the factors of the columns and a constant, of shape (columns + 1,), and what is left of the
    answers, of shape (rows,)."""
    matrix: Answers = np.column_stack([*columns, np.ones(len(answers))])
    factors: Answers = np.asarray(np.linalg.lstsq(matrix, answers, rcond=None)[0], float)
    return factors, answers - matrix @ factors


def formula(names: Sequence[str], factors: NDArray[np.float64], scale: float) -> str:
    *slopes, constant = factors
    terms = [
        ("- " if factor < 0 else "+ ")
        + ("" if abs(abs(factor) - 1) < 1e-3 else f"{abs(factor):.3g} * ")
        + name
        for name, factor in zip(names, slopes, strict=True)
    ]
    if abs(constant) >= 1e-3 * scale:
        terms.append(f"{'-' if constant < 0 else '+'} {abs(constant):.4g}")
    return " ".join(terms).removeprefix("+ ")
