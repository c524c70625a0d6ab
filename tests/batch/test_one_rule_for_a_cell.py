"""Tests that training, batches and requests read any text alike: as missing, a number or a category."""

import csv
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict
from numpy.typing import NDArray
from pyarrow import parquet

import raw_table
from mlops.batch import columns
from mlops.contract.contract import Contract
from mlops.contract.errors import InputError
from mlops.errors import DataError
from mlops.params import PrepareParams
from mlops.predict.cells import LARGEST
from mlops.predict.dialect import Dialect
from mlops.predict.schema import Column, Schema
from mlops.tables import files, sources
from mlops.tables.cells import (
    ISO_TIMES,
    boolean_cells,
    date_cells,
    number_cells,
    read_cells,
    time_cells,
)
from mlops.tables.errors import SourceError
from mlops.tables.pieces import Wanted

MARKERS = ("?", "unknown", "-1")
DIALECT = Dialect(
    missing=MARKERS,
    true_words=("true", "ja", "1"),
    false_words=("false", "0"),
    dates="%d.%m.%Y",
)
PARAMS = PrepareParams.model_validate(
    {
        "dataset": "trees",
        "task": "binary",
        "target": "kind",
        "positive": "oak",
        "rows_without_target": "refuse",
        "source": asdict(DIALECT),
        "columns": {
            "integer": [],
            "number": ["height"],
            "boolean": ["native"],
            "date": ["joined"],
            "category": ["soil"],
            "ignored": [],
        },
        "contract": dict.fromkeys(
            ("missing_value", "unknown_category", "out_of_range", "extra_column"), "warning"
        ),
        "split": {"by": "row", "column": None, "validation": 0.2, "test": 0.2, "seed": 1},
    }
)
DIALECT_OF_ISO = Dialect(missing=("?",))
NUMBER = Column("height", "number", 1.0, True, -LARGEST, LARGEST)
SOIL = Column("soil", "category", "clay", True, categories=("clay", "\uff11\uff12", "NaN"))
NATIVE = Column("native", "boolean", True, True)
JOINED = Column("joined", "date", "2024-05-01", True, "0001-01-01", "9999-12-31")
SCHEMA = Schema("trees", "kind", ("elm", "oak"), (NUMBER, NATIVE, JOINED, SOIL), source=DIALECT)

SPACES = st.text(" \t\u00a0\u2003\r\n", max_size=2)
LIKE_NUMBERS = st.text("0123456789.+-eE_,xinfa\uff11\uff12\u0663 ", max_size=8)
WORDS = st.one_of(
    st.sampled_from([*MARKERS, *SOIL.categories, "", "1e39", "1e400", "-0", "inf", "1_0", "0x1F"]),
    st.sampled_from(["true", "True", "FALSE", "Ja", "1", "0", "1.0", "yes", "\uff11"]),
    LIKE_NUMBERS,
    st.sampled_from(
        ["1.5.2024", "01.05.2024", "2024-05-01", "30.2.2024", "1.5.24", "\uff11.5.2024"]
    ),
    st.floats().map(repr),
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=6),
)
CELLS = st.tuples(SPACES, WORDS, SPACES).map("".join)


