"""The input schema of a model: the columns of a row, and the classes of an answer."""

from pathlib import Path
from typing import Literal

import msgspec

from mlops.predict import bundle_file
from mlops.predict.dates import HOUR, FirstDay
from mlops.predict.dialect import Dialect
from mlops.predict.task import Task, has_classes_of

ColumnType = Literal["integer", "number", "boolean", "date", "category"]
Severity = Literal["error", "warning"]
Value = bool | int | float | str


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input column, with the values that training saw in it: bounds of numbers and dates, and categories.

    Dates are texts such as "2024-05-01", or "2024-05-01T13:45:00" if they have a time. `parts` names the
    numbers that the model is given for one: its year, its month, its day of the week from 1 for Monday to 7,
    the number of days since `days_since`, and the hour if it has a time.
    """

    name: str
    type: ColumnType
    example: Value
    missing: bool
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None
    categories: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    days_since: FirstDay | None = None

    @property
    def has_time(self) -> bool:
        """Returns whether this is a column of dates with a time."""
        return f"{self.name}.{HOUR}" in self.parts


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a row that can be answered but differs from the training is refused or gets a warning.

    `missing_value` applies to a column that was never missing in training.
    """

    missing_value: Severity = "warning"
    unknown_category: Severity = "warning"
    out_of_range: Severity = "warning"
    extra_column: Severity = "error"


class Scale(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number is `offset + factor * x` for the x that the model predicts."""

    offset: float
    factor: float


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The input schema. `classes` are (negative, positive) of a binary task, all of them in the order of the
    alphabet if there are more, and none if the target is a number. `derived` are the columns that features.py
    adds; `source` says how the files of a table are written.

    `threshold` is the probability from which the answer is the positive class, or None if the likeliest class
    is the answer. `target_scale` makes numbers of what the model of a regression predicts.
    """

    dataset: str
    target: str
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    task: Task = "binary"
    threshold: float | None = None
    target_scale: Scale | None = None
    derived: tuple[str, ...] = ()
    source: Dialect = Dialect()
    policy: Policy = Policy()

    def __post_init__(self) -> None:
        if not has_classes_of(self.task, len(self.classes)):
            raise ValueError(f"{len(self.classes)} classes are not those of the task {self.task}")

    @property
    def positive(self) -> str:
        """Returns the positive class of a binary task."""
        return self.classes[1]

    def names(self, *types: ColumnType) -> list[str]:
        return [column.name for column in self.columns if column.type in types]

    def date_parts(self) -> dict[str, tuple[str, ...]]:
        """Returns the names of the parts of each date column, by its name."""
        return {column.name: column.parts for column in self.columns if column.type == "date"}

    def example(self) -> dict[str, Value]:
        return {column.name: column.example for column in self.columns}


def read_schema(path: Path) -> Schema:
    """Returns the schema in a file. Raises BundleError if the file is missing or holds anything else."""
    return bundle_file.read_struct(path, Schema, "an input schema")


def write_schema(schema: Schema, path: Path) -> None:
    bundle_file.write_struct(schema, path)
