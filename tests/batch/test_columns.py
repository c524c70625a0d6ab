"""Tests that a batch reads cells as training and the service do."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import small_project
from mlops import params
from mlops.batch import columns
from mlops.batch.columns import Judge
from mlops.contract.contract import Contract
from mlops.predict import schema
from mlops.predict.dialect import Dialect
from mlops.predict.schema import Column, Policy, Schema
from mlops.tables import csv_source, files
from mlops.tables.cells import read_cells
from mlops.tables.pieces import Wanted

COLUMNS = (
    Column("i", "integer", 1, missing=False, minimum=0, maximum=9),
    Column("n", "number", 1.0, missing=True, minimum=-1.5, maximum=1.5),
    Column("t", "date", "2024-05-01", missing=False, minimum="2024-01-01", maximum="2024-12-31"),
    Column("b", "boolean", True, missing=False),
    Column("c", "category", "a", missing=False, categories=("a", "b")),
    Column("d", "category", "a", missing=True, categories=("a", "b")),
)
NUMBERS = [0, 9, 10, -1, 1.5, 2.5, 1e300, -1e39, 2.0**60, None]
DATES = ["2024-05-01", " 2024-1-1", "2023-12-31", "1.5.2024", "2024-02-30", "", "?", None]
BOOLEANS = ["true", " FALSE", "yes", "1", "", "?", None]
TEXTS = ["a", " b ", "A", "", "?", " ?", None]
WRITTEN = ["1", " 2 ", "+3", "1e0", "?", "", "x", "nan", "inf", "1_0", "1.5", ".5", "-0", None]


@pytest.mark.parametrize("unknown", ["error", "warning"])
@pytest.mark.parametrize("text", ["error", "warning"])
@pytest.mark.parametrize("numbers", [NUMBERS, WRITTEN])
def test_the_rules_are_those_of_the_contract(
    unknown: Any, text: Any, numbers: list[object]
) -> None:
    """A row is rejected if the contract finds an error in it, and has a warning for each one of the
    contract."""
    policy = Policy(missing_value=text, unknown_category=unknown, out_of_range=text)
    model = Schema(
        "d", "y", ("no", "yes"), COLUMNS, source=Dialect(missing=("", "?")), policy=policy
    )
    random = np.random.default_rng(5)
    cells_of_numbers = pa.array(numbers, pa.string() if numbers is WRITTEN else pa.float64())
    choices = {"category": pa.array(TEXTS), "boolean": pa.array(BOOLEANS), "date": pa.array(DATES)}
    table = {
        column.name: cells.take(random.integers(0, len(cells), 300))
        for column in COLUMNS
        for cells in [choices.get(column.type, cells_of_numbers)]
    }
    cells = read_cells(table, Wanted.from_schema(model, None))
    rejected, warnings = Judge(model).judge(cells, 300)
    contract = Contract(model)
    warned = 0
    for row in range(300):
        values = {name: column.cell(row) for name, column in cells.columns.items()}
        faults = contract.examine(values)
        assert rejected[row] == any(fault.severity == "error" for fault in faults), (values, faults)
        warned += 0 if rejected[row] else len(faults)
    assert warnings.total() == warned
    assert 0 < rejected.sum() < 300


def test_cells_are_read_as_training_reads_them(trained: Path) -> None:
    """Cells with spaces, quotes and every text for a missing value are read as training reads them."""
    table = small_project.table(80)
    random = np.random.default_rng(2)
    table = table.map(lambda cell: f" {cell} " if random.random() < 0.2 else cell)
    table.to_csv("rows.csv", index=False, quoting=1)
    prepare = params.load_configuration().params.prepare
    expected = table.map(str.strip)
    expected = expected.mask(expected.isin(["", *prepare.source.missing]))
    model = schema.read_schema(Path("deploy/schema.json"))
    wanted = Wanted.from_schema(model, None)
    file = files.hashed_file("rows.csv")
    (piece,) = csv_source.open_csv(file, wanted.names, wanted.dialect).pieces(wanted)
    cells = read_cells(piece.content.records(wanted).columns, wanted)
    values = columns.take_rows(cells, np.ones(80, bool))
    for column in model.columns:
        texts = expected[column.name]
        as_read = texts.fillna("") if column.type == "category" else texts.astype(float)
        np.testing.assert_array_equal(values[column.name], as_read.to_numpy())


def test_parquet_cells_are_read_as_those_of_csv(arrived: Path) -> None:
    model = Schema("d", "y", ("no", "yes"), COLUMNS, source=Dialect(missing=("", "?")))
    wanted = Wanted.from_schema(model, None)
    texts = pa.array(["a", " b ", "?", None])
    typed = {"i": pa.array([1, 2, None, 4]), "n": pa.array([-0.0, None, 1, 2], pa.float32())}
    written = {"i": pa.array(["1", " 2", "?", "4"]), "n": pa.array(["-0", "", "1", "2.0"])}
    typed["b"] = pa.array([True, None, False, True])
    written["b"] = pa.array(["true", "?", "false", " TRUE"])
    typed["t"] = pa.array([19844, None, 0, -1], pa.date32())
    written["t"] = pa.array(["2024-05-01", "?", "1970-01-01", "1969-12-31"])
    for encoded in (texts, texts.dictionary_encode()):
        both = {"c": encoded, "d": encoded}
        one, other = (read_cells({**each, **both}, wanted).columns for each in (typed, written))
        for name, column in one.items():
            np.testing.assert_array_equal(column.values, other[name].values)
        assert not np.signbit(one["n"].values[0])
