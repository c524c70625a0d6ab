"""Tests the types of columns from the raw table to the answer of a model."""

import json
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
from mlops.predict.inputs import matrices_of, matrix_columns
from mlops.predict.predictor import Predictor
from mlops.predict.schema import Column, Schema
from mlops.prepare import prepare
from mlops.tables import files, sources, splits
from mlops.tables.cells import read_cells
from mlops.tables.errors import SourceError
from mlops.tables.pieces import Wanted
from mlops.train import train
from small_project import change, use

ROWS = 600


def table() -> pd.DataFrame:
    """Returns a table of which the class is whether a person is native, joined on a Monday and called in the
    afternoon."""
    random = np.random.default_rng(1)
    native = random.choice(["TRUE", "no", "Yes", "0", "?"], ROWS, p=[0.4, 0.1, 0.4, 0.05, 0.05])
    weeks, day = random.integers(50, size=ROWS), random.integers(2, size=ROWS)
    joined = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(7 * weeks + day, "D"))
    written = joined.dt.strftime("%d.%m.%Y").mask(random.random(ROWS) < 0.05, "")
    called = pd.Timestamp("2024-02-29 09:05") + pd.to_timedelta(
        8 * random.integers(2, size=ROWS), "h"
    )
    is_positive = np.isin(native, ["TRUE", "Yes"]) & (written != "") & (day == 0)
    is_positive &= called.hour > 12
    declared = params.load_configuration().params.prepare
    target = np.where(is_positive, str(declared.positive), "other")
    return pd.DataFrame(
        {
            "joined": written,
            "called": called.strftime("%m/%d/%Y %I:%M %p"),
            "native": native,
            declared.target: target,
        }
    )


def use_table(raw: pd.DataFrame) -> None:
    use(raw, date=["joined", "called"], boolean=["native"])
    forms = {"joined": "%d.%m.%Y", "called": "%m/%d/%Y %I:%M %p"}
    change("params.yaml", "prepare.source.dates", forms)


def batch_columns(file: str, model: Schema) -> dict[str, Any]:
    """Returns the columns of a file as a batch reads them."""
    wanted = Wanted.from_schema(model, None)
    source = sources.open_source(files.file_at(file), wanted)
    (piece,) = source.pieces(wanted)
    cells = read_cells(piece.content.records(wanted).columns, wanted)
    return {name: column.values for name, column in cells.columns.items()}


def test_a_cell_that_is_no_boolean_or_no_date_is_refused_with_its_line(untrained: Path) -> None:
    raw = table()
    raw.loc[2, ["native", "joined"]] = "maybe", "2024-05-01"
    use_table(raw)
    with pytest.raises(DataError) as refused:
        prepare.main()
    for words in (
        "'native': neither in `true_words` nor in `false_words` (prepare.source): line 4 ('maybe')",
        "'joined': not a date in the form of `dates` (prepare.source), or one with a time: line 4 "
        "('2024-05-01 (not %d.%m.%Y)')",
    ):
        assert f"column {words}" in str(refused.value)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (Column("native", "boolean", True, missing=True), pa.array([1, 0])),
        (Column("joined", "date", "2024-05-01", missing=True), pa.array([20240501])),
        (
            Column("joined", "date", "2024-05-01", missing=True),
            pa.array([0], pa.timestamp("s", "UTC")),
        ),
    ],
)
def test_a_parquet_column_of_another_type_is_refused(
    tmp_path: Path, column: Column, values: pa.Array
) -> None:
    model = Schema("d", "y", ("no", "yes"), (column,))
    file = str(tmp_path / "rows.parquet")
    parquet.write_table(pa.table({column.name: values}), file)
    with pytest.raises(SourceError, match=rf"'{column.name}' is .* and should hold {column.type}s"):
        batch_columns(file, model)


def test_booleans_and_dates_are_the_same_from_the_raw_table_to_the_answer(
    untrained: Path, registries: None
) -> None:
    derived.DERIVED.clear()
    use_table(table())
    for stage in (prepare, train):
        stage.main()
    stored = parquet.read_table(splits.split_file("test"))
    assert stored.schema.field("native").type == pa.bool_()
    assert stored.schema.field("joined").type == pa.date32()
    assert set(stored["native"].to_pylist()) == {True, False, None}
    predictor = Predictor(Path("models"))
    model = schema.read_schema(splits.SCHEMA)
    assert stored.schema.field("called").type == pa.timestamp("ms")
    native, joined, called = model.columns
    assert (native.type, native.missing, native.minimum) == ("boolean", True, None)
    assert (joined.type, joined.missing, joined.minimum) == ("date", True, "2024-01-01")
    assert joined.days_since == "1970-01-01"
    parts = ["joined.year", "joined.month", "joined.day_of_week", "joined.days"]
    assert (called.minimum, called.maximum) == ("2024-02-29T09:05:00", "2024-02-29T17:05:00")
    parts += [part.replace("joined", "called") for part in parts] + ["called.hour"]
    assert matrix_columns(model) == {"numbers": ["native", *parts], "categories": []}
    hours = matrices_of(splits.read_split("test", model).columns, model)["numbers"][:, -1]
    assert {*hours.tolist()} == {float(np.float32(9 + 5 / 60)), float(np.float32(17 + 5 / 60))}
    split = splits.read_split("test", model)
    expected = predictor.predict(split.columns)
    assert (expected.answers == np.asarray(model.classes)[split.target]).all()
    inputs = stored.select(["native", "joined", "called"]).to_pylist()
    rows = json.loads(json.dumps(inputs, default=str))
    written = stored.to_pandas()
    written["native"] = written["native"].map({True: "yes", False: "FALSE"})
    written["joined"] = pd.to_datetime(written["joined"]).dt.strftime("%d.%m.%Y")
    written["called"] = written["called"].dt.strftime("%m/%d/%Y %I:%M %p")
    written.to_csv("rows.csv", index=False)
    parquet.write_table(stored, "rows.parquet")
    for columns in (
        Contract(model).columns(rows),
        batch_columns("rows.csv", model),
        batch_columns("rows.parquet", model),
    ):
        for name, values in split.columns.items():
            np.testing.assert_array_equal(columns[name], values)
        assert (predictor.predict(columns).answers == expected.answers).all()
    groups = evaluate.subgroup_metrics(model, split, expected, ["native"])
    assert [name for name, *_ in groups] == ["native: missing", "native: false", "native: true"]
    assert min(drop for _, drop in evaluate.column_importance(predictor, split)) > 0.01
