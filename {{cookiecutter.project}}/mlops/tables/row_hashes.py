"""Recognizes rows that are repeated, by hashes of their contents, without keeping any row.

A sample holds the smallest hashes among the rows, and how many rows have each (the bottom-k sketch of Cohen
and Kaplan, 2007). The samples of the parts of a table can be merged into the sample of the whole table, which
tells how often the table repeats its rows.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLED = 1000
"""The number of different rows in a sample."""

Hashes = NDArray[np.uint64]
"""One hash for each row or value, of shape (rows,)."""


@dataclass(frozen=True)
class RowSample:
    """The smallest hashes among some rows, in ascending order, and the number of rows that have each: both of
    shape (hashes,)."""

    hashes: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def of_hashes(cls, hashes: Hashes) -> "RowSample":
        """Returns the sample of rows, whose hashes are of shape (rows,)."""
        smallest, rows = np.unique(hashes.view(np.int64), return_counts=True)
        return cls(smallest[:SAMPLED], rows[:SAMPLED])

    @classmethod
    def merged(cls, samples: Sequence["RowSample"]) -> "RowSample":
        """Returns the sample of the rows of all samples together."""
        hashes, positions = np.unique(
            np.concatenate([each.hashes for each in samples]), return_inverse=True
        )
        rows = np.zeros(len(hashes), np.int64)
        np.add.at(rows, positions, np.concatenate([each.rows for each in samples]))
        return cls(hashes[:SAMPLED], rows[:SAMPLED])

    def copies(self) -> int:
        """Returns how often the whole table is repeated: the largest number that divides the number of rows
        of each hash. It is 1 if any row occurs once, so that rows that are equal by chance, or because a
        column is empty, are not taken for copies."""
        return int(np.gcd.reduce(self.rows)) if len(self.rows) else 1


NO_ROWS = RowSample(np.array([], np.int64), np.array([], np.int64))


def row_hashes(columns: Iterable[Hashes]) -> Hashes:
    """Returns a hash of each row, of shape (rows,), from the hashes of its values by column."""
    first, *others = columns
    hashes = mixed_bits(first)
    for values in others:
        hashes = mixed_bits(hashes ^ values)
    return hashes


def number_hashes(values: NDArray[np.float64]) -> Hashes:
    """Returns a hash of each number, of shape (rows,). All NaN have the same hash, and so have 0 and -0."""
    return np.where(np.isnan(values), np.nan, values + 0.0).view(np.uint64)


def text_hashes(texts: Iterable[str]) -> Hashes:
    """Returns a hash of each text, of shape (texts,)."""
    digests = (hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def mixed_bits(values: Hashes) -> Hashes:
    """Returns other numbers for the numbers, one for one, in which every bit depends on every bit (SplitMix64
    of Steele, Lea and Flood, 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
