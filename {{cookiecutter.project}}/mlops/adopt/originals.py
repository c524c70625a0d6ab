"""Reads what is no table of text or Parquet as text: sheets of Excel, JSON lines, and results of queries.

Such a table is stored as Parquet, with the name and hash of its original.
"""

import datetime
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlops.adopt import layout
from mlops.adopt.dialogue import Choose
from mlops.adopt.layout import TO_BE_FOUND, Header
from mlops.adopt.table import Table, as_text
from mlops.errors import Away, DataError, MlopsError, UsageError
from mlops.tables import urls
from mlops.tables.errors import SourceError
from mlops.tables.parquet_source import has_text

EXCEL = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
JSON = (".jsonl", ".ndjson", ".json")

TOTAL = re.compile(
    "(grand |sub)?total.?|sum|summe|gesamt|insgesamt|somme|suma|totale", re.IGNORECASE
)
"""What a line below the rows begins with that sums them up."""

HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""Half a surrogate pair, as where a text of JSON was cut, which UTF-8 cannot hold."""


@dataclass(frozen=True)
class Original:
    """A table that was read whole. `origin` says where it comes from, and `remarks` what of it is unusual. Of
    a workbook, `sheet` is its sheet, and `header_line` the line of the header, 0 if there is none."""

    table: Table
    origin: str
    remarks: tuple[str, ...] = ()
    sheet: str | None = None
    header_line: int | None = None


def read_excel(
    path: Path, sheet: str | None, choose: Choose, given: Header = TO_BE_FOUND
) -> Original:
    """Returns a sheet of a workbook. If none is named, it is the only one with rows, else the only one with
    the given column in its header, or the one that is chosen."""
    import python_calamine

    try:
        workbook = python_calamine.load_workbook(str(path))
        names = [
            each.name
            for each in workbook.sheets_metadata
            if each.typ == python_calamine.SheetTypeEnum.WorkSheet
        ]
        if sheet is not None and sheet not in names:
            raise UsageError(f"{path} has no sheet {sheet!r}; it has {', '.join(map(repr, names))}")
        grids = {
            name: workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
            for name in ([sheet] if sheet is not None else names)
        }
    except python_calamine.PasswordError:
        raise SourceError(
            f"{path} is protected by a password: open it in Excel, remove the password (File, Info, Protect "
            "Workbook) or save the sheet as CSV"
        ) from None
    except python_calamine.CalamineError as error:
        raise SourceError(f"{path} can't be read as a workbook: {error}") from None
    rows = {name: grid_texts(grid) for name, grid in grids.items()}
    filled = {name: grid for name, grid in rows.items() if sum(map(any, grid)) > 1}
    if not filled:
        where = f"sheet {sheet!r} of {path}" if sheet is not None else f"{path}"
        raise SourceError(f"{where} is empty: it needs a header and rows")
    with_column = [
        name
        for name, grid in filled.items()
        if given.column and any(given.column in row for row in grid[: layout.MOST_ABOVE])
    ]
    fitting = with_column or list(filled)
    name = fitting[0] if len(fitting) == 1 else choose(f"which sheet of {path.name}?", fitting)
    table, line, said = table_of_rows(filled[name], f"{path}, sheet {name!r}", given)
    others = [other for other in filled if other != name]
    if others:
        said = (*said, f"sheet {name!r} is read, and not {', '.join(map(repr, others))}")
    return Original(table, f"{path.name}, sheet {name}", said, name, line)


def grid_texts(grid: Sequence[Sequence[object]]) -> list[list[str]]:
    """Returns the rows of a sheet as text. If a column has a date with a time, all of its dates have one."""
    timed = {
        place
        for row in grid
        for place, cell in enumerate(row)
        if isinstance(cell, datetime.datetime) and cell.time() != datetime.time()
    }

    def text(place: int, cell: object) -> str:
        found = cell_text(cell)
        is_whole = isinstance(cell, datetime.date) and place in timed and " " not in found
        return f"{found} 00:00:00" if is_whole else found

    return [[text(place, cell) for place, cell in enumerate(row)] for row in grid]


def cell_text(cell: object) -> str:
    """Returns a value of another program as text: a date as 2024-12-24, a whole number without decimals."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return (
            ""
            if math.isnan(cell)
            else str(int(cell))
            if cell.is_integer() and abs(cell) < 2**53
            else repr(cell)
        )
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    return str(cell).strip()


