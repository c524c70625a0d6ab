from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from mlops.predict.dialect import Dialect
from mlops.tables import cells, files, keys, parquet_source
from mlops.tables.errors import SourceError
from mlops.tables.pieces import Wanted

WANTED = Wanted(("n",), ("t",), "k", Dialect(missing=("?",)))
ROWS = 50


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pa.Table:
    monkeypatch.chdir(tmp_path)
    numbers = range(ROWS)
    return pa.table(
        {"o": [None] * ROWS, "t": [f"t{n}" for n in numbers], "n": numbers, "k": numbers}
    )


def source() -> parquet_source.ParquetSource:
    return parquet_source.open_parquet(files.hashed_file("rows.parquet"))


def test_pieces_hold_the_wanted_columns_and_count_rows_and_bytes(
    table: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet.write_table(table, "rows.parquet", row_group_size=17)
    monkeypatch.setattr(parquet_source, "PIECE", 20)
    pieces = [*source().pieces(WANTED)]
    parts = [piece.content.records(WANTED) for piece in pieces]
    assert [records.count for records in parts] == [20, 20, 10]
    assert [n for records in parts for n in records.columns["n"].to_pylist()] == [*range(ROWS)]
    assert {*parts[0].columns} == {"n", "t", "k"}
    assert [piece.content.line(2) for piece in pieces] == [3, 23, 43]
    assert sum(piece.size for piece in pieces) == Path("rows.parquet").stat().st_size


def test_columns_of_another_type_are_named_at_once(table: pa.Table) -> None:
    wrong = table.set_column(2, "n", pa.array([str(n) for n in range(ROWS)]))
    wrong = wrong.set_column(1, "t", pa.array([True] * ROWS))
    parquet.write_table(wrong, "rows.parquet")
    with pytest.raises(SourceError) as refused:
        source().refuse_unfit(WANTED)
    assert "column 'n' is string and should hold numbers" in str(refused.value)
    assert "column 't' is bool and should hold text or whole numbers" in str(refused.value)


@pytest.mark.parametrize("kind", [pa.int8(), pa.float32(), pa.decimal128(21, 2), pa.null()])
def test_every_type_of_number_is_accepted(table: pa.Table, kind: pa.DataType) -> None:
    numbers = pa.nulls(ROWS) if kind == pa.null() else pa.array(range(ROWS)).cast(kind)
    words = table["t"].combine_chunks().dictionary_encode()
    parquet.write_table(table.set_column(2, "n", numbers).set_column(1, "t", words), "rows.parquet")
    source().refuse_unfit(WANTED)


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_file_that_is_cut_off_is_refused(table: pa.Table, share: float) -> None:
    parquet.write_table(table, "rows.parquet")
    content = Path("rows.parquet").read_bytes()
    Path("rows.parquet").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(SourceError, match=r"rows\.parquet is broken or cut off"):
        source()


def test_a_file_with_a_hole_is_refused(table: pa.Table) -> None:
    parquet.write_table(table, "rows.parquet")
    content = Path("rows.parquet").read_bytes()
    Path("rows.parquet").write_bytes(content[:4] + b"\xff" * 600 + content[604:])
    with pytest.raises(SourceError, match=r"rows\.parquet is broken or cut off"):
        [*source().pieces(WANTED)]


@pytest.mark.parametrize("key", [[1], b"x", True])
def test_a_column_of_another_type_is_refused_as_key(table: pa.Table, key: object) -> None:
    parquet.write_table(table.set_column(3, "k", pa.array([key] * ROWS)), "rows.parquet")
    with pytest.raises(
        SourceError, match=r"column 'k' is .* and should hold text, numbers or dates"
    ):
        source().refuse_unfit(WANTED)


def test_a_wanted_column_that_a_file_has_twice_is_refused(table: pa.Table) -> None:
    parquet.write_table(table.append_column("n", table["n"]), "rows.parquet")
    with pytest.raises(SourceError, match=r"rows\.parquet names 'n' twice in its header"):
        source().refuse_unfit(WANTED)
    parquet.write_table(table.append_column("o", table["o"]), "rows.parquet")
    source().refuse_unfit(WANTED)
    assert sum(piece.content.records(WANTED).count for piece in source().pieces(WANTED)) == ROWS


BYTES = [b"\xff" * 16, None]
OF_TEXT = {
    "a duration": pa.array([1, None], pa.duration("s")),
    "a time": pa.array([1, None], pa.time64("us")),
    "a decimal": pa.array([1, None], pa.decimal256(50)),
    "a half float": pa.array([1.5, None], pa.float16()),
    "nothing": pa.nulls(2),
    "numbers of a dictionary": pa.array([1, None]).dictionary_encode(),
    "a view of text": pa.array(["a", None], pa.string_view()),
    "an extension of text": pa.array(["{}", None], pa.json_()),
}
OF_NO_TEXT = {
    "bytes": pa.array(BYTES),
    "large bytes": pa.array(BYTES, pa.large_binary()),
    "a view of bytes": pa.array(BYTES, pa.binary_view()),
    "bytes of one size": pa.array(BYTES, pa.binary(16)),
    "bytes of a dictionary": pa.array(BYTES).dictionary_encode(),
    "a UUID": pa.array(BYTES, pa.uuid()),
    "a list": pa.array([[1], None]),
    "a map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int8())),
    "a record": pa.array([{"a": 1}, None]),
}


def test_text_can_stand_for_cells_of_these_types_and_for_none_of_those(table: pa.Table) -> None:
    parquet.write_table(pa.table(OF_TEXT | OF_NO_TEXT), "rows.parquet")
    opened = source()
    with_text = [f.name for f in opened.schema if parquet_source.has_text(f.type)]
    assert with_text == [*OF_TEXT]
    (piece,) = opened.pieces(Wanted(tuple(with_text), (), None, Dialect()))
    for column in piece.content.records(
        Wanted(tuple(with_text), (), None, Dialect())
    ).columns.values():
        assert column.cast(pa.string())[1].as_py() is None


def test_a_view_of_text_is_text(table: pa.Table) -> None:
    views = table["t"].cast(pa.string_view())
    parquet.write_table(table.set_column(1, "t", views).set_column(3, "k", views), "rows.parquet")
    opened = source()
    opened.refuse_unfit(WANTED)
    (piece,) = opened.pieces(WANTED)
    columns = piece.content.records(WANTED).columns
    assert cells.read_cells(columns, WANTED).texts["t"].values[7] == "t7"
    assert keys.key_texts(columns["k"], "rows.parquet", "k")[7].as_py() == "t7"


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_text_that_is_not_utf8_is_refused_with_its_column(
    table: pa.Table, kind: pa.DataType, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = pa.binary() if kind == pa.string() else pa.large_binary()
    texts = pa.array([b"a"] * (ROWS - 1) + [b"\xff"], stored).view(kind)
    parquet.write_table(table.set_column(1, "t", texts), "rows.parquet")
    monkeypatch.setattr(parquet_source, "PIECE", 20)
    with pytest.raises(SourceError, match=r"column 't', in the rows from 41 on: .*UTF8 .*as UTF-8"):
        [*source().pieces(WANTED)]


def test_dates_of_any_year_are_read_from_the_oldest_kind_of_times(table: pa.Table) -> None:
    days = [datetime(1, 1, 1), datetime(1969, 12, 31), datetime(2300, 1, 1), datetime(9999, 12, 31)]
    moments = pa.table({"d": pa.array(days, pa.timestamp("us"))})
    parquet.write_table(moments, "rows.parquet", use_deprecated_int96_timestamps=True)
    wanted = Wanted((), (), None, Dialect(), dates=("d",))
    (piece,) = source().pieces(wanted)
    read = cells.read_cells(piece.content.records(wanted).columns, wanted).columns["d"]
    assert read.to_arrow().to_pylist() == [day.date() for day in days]
