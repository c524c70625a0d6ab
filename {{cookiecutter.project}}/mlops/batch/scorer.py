"""Scores pieces with the bundle of a deployment. Threads can share a scorer."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlops.batch import columns
from mlops.batch.answers import KEY, answer_columns
from mlops.batch.batches import SOURCE_DIGITS
from mlops.batch.columns import Judge
from mlops.batch.rejects import Reject
from mlops.contract import profile
from mlops.contract.contract import Contract
from mlops.contract.profile import CategoryBins, Counts
from mlops.predict.predictor import Predictor
from mlops.predict.task import Predictions
from mlops.tables import row_hashes
from mlops.tables.cells import Cells, Mask, read_cells
from mlops.tables.files import File
from mlops.tables.keys import key_texts
from mlops.tables.pieces import Piece, Records, Wanted
from mlops.tables.row_hashes import RowSample


@dataclass(frozen=True)
class Scored:
    """The result of scoring a piece. `size` is the number of bytes of the piece and `records` that of its
    records. `positions`, `keys` and `answers` have an item for each scored row: `positions` are those among
    the records, counted from 0, `keys` is None if rows are identified by their number, and `answers` has the
    columns of the task (ANSWERS). `profile` holds the number of rows in each bin, by column, and `sample` a
    sample of the hashes of the rows."""

    file: File
    size: int
    records: int
    positions: NDArray[np.int64]
    keys: pa.Array | None
    answers: pa.RecordBatch
    rejects: Sequence[Reject]
    warnings: Counter[str]
    profile: Mapping[str, Counts]
    sample: RowSample

    def rows(self, before: int) -> pa.RecordBatch:
        """Returns the rows as they are stored. `before` is the number of records of the file in earlier
        pieces."""
        keys = self.keys
        if keys is None:
            numbers = pa.array(self.positions + before + 1).cast(pa.string())
            source = f"{self.file.name}:{self.file.digest[:SOURCE_DIGITS]}"
            keys = pc.binary_join_element_wise(pa.scalar(source), numbers, ":")
        schema = pa.schema([KEY, *self.answers.schema])
        return pa.RecordBatch.from_arrays([keys, *self.answers.columns], schema=schema)


class Scorer:
    def __init__(self, bundle: Path, key: str | None) -> None:
        self._predictor = Predictor(bundle)
        self._reference = profile.read_reference(bundle)
        self.schema = self._predictor.schema
        self.wanted = Wanted.from_schema(self.schema, key)
        self._contract = Contract(self.schema)
        self._judge = Judge(self.schema)

    def __call__(self, piece: Piece) -> Scored:
        records = piece.content.records(self.wanted)
        positions = records.positions
        cells = read_cells(records.columns, self.wanted)
        wrong, warnings = self._judge.judge(cells, len(positions))
        keys = self._keys(records, piece.file.path)
        keyless = np.zeros(len(wrong), bool) if keys is None else keys.is_null().to_numpy(False)
        good = ~(wrong | keyless)
        predictions = self._predictor.predict(columns.take_rows(cells, good))
        return Scored(
            piece.file,
            piece.size,
            records.count,
            positions[good],
            None if keys is None else keys.filter(pa.array(good)),
            answer_columns(self.schema, predictions),
            self._rejects(piece, records, cells, wrong, keyless),
            warnings,
            self._profile(cells, good, predictions),
            RowSample.of_hashes(
                row_hashes.row_hashes(each.hashes()[good] for each in cells.columns.values())
            ),
        )

    def _keys(self, records: Records, file: str) -> pa.Array | None:
        """Returns the keys of the rows, null for a row without a key; None if rows are identified by
        number."""
        key = self.wanted.key
        return None if key is None else key_texts(records.columns[key], file, key)

    def _rejects(
        self, piece: Piece, records: Records, cells: Cells, wrong: Mask, keyless: Mask
    ) -> list[Reject]:
        reasons = {broken.position: broken.reason for broken in records.broken}
        positions = records.positions
        for row in np.flatnonzero(wrong | keyless).tolist():
            faults = [*self._faults(cells, row)] if wrong[row] else []
            if keyless[row]:
                faults.append(f"{self.wanted.key}: expected a key, got nothing")
            reasons[int(positions[row])] = "; ".join(faults)
        return [
            Reject(piece.file.path, piece.content.line(position), reasons[position])
            for position in sorted(reasons)
        ]

    def _faults(self, cells: Cells, row: int) -> Iterator[str]:
        values = {name: column.cell(row) for name, column in cells.columns.items()}
        for fault in self._contract.examine(values):
            if fault.severity == "error":
                yield str(fault)

    def _profile(self, cells: Cells, rows: Mask, predictions: Predictions) -> dict[str, Counts]:
        answers = profile.count_answers(self._reference.answers, predictions)
        counts: dict[str, Any] = {self.schema.target: answers}
        for name, bins in self._reference.columns.items():
            if isinstance(bins, CategoryBins):
                counts[name] = bins.count_values(cells.texts[name].count_words(rows))
            else:
                counts[name] = bins.count(cells.numbers[name].values[rows])
        return counts
