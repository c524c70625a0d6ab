"""Predicts the rows of a split in pieces, on all cores, so that few rows are in memory at a time."""

from collections.abc import Collection
from pathlib import Path

from mlops.predict.predictor import Predictor
from mlops.predict.task import Predictions
from mlops.tables import splits, threads
from mlops.tables.splits import Split, SplitName


def answer_split(
    name: SplitName, predictor: Predictor, kept: Collection[str] = ()
) -> tuple[Split, Predictions]:
    """Returns the rows of a split, of whose columns only the `kept` ones, and their predictions."""
    return answer_file(splits.split_file(name), predictor, kept)


def answer_file(
    file: Path, predictor: Predictor, kept: Collection[str] = ()
) -> tuple[Split, Predictions]:
    """Returns what `answer_split` does for the file of a split, which may be that of another commit."""

    def answer(piece: Split) -> tuple[Split, Predictions]:
        columns = {name: values for name, values in piece.columns.items() if name in kept}
        return Split(columns, piece.target), predictor.predict(piece.columns)

    pieces = splits.split_pieces(file, predictor.schema)
    answered = [*threads.map_in_order(answer, pieces, threads.usable_cores())]
    return (
        Split.joined([rows for rows, _ in answered]),
        Predictions.joined([predictions for _, predictions in answered]),
    )
