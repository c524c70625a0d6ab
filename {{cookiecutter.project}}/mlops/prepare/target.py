"""Checks the target, the column that is to be predicted, against the task."""

from collections import Counter
from dataclasses import dataclass, field
from math import ceil, inf, isnan

from mlops.errors import DataError
from mlops.params import PrepareParams
from mlops.prepare.raw import RAW
from mlops.tables.cells import Mask, Numbers, Texts
from mlops.tables.splits import SplitName

SHOWN = 5
SMALLEST_SPREAD = 1e-150


@dataclass
class TargetRows:
    """Some rows by their target: how many there are, how many of each class, and the least and the greatest
    number. There are no classes if the target is a number."""

    count: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    least: float = inf
    greatest: float = -inf

    def add(self, target: Numbers | Texts, rows: Mask) -> None:
        """Adds the rows of a mask."""
        self.count += int(rows.sum())
        if isinstance(target, Texts):
            self.classes.update(target.count_words(rows))
        elif rows.any():
            values = target.values[rows]
            self.least = min(self.least, float(values.min()))
            self.greatest = max(self.greatest, float(values.max()))


def target_classes(rows: TargetRows, params: PrepareParams) -> tuple[str, ...]:
    """Returns the classes of the whole table: the negative and the positive one of a binary task, all in the
    order of the alphabet of a multiclass task, and none if the target is a number.

    Raises DataError if the target is the same in all rows or does not fit the task, or if `prepare.positive`
    is not one of its classes.
    """
    column = f"{RAW}: column {params.target!r}"
    if params.task == "regression":
        if rows.least == rows.greatest:
            raise DataError(f"{column} is {rows.least:g} in all rows: {ANOTHER_TARGET}")
        if (spread := rows.greatest - rows.least) < SMALLEST_SPREAD:
            raise DataError(
                f"{column} holds numbers that differ by {spread:.2g} at most, whose squares are too small "
                "for 64 bits: write them in another unit"
            )
        return ()
    classes = sorted(rows.classes)
    if len(classes) == 1:
        raise DataError(f"{column} is {classes[0]!r} in all rows: {ANOTHER_TARGET}")
    holds = f"{column} holds {len(classes):,} classes ({', '.join(map(repr, classes[:SHOWN]))}"
    holds += ", ...)" if len(classes) > SHOWN else ")"
    if len(classes) == rows.count > 2 or (params.task == "binary" and len(classes) > 2):
        raise DataError(f"{holds} in {rows.count:,} rows: {other_task(classes, rows, params)}")
    if params.task == "multiclass":
        if len(classes) == 2:
            raise DataError(
                f"{holds}, and prepare.task is multiclass: set it to binary in params.yaml, and "
                "prepare.positive to the class that false positives are about"
            )
        return tuple(classes)
    if params.positive is None or params.positive not in classes:
        raise DataError(
            f"params.yaml: prepare.positive: {params.positive!r} is not a class of column "
            f"{params.target!r}; use one of {classes}"
        )
    (negative,) = {*classes} - {params.positive}
    return negative, params.positive


ANOTHER_TARGET = (
    "there is nothing to predict; correct the rows, or name another prepare.target in params.yaml"
)


def other_task(classes: list[str], rows: TargetRows, params: PrepareParams) -> str:
    """Returns what to do about a target that has more classes than its task can have."""
    if not any(isnan(params.source.dialect.number_of(each)) for each in classes):
        task = "they are numbers; to predict a number, set prepare.task to regression"
    elif len(classes) == rows.count:
        return "no two rows have the same one; name another prepare.target in params.yaml"
    else:
        task = "to predict one of them, set prepare.task to multiclass"
    return f"{task} and prepare.positive to null in params.yaml, or correct the rows"


def check_split(
    rows: TargetRows,
    name: SplitName,
    classes: tuple[str, ...],
    params: PrepareParams,
    fraction: float,
) -> None:
    """Raises DataError unless each class is in the split of this name or, if numbers are predicted, different
    numbers are. `fraction` is the share of the table that the environment sees."""
    split = params.split
    cure = "add rows, or give the split a larger share in prepare.split"
    other = f"name another prepare.split.column than {split.column!r}"
    if missing := [each for each in classes if not rows.classes[each]]:
        shares = {"test": split.test, "validation": split.validation}
        share = shares.get(name, 1 - split.test - split.validation) * fraction
        raise DataError(
            f"{RAW}: none of the {rows.count:,} rows of the {name} split is of the class {missing[0]!r} of "
            f"{params.target!r}: about {ceil(3 / share):,} rows of a class in the table are needed for this "
            f"split; {cure}, {other if split.column else 'set prepare.split.by to class'}, or leave the rows "
            "of this class out of the table"
        )
    if not classes and not rows.least < rows.greatest:
        raise DataError(
            f"{RAW}: the {rows.count:,} rows of the {name} split hold no two different numbers of "
            f"{params.target!r}: {cure}{f', or {other}' if split.column else ''}"
        )
