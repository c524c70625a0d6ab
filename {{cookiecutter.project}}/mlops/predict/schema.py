"""The input schema of a model: the columns of a row, and the classes of an answer."""

from pathlib import Path
from typing import Literal

import msgspec

from mlops.predict import bundle_file
from mlops.predict.dates import FirstDay
from mlops.predict.dialect import Dialect

ColumnType = Literal["integer", "number", "boolean", "date", "category"]
Severity = Literal["error", "warning"]
Value = bool | int | float | str


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input column, with the values that training saw in it: bounds of numbers and dates, and categories.

    Dates are texts such as "2024-05-01". `parts` names the numbers that the model is given for one: its year,
    its month, its day of the week from 1 for Monday to 7, and the number of days since `days_since`.
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


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a row that can be answered but differs from the training is refused or gets a warning.

    `missing_value` applies to a column that was never missing in training.
    """

    missing_value: Severity = "warning"
    unknown_category: Severity = "warning"
    out_of_range: Severity = "warning"
    extra_column: Severity = "error"


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The input schema. `classes` are (negative, positive); `derived` are the columns that features.py
    adds; `source` says how the files of a table are written."""

    dataset: str
    target: str
    classes: tuple[str, str]
    columns: tuple[Column, ...]
    derived: tuple[str, ...] = ()
    source: Dialect = Dialect()
    policy: Policy = Policy()

    @property
    def positive(self) -> str:
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
