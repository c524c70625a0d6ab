"""Converts the cells of records to the columns that the model takes, and finds their faults.

The rules are those of mlops/contract/contract.py, applied to a whole column at once. The contract itself
describes the faults of the rows that are rejected.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlops.contract.contract import column_bounds
from mlops.contract.faults import Kind
from mlops.predict.cells import LARGEST, is_missing, number_of, text_of
from mlops.predict.inputs import Columns
from mlops.predict.schema import Column, Schema, Severity

Mask = NDArray[np.bool_]
"""One bool for each row, of shape (rows,)."""


@dataclass(frozen=True)
class Numbers:
    """A number column. Each of its fields is of shape (rows,): `values` are the numbers, and NaN if a cell is
    missing or is not a number; `unknown` tells which cells are missing; `cells` are the cells as they were
    read."""

    values: NDArray[np.float64]
    unknown: Mask
    cells: pa.Array

    def faults(self, column: Column) -> dict[Kind, Mask]:
        """Returns the rows with a fault, by kind of fault."""
        with np.errstate(invalid="ignore"):
            finite = np.abs(self.values) <= LARGEST
            whole = self.values % 1 == 0 if column.type == "integer" else finite
            low, high = column_bounds(column)
            inside = (low <= self.values) & (self.values <= high)
        good = finite & whole
        return {
            "type": ~self.unknown & ~good,
            "range": good & ~inside,
            "missing_value": self.unknown & (not column.missing),
        }

    def cell(self, row: int) -> object:
        """Returns the cell of a row as a client of the service would send it."""
        if self.unknown[row]:
            return None
        value = float(self.values[row])
        if np.isnan(value):
            return self.cells[row].as_py()
        return int(value) if value.is_integer() and abs(value) < 2**53 else value


@dataclass(frozen=True)
class Texts:
    """A category column. `words` are its distinct texts, with "" for a missing one, and `numbers`, of shape
    (rows,), is the position in `words` of the text of each row."""

    words: NDArray[Any]
    numbers: NDArray[np.int32]

    @property
    def values(self) -> NDArray[Any]:
        """Returns the text of each row, of shape (rows,)."""
        values: NDArray[Any] = self.words[self.numbers]
        return values

    def faults(self, column: Column) -> dict[Kind, Mask]:
        """Returns the rows with a fault, by kind of fault."""
        unknown = np.array([word == "" for word in self.words])
        unseen = np.array([word not in column.categories for word in self.words])
        return {
            "category": (unseen & ~unknown)[self.numbers],
            "missing_value": (unknown & (not column.missing))[self.numbers],
        }

    def cell(self, row: int) -> object:
        """Returns the cell of a row as a client of the service would send it."""
        return self.words[self.numbers[row]] or None

    def count_words(self, rows: Mask) -> Counter[str]:
        """Returns how often each text occurs in the rows of a mask."""
        counts: Counter[str] = Counter()
        per_position = np.bincount(self.numbers[rows], minlength=len(self.words))
        for word, count in zip(self.words, per_position.tolist(), strict=True):
            counts[word] += count
        return counts


Cells = Mapping[str, Numbers | Texts]


def read_cells(columns: Mapping[str, pa.Array], schema: Schema) -> Cells:
    """Returns the columns of the schema by name. Each of `columns` is of shape (rows,)."""
    return {
        column.name: text_cells(columns[column.name], schema.missing)
        if column.type == "category"
        else number_cells(columns[column.name], schema.missing)
        for column in schema.columns
    }


def number_cells(cells: pa.Array, missing: tuple[str, ...]) -> Numbers:
    if is_text(cells.type):
        return parse_numbers(dictionary_encoded(cells), missing)
    unknown = cells.is_null().to_numpy(zero_copy_only=False)
    values = cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return Numbers(values + 0.0, unknown, cells)  # as in training: -0 becomes the 0 that it equals


def parse_numbers(cells: pa.DictionaryArray, missing: tuple[str, ...]) -> Numbers:
    """Returns text cells as numbers. Each distinct text is parsed once."""
    texts = [text_of(cell or "") for cell in cells.dictionary.to_pylist()]
    known = [not is_missing(text, missing) for text in texts]
    values = [
        number_of(text) if is_known else np.nan for text, is_known in zip(texts, known, strict=True)
    ]
    positions = cells.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    unknown = ~np.array([*known, False])
    return Numbers(np.array([*values, np.nan])[positions], unknown[positions], cells)


def text_cells(cells: pa.Array, missing: tuple[str, ...]) -> Texts:
    encoded = dictionary_encoded(cells)
    texts = [text_of(cell or "") for cell in encoded.dictionary.to_pylist()]
    words = ["" if is_missing(text, missing) else text for text in texts]
    positions = encoded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
    return Texts(np.array([*words, ""], object), positions)


def dictionary_encoded(cells: pa.Array) -> pa.DictionaryArray:
    if pa.types.is_dictionary(cells.type):
        return cells
    return cells.cast(pa.string()).dictionary_encode()


def is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return any(fits(kind) for fits in (types.is_dictionary, types.is_string, types.is_large_string))


class Judge:
    """Decides which rows are rejected, by the policy of a schema."""

    def __init__(self, schema: Schema) -> None:
        policy = schema.policy
        self._columns = schema.columns
        self._severity: dict[Kind, Severity] = {
            "type": "error",
            "missing_value": policy.missing_value,
            "category": policy.unknown_category,
            "range": policy.out_of_range,
        }

    def judge(self, cells: Cells, rows: int) -> tuple[Mask, Counter[str]]:
        """Returns the rows that are rejected, and how many of the other rows have each warning, which is
        named by column and kind of fault."""
        rejected = np.zeros(rows, bool)
        warned = {}
        for column in self._columns:
            for kind, mask in cells[column.name].faults(column).items():
                if self._severity[kind] == "error":
                    rejected |= mask
                else:
                    warned[f"{column.name}: {kind}"] = mask
        counts = {warning: int((mask & ~rejected).sum()) for warning, mask in warned.items()}
        return rejected, Counter({warning: count for warning, count in counts.items() if count})


def take_rows(cells: Cells, rows: Mask) -> Columns:
    """Returns the values of the rows of a mask, by column."""
    return {name: column.values[rows] for name, column in cells.items()}
