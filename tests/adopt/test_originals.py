"""Tests how workbooks, JSON lines and results of queries become tables of text."""

import datetime
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

import servers
from mlops.adopt.layout import Header
from mlops.adopt.originals import Original, read_excel, read_json, read_query
from mlops.adopt.table import Table
from mlops.errors import Away, MlopsError, Refused, UsageError
from mlops.tables.errors import SourceError
from workbooks import write_workbook

ROWS: list[list[object]] = [
    ["id", "born", "weight", "smokes", "city"],
    *([n, datetime.date(2001, 2, n), n + 0.5, n % 2 == 0, "Köln"] for n in range(1, 9)),
]
FIRST = {"id": "1", "born": "2001-02-01", "weight": "1.5", "smokes": "false", "city": "Köln"}


def first_row(table: Table) -> dict[str, str]:
    return {name: table.texts(name).values[0] for name in table.columns}


def excel(path: Path, sheet: str | None = None, target: str | None = None) -> Original:
    def refuse(question: str, known: Sequence[str]) -> str:
        raise UsageError(f"{question} {known}")

    pytest.importorskip("python_calamine")
    return read_excel(path, sheet, refuse, Header(column=target))


def test_a_workbook_that_holds_no_table_is_refused(tmp_path: Path) -> None:
    locked = Path(servers.__file__).with_name("locked.xlsx")
    with pytest.raises(MlopsError, match="protected by a password"):
        excel(locked)
    broken = tmp_path / "broken.xlsx"
    broken.write_text("a,b\n1,2\n")
    with pytest.raises(MlopsError, match="can't be read as a workbook"):
        excel(broken)
    empty = write_workbook(tmp_path / "empty.xlsx", {"One": [], "Two": [["a title"]]})
    with pytest.raises(MlopsError, match=r"empty.xlsx is empty"):
        excel(empty)
    with pytest.raises(MlopsError, match="has no sheet 'Three'; it has 'One', 'Two'"):
        excel(empty, "Three")


def test_a_sheet_is_read_below_its_title_and_above_its_notes(tmp_path: Path) -> None:
    rows: list[list[object]] = [["Report of 2024"], [], *ROWS, ["Source: a survey"]]
    found = excel(write_workbook(tmp_path / "a.xlsx", {"Data": rows}))
    assert first_row(found.table) == FIRST
    assert found.table.rows == 8
    assert found.remarks == (
        "the header is in line 3 of the sheet",
        "the last line is a note or a total, and left out: Source: a survey",
    )


def test_lines_that_are_no_rows_are_left_out_and_times_stay_in_one_form(tmp_path: Path) -> None:
    day = datetime.datetime(2024, 5, 1)
    rows: list[list[object]] = [
        ["when", "price", "kind"],
        ["date", "in euros", "A or B"],
        *([day + datetime.timedelta(hours=12 * n), n + 0.5, "AB"[n % 2]] for n in range(12)),
        ["Total", 78, None],
    ]
    found = excel(write_workbook(tmp_path / "a.xlsx", {"Data": rows}))
    assert [*found.table.texts("when").values[:2]] == ["2024-05-01 00:00:00", "2024-05-01 12:00:00"]
    assert found.table.rows == 12
    assert found.remarks == (
        "the last line is a note or a total, and left out: Total, 78",
        "left out below the header: date, in euros, A or B",
    )
    with pytest.raises(SourceError, match="a header and no rows"):
        excel(write_workbook(tmp_path / "b.xlsx", {"Data": [["a", "b", "c"], ["note"]]}))


def test_of_several_sheets_the_one_with_the_target_is_read(tmp_path: Path) -> None:
    book = write_workbook(
        tmp_path / "a.xlsx", {"Data": ROWS, "Codes": [["code", "name"], [1, "a"]]}
    )
    assert first_row(excel(book, target="city").table) == FIRST
    assert [*excel(book, "Codes").table.columns] == ["code", "name"]
    with pytest.raises(UsageError, match=r"which sheet of a.xlsx\? \['Data', 'Codes'\]"):
        excel(book)


