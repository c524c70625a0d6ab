"""The cells of records, as the columns that the model takes, and what is wrong with them.

The rules are those of mlops/contract/contract.py, asked of a whole column at once; what is wrong with a row
that they reject is put into words by the contract itself.
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


@dataclass(frozen=True)
class Numbers:
    """`values` is NaN where a cell is unknown, and where it is no number."""

    values: NDArray[np.float64]
    unknown: Mask
    cells: pa.Array

    def faults(self, column: Column) -> dict[Kind, Mask]:
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
        """As a client would send it."""
        if self.unknown[row]:
            return None
        value = float(self.values[row])
        if np.isnan(value):
            return self.cells[row].as_py()
        return int(value) if value.is_integer() and abs(value) < 2**53 else value


@dataclass(frozen=True)
class Texts:
    """Each row's text by its number in `words`, which holds "" for what is unknown."""

    words: NDArray[Any]
    numbers: NDArray[np.int32]

    @property
    def values(self) -> NDArray[Any]:
        values: NDArray[Any] = self.words[self.numbers]
        return values

    def faults(self, column: Column) -> dict[Kind, Mask]:
        unknown = np.array([word == "" for word in self.words])
        unseen = np.array([word not in column.categories for word in self.words])
        return {
            "category": (unseen & ~unknown)[self.numbers],
            "missing_value": (unknown & (not column.missing))[self.numbers],
        }

    def cell(self, row: int) -> object:
        return self.words[self.numbers[row]] or None

    def count_words(self, rows: Mask) -> Counter[str]:
        found: Counter[str] = Counter()
        numbers = np.bincount(self.numbers[rows], minlength=len(self.words))
        for word, number in zip(self.words, numbers.tolist(), strict=True):
            found[word] += number
        return found


Cells = Mapping[str, Numbers | Texts]


def read_cells(columns: Mapping[str, pa.Array], schema: Schema) -> Cells:
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
    """Each text once, however many cells hold it."""
    found = [text_of(cell or "") for cell in cells.dictionary.to_pylist()]
    known = [not is_missing(text, missing) for text in found]
    values = [number_of(text) if here else np.nan for text, here in zip(found, known, strict=True)]
    positions = cells.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)
    unknown = ~np.array([*known, False])
    return Numbers(np.array([*values, np.nan])[positions], unknown[positions], cells)


def text_cells(cells: pa.Array, missing: tuple[str, ...]) -> Texts:
    found = dictionary_encoded(cells)
    words = [text_of(cell or "") for cell in found.dictionary.to_pylist()]
    known = ["" if is_missing(word, missing) else word for word in words]
    positions = found.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
    return Texts(np.array([*known, ""], object), positions)


def dictionary_encoded(cells: pa.Array) -> pa.DictionaryArray:
    if pa.types.is_dictionary(cells.type):
        return cells
    return cells.cast(pa.string()).dictionary_encode()


def is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return any(fits(kind) for fits in (types.is_dictionary, types.is_string, types.is_large_string))


class Judge:
    """What the schema's policy makes of each fault."""

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
        """The rows that are rejected; the warnings of the others, by column and kind."""
        rejected = np.zeros(rows, bool)
        warned = {}
        for column in self._columns:
            for kind, mask in cells[column.name].faults(column).items():
                if self._severity[kind] == "error":
                    rejected |= mask
                else:
                    warned[f"{column.name}: {kind}"] = mask
        counts = {what: int((mask & ~rejected).sum()) for what, mask in warned.items()}
        return rejected, Counter({what: number for what, number in counts.items() if number})


def take_rows(cells: Cells, rows: Mask) -> Columns:
    return {name: column.values[rows] for name, column in cells.items()}