def training_value(folder: Path, name: str, cell: str) -> object:
    """Returns the value of a cell in training; None if it is missing, and DataError if it is refused."""
    row = {"height": "1", "native": "true", "joined": "1.1.2020", "soil": "clay", "kind": "oak"} | {
        name: cell
    }
    with (folder / "trees.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row, quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerow(row)
    try:
        value = raw_table.read_table(PARAMS, folder)[name][0]
    except DataError:
        return DataError
    return None if value == "" or value != value else value  # noqa: PLR0124


def batch_value(name: str, cell: str) -> object:
    """Returns the value of a cell in a batch; None if it is missing, and DataError if it is rejected."""
    texts = {column.name: pa.array([cell]) for column in SCHEMA.columns}
    cells = read_cells(texts, Wanted.from_schema(SCHEMA, None)).columns[name]
    (column,) = (each for each in SCHEMA.columns if each.name == name)
    wrong = columns.faults(cells, column)
    if "type" in wrong and wrong["type"][0]:
        return DataError
    value = cells.values[0]
    return None if value == "" or value != value else value  # noqa: PLR0124


def request_value(name: str, cell: str) -> object:
    """Returns the value of a text in a request, which can only be a category; None if it is missing."""
    row = SCHEMA.example() | {name: cell}
    return Contract(SCHEMA).columns([row])[name][0] or None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("raw")


@pytest.mark.parametrize("name", ["height", "native", "joined", "soil"])
def test_any_text_is_the_same_to_training_and_to_a_batch(folder: Path, name: str) -> None:
    @settings(max_examples=400, deadline=None)
    @example("\uff11\uff12")
    @example(" -0 ")
    @example("1e39")
    @example("3.4028235e+38")
    @given(CELLS)
    def agree(cell: str) -> None:
        assert comparable(training_value, folder, name, cell) == comparable(batch_value, name, cell)

    agree()


@settings(max_examples=400, deadline=None)
@example(" clay ")
@example(" ? ")
@given(CELLS)
def test_any_text_is_the_same_category_to_a_batch_and_to_a_request(cell: str) -> None:
    assert comparable(batch_value, "soil", cell) == comparable(request_value, "soil", cell)


@pytest.mark.parametrize(
    ("word", "value"), [(" TRUE ", True), ("Ja", True), ("0", False), ("?", None), ("", None)]
)
def test_a_boolean_is_the_same_in_csv_parquet_and_json(
    folder: Path, word: str, value: bool | None
) -> None:
    expected = None if value is None else float(value)
    assert training_value(folder, "native", word) == expected
    assert batch_value("native", word) == expected
    cells = boolean_cells(pa.array([value], pa.bool_()), DIALECT)
    sent = Contract(SCHEMA).columns([SCHEMA.example() | {"native": value}])["native"]
    np.testing.assert_array_equal(cells.values, sent)
    np.testing.assert_array_equal(sent, [np.nan if expected is None else expected])
    assert cells.hashes() == boolean_cells(pa.array([word]), DIALECT).hashes()


@pytest.mark.parametrize(
    ("word", "sent"),
    [(" 1.5.2024 ", "2024-05-01"), ("31.12.1969", "1969-12-31"), ("?", None), ("", None)],
)
def test_a_date_is_the_same_in_csv_parquet_and_json(
    folder: Path, word: str, sent: str | None
) -> None:
    day = None if sent is None else date.fromisoformat(sent)
    (received,) = Contract(SCHEMA).columns([SCHEMA.example() | {"joined": sent}])["joined"]
    expected = None if np.isnan(received) else received
    assert (day is None) == (expected is None)
    assert training_value(folder, "joined", word) == expected
    assert batch_value("joined", word) == expected
    hashes = date_cells(pa.array([word]), DIALECT, "joined").hashes()
    for kind in (pa.date32(), pa.date64(), pa.timestamp("us"), pa.timestamp("ns")):
        cells = date_cells(pa.array([day], pa.date32()).cast(kind), DIALECT, "joined")
        np.testing.assert_array_equal(cells.values, [received])
        assert cells.cell(0) == sent
        assert cells.hashes() == hashes


@pytest.mark.parametrize("moment", [datetime(2024, 5, 1, 12), datetime(1969, 12, 31, 23)])
def test_a_date_with_a_time_is_refused_by_all(folder: Path, moment: datetime) -> None:
    assert training_value(folder, "joined", f"{moment:%d.%m.%Y %H:%M}") is DataError
    assert batch_value("joined", f"{moment:%d.%m.%Y %H:%M}") is DataError
    cells = date_cells(pa.array([moment], pa.timestamp("ms")), DIALECT, "joined")
    assert columns.faults(cells, JOINED)["type"].all()
    for sent in (moment.isoformat(), cells.cell(0)):
        with pytest.raises(
            InputError, match='joined: expected a date such as "2024-05-01" or null'
        ):
            Contract(SCHEMA).columns([SCHEMA.example() | {"joined": sent}])


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
@pytest.mark.parametrize("end", [-(2**63) + 1, 2**63 - 1])
def test_a_moment_beyond_the_calendar_is_no_date_in_any_unit(unit: str, end: int) -> None:
    """Such as the largest number, by which programs write "never"."""
    cells = pa.array([end, 0, None]).cast(pa.timestamp(unit))
    for column in (
        date_cells(cells, Dialect(dates="%Y-%m-%d %H:%M:%S"), "at"),
        time_cells(cells, Dialect(), "at"),
    ):
        np.testing.assert_array_equal(column.values, [np.nan, 0, np.nan])
        assert column.unknown.tolist() == [False, False, True]
        assert str(end) in str(column.cell(0))


def test_a_day_before_the_calendar_is_no_time_in_any_piece() -> None:
    for more in ([], ["?"]):
        first, second, *_ = time_cells(
            pa.array(["0000-12-31", "0001-01-01", *more]), DIALECT_OF_ISO, "at"
        ).values
        assert np.isnan(first)
        assert second == -62135596800


def test_nan_is_a_missing_number_in_parquet_as_it_is_a_missing_category() -> None:
    cells = number_cells(pa.array([1.0, np.nan, None]), DIALECT)
    assert cells.unknown.tolist() == [False, True, True]
    assert [cells.cell(row) for row in range(3)] == [1, None, None]


@pytest.mark.parametrize("form", sorted(ISO_TIMES))
def test_times_are_the_same_whether_they_are_read_as_an_array_or_one_by_one(form: str) -> None:
    moments = [
        "2024-02-29 13:45:09",
        "1969-12-31 23:59:00",
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59",
    ]
    zone = "+02:00" if "%z" in form else ""
    length = len("2024-02-29 13:45:09" if "%S" in form else "2024-02-29 13:45")
    texts = [f"{each[:length].replace(' ', form[8])}{zone}" for each in moments]
    dialect = Dialect(dates=form)
    at_once, one_by_one = (
        date_cells(pa.array([*texts, *more]), dialect, "at").values[:4] for more in ([], ["?"])
    )
    np.testing.assert_array_equal(at_once, one_by_one)
    assert np.isnan(at_once).tolist() == [False, False, bool(zone), False]
    (date,) = date_cells(pa.array([f"2024-02-30{texts[0][10:]}"]), dialect, "at").values
    assert np.isnan(date)


def test_a_date_in_the_form_of_json_is_refused_where_files_have_another_one() -> None:
    (cell,) = (each.cell(0) for each in [date_cells(pa.array(["2024-05-01"]), DIALECT, "joined")])
    (fault,) = Contract(SCHEMA).examine(SCHEMA.example() | {"joined": cell})
    assert fault.came == '"2024-05-01 (not %d.%m.%Y)"'


@pytest.mark.parametrize(
    "cells", [pa.array([3, None]), pa.array([3.0, np.nan]), pa.array([3, None], pa.float32())]
)
def test_a_whole_number_is_the_same_category_in_parquet_and_json(
    tmp_path: Path, cells: pa.Array
) -> None:
    (read,) = read_soils(tmp_path, cells)
    sent = [SCHEMA.example() | {"soil": soil} for soil in (3, None)]
    assert read.tolist() == Contract(SCHEMA).columns(sent)["soil"].tolist() == ["3", ""]


@pytest.mark.parametrize("cells", [pa.array([1.5]), pa.array([1e30]), pa.array([np.inf])])
def test_a_category_of_other_numbers_is_refused_in_parquet(tmp_path: Path, cells: pa.Array) -> None:
    with pytest.raises(
        SourceError, match="'soil' is a category and holds numbers that are not whole"
    ):
        read_soils(tmp_path, cells)


def read_soils(folder: Path, cells: pa.Array) -> list[NDArray[Any]]:
    """Returns the column soil of each piece of a Parquet file with these cells."""
    parquet.write_table(pa.table({"soil": cells}), folder / "rows.parquet")
    wanted = Wanted((), ("soil",), None, DIALECT)
    source = sources.open_source(files.file_at(str(folder / "rows.parquet")), wanted)
    pieces = (piece.content.records(wanted).columns for piece in source.pieces(wanted))
    return [read_cells(columns, wanted).columns["soil"].values for columns in pieces]


def comparable(read: Callable[..., object], *arguments: object) -> object:
    """Returns the value that a function reads; a number with its sign, because 0 equals -0."""
    value = read(*arguments)
    return (value, np.signbit(value)) if isinstance(value, float) else value