def test_json_lines_are_read_and_nested_values_are_named(tmp_path: Path) -> None:
    names, *rows = ([str(cell) for cell in row] for row in ROWS)
    records = [{**dict(zip(names, row, strict=True)), "tags": ["a"]} for row in rows]
    lines, whole = tmp_path / "a.jsonl", tmp_path / "a.json"
    lines.write_text("\n".join(map(json.dumps, records)))
    whole.write_text(json.dumps(records))
    for path in (lines, whole):
        table = read_json(path).table
        assert first_row(table) == {**FIRST, "smokes": "False"}
        assert table.nested == ("tags",)
    whole.write_text(json.dumps({"count": 1, "rows": [{"id": 1, "person": {"age": 3, "at": {}}}]}))
    table = read_json(whole).table
    assert (first_row(table), table.nested) == ({"id": "1", "person.age": "3"}, ("person.at",))
    whole.write_text(json.dumps({"data": [{"id": 1}, {"id": 2}], "count": 2}, indent=2))
    assert read_json(whole).table.rows == 2
    lines.write_text('{"a": "cut \\ud83d", "b": "\\ud83d\\ude00"}\n')
    assert first_row(read_json(lines).table) == {"a": "cut \ufffd", "b": "\U0001f600"}
    deep = '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"
    for record in (deep, f'{{"a": {"9" * 5000}}}'):
        lines.write_text(f'{{"a": 1}}\n{record}\n')
        with pytest.raises(SourceError, match=r"a.jsonl, line 2: a number has thousands of digits"):
            read_json(lines)
    whole.write_text('{"data": [\n{"id": 1},\n{"id": 2\n')
    with pytest.raises(SourceError, match=r"a.json, line 4: "):
        read_json(whole)
    lines.write_text('{"a": 1}\n{"a": 2\n')
    with pytest.raises(MlopsError, match=r"a.jsonl, line 2: .*each line should hold a JSON object"):
        read_json(lines)
    lines.write_text('{"a": "one\u2028line"}\n', encoding="utf-8")
    assert first_row(read_json(lines).table) == {"a": "one\u2028line"}
    lines.write_text('{"a": "Köln"}\n', encoding="cp1252")
    with pytest.raises(SourceError, match=r"a.jsonl is not UTF-8 .*byte 0xf6"):
        read_json(lines)


def test_a_query_of_sqlite_is_read_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect("shop.db") as database:
        database.execute("CREATE TABLE sales (id INTEGER, price REAL, name TEXT)")
        database.execute("INSERT INTO sales VALUES (1, 1.5, 'a'), (2, NULL, 'b')")
    database.close()
    table = read_query("SELECT * FROM sales", "sqlite:///shop.db").table
    assert {name: [*table.texts(name).values] for name in table.columns} == {
        "id": ["1", "2"],
        "price": ["1.5", ""],
        "name": ["a", "b"],
    }
    refused: list[tuple[str, str, type[Exception], str]] = [
        ("SELECT * FROM sale", "sqlite:///shop.db", MlopsError, "no such table: sale"),
        ("DELETE FROM sales", "sqlite:///shop.db", MlopsError, "readonly"),
        (
            "SELECT * FROM sales WHERE id > 5",
            "sqlite:///shop.db",
            MlopsError,
            "gives no rows .*: correct",
        ),
        ("SELECT 1", "sqlite:///shop2.db", UsageError, "does not exist"),
        ("SELECT 1", "sqlite://shop.db", UsageError, "names no file: use sqlite:///file.db"),
        ("SELECT 1", "postgresql://me:secret@h/db", Refused, "contains a password"),
        ("SELECT 1", "mysql://h/db", UsageError, "neither sqlite"),
        ("SELECT 1", "postgresql:///db?host=/nowhere", Away, "can't be opened"),
    ]
    for query, url, kind, words in refused:
        with pytest.raises(kind, match=words):
            read_query(query, url)


def test_a_query_of_postgresql_is_read_or_refused(database: str) -> None:
    query = (
        "SELECT n AS id, n / 2.0 AS half, DATE '2024-05-01' + n AS day, n > 1 AS late, ARRAY[n] AS list "
        "FROM generate_series(1, 2) AS n"
    )
    table = read_query(query, database).table
    found = first_row(table)
    assert float(found.pop("half")) == 0.5
    assert found == {"id": "1", "day": "2024-05-02", "late": "false"}
    assert table.nested == ("list",)
    with pytest.raises(MlopsError, match=r"the query fails: .*sale"):
        read_query("SELECT * FROM sale", database)