def table_of_rows(
    rows: Sequence[Sequence[str]], where: str, given: Header
) -> tuple[Table, int, tuple[str, ...]]:
    """Returns the table in the rows of a sheet, which may begin below a title and end above notes, the line
    of its header and what is unusual. Raises SourceError if there is none."""
    first = given.line - 1 if given.line else given.position(rows, first_row(rows))
    if first >= len(rows):
        raise SourceError(f"{where} has no line {given.line}")
    width = max(len(row) for row in rows[first:])
    body = [row for row in rows[first:] if any(row)]
    said = [f"the header is in line {first + 1} of the sheet"] if first else []
    while len(body) > 1 and width > 2 and is_note(body[-1]):
        last = ", ".join(filter(None, body.pop()))
        said.append(f"the last line is a note or a total, and left out: {last[:60]}")
    body = [[*row, *[""] * (width - len(row))] for row in body]
    used = [position for position in range(width) if any(row[position] for row in body)]
    body = [[row[position] for position in used] for row in body]
    if len(used) < 2:
        raise SourceError(f"{where} is not a table: it has one column")
    if len(body) < 2:
        raise SourceError(f"{where} holds a header and no rows")
    layout.refuse_other_width(where, given.names, len(used))
    line = first + 1
    has_none = given.names or layout.looks_like_row(body[0], body[1:])
    if given.line == 0 or (given.line is None and has_none):
        line, names = 0, given.names or layout.made_names(len(used))
        said.append("there is no header: the first line looks like data")
    else:
        more = layout.further_headers(body)
        if more:
            said.append(f"left out below the header: {', '.join(filter(None, body[1]))[:60]}")
        names, body = given.names or layout.different(body[0]), body[1 + more :]
    columns = dict(zip(names, zip(*body, strict=True), strict=True))
    return table_of_columns(columns), line, tuple(said)


