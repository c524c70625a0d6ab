"""Tests the types of columns from the raw table to the answer of a model."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from mlops import params
from mlops.contract.contract import Contract
from mlops.errors import DataError
from mlops.evaluate import evaluate
from mlops.predict import derived, schema
from mlops.predict.predictor import Predictor
from mlops.predict.schema import Column, Schema
from mlops.prepare import prepare
from mlops.tables import files, sources, splits
from mlops.tables.cells import read_cells
from mlops.tables.errors import SourceError
from mlops.tables.pieces import Wanted
from mlops.train import train
from small_project import use

ROWS = 400


def table() -> pd.DataFrame:
    """Returns a table of which the class is whether a person is native."""
    random = np.random.default_rng(1)
    native = random.choice(["TRUE", "no", "Yes", "0", "?"], ROWS)
    declared = params.load_configuration().params.prepare
    target = np.where(np.isin(native, ["TRUE", "Yes"]), declared.positive, "other")
    return pd.DataFrame(
        {"a": random.integers(9, size=ROWS), "native": native, declared.target: target}
    )


def use_table(raw: pd.DataFrame) -> None:
    use(raw, integer=["a"], boolean=["native"])


def batch_columns(file: str, model: Schema) -> dict[str, Any]:
    """Returns the columns of a file as a batch reads them."""
    wanted = Wanted.from_schema(model, None)
    source = sources.open_source(files.file_at(file), wanted)
    (piece,) = source.pieces(wanted)
    cells = read_cells(piece.content.records(wanted).columns, wanted)
    return {name: column.values for name, column in cells.columns.items()}


def test_a_word_that_is_no_boolean_is_refused_with_its_line(untrained: Path) -> None:
    raw = table()
    raw.loc[2, "native"] = "maybe"
    use_table(raw)
    with pytest.raises(DataError) as refused:
        prepare.main()
    assert (
        "column 'native': neither in `true_words` nor in `false_words` (prepare.source): "
        "line 4 ('maybe')" in str(refused.value)
    )


@pytest.mark.parametrize("values", [[1, 0], [0.5, None]])
def test_numbers_of_a_parquet_file_are_no_booleans(tmp_path: Path, values: list[object]) -> None:
    model = Schema("d", "y", ("no", "yes"), (Column("native", "boolean", True, missing=True),))
    file = str(tmp_path / "rows.parquet")
    parquet.write_table(pa.table({"native": values}), file)
    with pytest.raises(SourceError, match=r"'native' is .* and should hold booleans"):
        batch_columns(file, model)


def test_a_boolean_is_the_same_from_the_raw_table_to_the_answer(
    untrained: Path, registries: None
) -> None:
    derived.DERIVED.clear()
    use_table(table())
    for stage in (prepare, train):
        stage.main()
    stored = parquet.read_table(splits.split_file("test"))
    assert stored.schema.field("native").type == pa.bool_()
    assert set(stored["native"].to_pylist()) == {True, False, None}
    predictor = Predictor(Path("models"))
    model = schema.read_schema(splits.SCHEMA)
    (column,) = (column for column in model.columns if column.name == "native")
    assert (column.type, column.missing, column.minimum) == ("boolean", True, None)
    split = splits.read_split("test", model)
    expected = predictor.predict(split.columns)
    assert (expected.labels == np.asarray(model.classes)[split.target]).all()
    rows = [
        {"a": row["a"], "native": row["native"]}
        for row in stored.select(["a", "native"]).to_pylist()
    ]
    words = {True: "yes", False: "FALSE", None: ""}
    pd.DataFrame([row | {"native": words[row["native"]]} for row in rows]).to_csv("rows.csv")
    parquet.write_table(stored, "rows.parquet")
    for columns in (
        Contract(model).columns(rows),
        batch_columns("rows.csv", model),
        batch_columns("rows.parquet", model),
    ):
        np.testing.assert_array_equal(columns["native"], split.columns["native"])
        assert (predictor.predict(columns).labels == expected.labels).all()
    ((name, drop), *_) = evaluate.column_importance(predictor, split)
    assert (name, drop > 0.1) == ("native", True)
