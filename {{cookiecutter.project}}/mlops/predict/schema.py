"""The input schema of a model: the columns of a row, and the classes of an answer."""

from pathlib import Path
from typing import Literal

import msgspec

from mlops.predict import bundle_file
from mlops.predict.dialect import Dialect

ColumnType = Literal["integer", "number", "boolean", "category"]
Severity = Literal["error", "warning"]
Value = bool | int | float | str


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input column, with the values that training saw in it: bounds of numbers, and categories."""

    name: str
    type: ColumnType
    example: Value
    missing: bool
    minimum: int | float | None = None
    maximum: int | float | None = None
    categories: tuple[str, ...] = ()


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

    def example(self) -> dict[str, Value]:
        return {column.name: column.example for column in self.columns}


def read_schema(path: Path) -> Schema:
    """Returns the schema in a file. Raises BundleError if the file is missing or holds anything else."""
    return bundle_file.read_struct(path, Schema, "an input schema")


def write_schema(schema: Schema, path: Path) -> None:
    bundle_file.write_struct(schema, path)