def first_row(rows: Sequence[Sequence[str]]) -> int:
    """Returns the position of the first row with about as many cells as most have."""
    filled = [sum(1 for cell in row if cell) for row in rows]
    usual = sorted(count for count in filled if count)[-max(1, len(rows) // 2) :]
    return next(
        n for n, count in enumerate(filled) if count >= max(2, 0.7 * usual[0]) or usual[0] < 2
    )


def is_note(row: Sequence[str]) -> bool:
    """Returns whether a row has one cell, or begins with a word for a total."""
    filled = [*filter(None, row)]
    return len(filled) == 1 or bool(TOTAL.fullmatch(filled[0]))


def table_of_columns(columns: Mapping[str, Sequence[str]]) -> Table:
    return Table(
        {name: pa.array(cells, pa.string()).dictionary_encode() for name, cells in columns.items()},
        True,
    )


def read_json(path: Path) -> Original:
    """Returns the records of a file with a JSON object in each line, or with a list of objects."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 ({error}): save it as UTF-8") from None
    records = json_values(path, text)
    if len(records) == 1 and isinstance(records[0], list):
        (records,) = records
    if len(records) == 1 and isinstance(records[0], dict):
        lists = [value for value in records[0].values() if isinstance(value, list)]
        if len(lists) == 1 and all(isinstance(each, dict) for each in lists[0]):
            (records,) = lists
    if not records or not all(isinstance(record, dict) for record in records):
        raise SourceError(
            f"{path} should hold a JSON object in each line, or a list of objects, which may be the only "
            "list in one object"
        )
    rows = [*map(flat_record, records)]
    names = dict.fromkeys(name for row in rows for name in row)
    nested = [name for name in names if any(isinstance(row.get(name), dict | list) for row in rows)]
    columns = {
        HALF_CHARACTER.sub("\ufffd", name): [
            HALF_CHARACTER.sub("\ufffd", cell_text(row.get(name))) for row in rows
        ]
        for name in names
        if name not in nested
    }
    table = table_of_columns(columns)
    return Original(Table(table.columns, True, tuple(nested)), path.name)


def json_values(path: Path, text: str) -> list[Any]:
    """Returns the values of a text of JSON: one, on one line or several, or one in each line. Raises
    SourceError if there is none."""
    number, values = 0, []
    try:
        try:
            return [json.loads(text)]
        except json.JSONDecodeError as error:
            if error.msg != "Extra data":
                raise
        for number, line in enumerate(text.split("\n")):  # noqa: B007
            values += [json.loads(line)] if line.strip() else []
    except json.JSONDecodeError as error:
        raise SourceError(
            f"{path}, line {number + error.lineno}: {error.msg}; each line should hold a JSON object, or the "
            "whole file a list of them"
        ) from None
    except (ValueError, RecursionError):
        where = f"{path}, line {number + 1}" if number else path
        raise SourceError(
            f"{where}: a number has thousands of digits, or lists and records are nested too deeply to be "
            "read: shorten or remove it"
        ) from None
    return values


def flat_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a record in which `person.age` is what was `age` in the record `person`."""
    flat = dict[str, Any]()
    for name, value in record.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": cell for key, cell in value.items()}
        else:
            flat[name] = value
    return flat


def read_query(query: str, url: str) -> Original:
    """Returns the rows that a query gives, of which there is one at least. Raises what `query_table` does."""
    table = query_table(query, url)
    if not table.rows:
        raise DataError(
            f"the query gives no rows from {url}: correct its conditions (--sql), or name another database "
            "(--from)"
        )
    return Original(table, f"a query of {url}")


def query_table(query: str, url: str, cure: str = "correct --sql or --from") -> Table:
    """Returns the rows that a query gives in SQLite or PostgreSQL. Raises Refused for a password in the URL,
    UsageError for other URLs, Away if the database is locked or can't be opened, and MlopsError with the
    `cure` if the query fails."""
    parts = urls.parse_url(url)
    if parts.scheme == "sqlite":
        names, rows = query_sqlite(query, urls.database_file(parts), cure)
        columns = {n: [cell_text(row[place]) for row in rows] for place, n in enumerate(names)}
        return table_of_columns(columns)
    if parts.scheme == "postgresql":
        return query_postgresql(query, url, cure)
    raise UsageError(
        f"{parts} is neither sqlite:///FILE nor postgresql://USER@HOST/DATABASE, which can be queried"
    )


def query_sqlite(query: str, file: Path, cure: str) -> tuple[list[str], list[Any]]:
    import sqlite3

    if not file.exists():
        raise UsageError(
            f"{file} does not exist: sqlite:///FILE is relative to the current directory"
        )
    try:
        connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        try:
            cursor = connection.execute(query)
            return [
                *layout.different([each[0] for each in cursor.description or ()])
            ], cursor.fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise Away(
                f"{file} can't be read now, since another process writes it: try again later"
            ) from None
        raise MlopsError(f"the query fails in {file}: {error}; {cure}") from None


def query_postgresql(query: str, url: str, cure: str) -> Table:
    try:
        import adbc_driver_manager
        from adbc_driver_postgresql import dbapi
    except ModuleNotFoundError as error:
        raise MlopsError(
            f"{urls.redact_passwords(url)} can't be queried, since {error.name} is not installed: add "
            "adbc-driver-postgresql to pyproject.toml again, and run `make lock && make`"
        ) from None
    try:
        connection = dbapi.connect(url)
    except adbc_driver_manager.Error as error:
        raise Away(f"{urls.redact_passwords(url)} can't be opened: {first_line(error)}") from None
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(query)
            result = cursor.fetch_arrow_table()
    except adbc_driver_manager.Error as error:
        raise MlopsError(f"the query fails: {first_line(error)}; {cure}") from None
    nested = tuple(field.name for field in result.schema if not has_text(field.type))
    columns = {
        name: as_text(result[name].combine_chunks()).dictionary_encode()
        for name in result.column_names
        if name not in nested
    }
    return Table(columns, True, nested)


def first_line(error: Exception) -> str:
    return urls.redact_passwords(str(error)).strip().splitlines()[0]
