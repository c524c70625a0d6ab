"""Tests how the layout of a file of text is found: encoding, delimiter, header."""

from pathlib import Path

import pytest

from mlops.adopt.layout import Header, Layout, find_layout
from mlops.tables.errors import SourceError
from mlops.tables.files import file_at

ROWS = [["anna", "3", "2,5"], ["bert", "4", "1,5"], ["cleo", "5", "7,0"]]


def laid_out(
    folder: Path,
    text: str,
    encoding: str = "utf-8",
    names: tuple[str, ...] = (),
    line: int | None = None,
) -> Layout:
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    return find_layout(file_at(str(path)), None, Header(line, names))


def lines(delimiter: str, *records: list[str]) -> str:
    return "".join(delimiter.join(record) + "\n" for record in records)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"name\nanna\nbert\n", "do not have the same number of cells"),
        (b"name,grade\n", "holds a header and no rows"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR,\0,\0,\0", "not a table"),
        (
            b"Dear all,\n\nthis is a letter, and no table.\nBest,\nme\n\nAnd so on, and on, and on.\n",
            "not a",
        ),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a file.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=words):
        find_layout(file_at(str(path)), None)


def test_a_header_below_the_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"table.csv: --header 9 is none of the first 3 lines"):
        laid_out(tmp_path, lines(";", *ROWS), line=9)


def test_another_number_of_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has 3 columns, and --names gives 2"):
        laid_out(tmp_path, lines(";", *ROWS), names=("a", "b"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"])
def test_delimiter_and_encoding_are_found(tmp_path: Path, delimiter: str, encoding: str) -> None:
    rows = [
        [cell.replace(",", ".") if delimiter == "," else cell for cell in row] for row in ROWS * 20
    ]
    found = laid_out(tmp_path, lines(delimiter, ["näme", "grade", "score"], *rows), encoding)
    assert found.dialect.delimiter == delimiter
    assert found.dialect.encoding.removesuffix("-sig") == encoding.removesuffix("-sig")
    assert found.columns == ("näme", "grade", "score")
    assert (found.dialect.names, found.dialect.skip) == ((), 0)


def test_columns_that_are_aligned_with_spaces_are_a_table(tmp_path: Path) -> None:
    rows = [f" {n}.5   {n * 10:5}\t'red   wine' " for n in range(30)]
    aligned = laid_out(tmp_path, "\r\n".join(row.replace("'", '"') for row in rows))
    assert (aligned.dialect.delimiter, len(aligned.columns)) == (" ", 3)
    single = laid_out(tmp_path, "sex length rings\n" + "F 0.4 7\nM 0.3 9\n" * 9)
    assert (single.dialect.delimiter, single.columns) == (" ", ("sex", "length", "rings"))
    names = laid_out(tmp_path, "person,grade\n" + "Anna B Clark,7\nDan E Fox,9\n" * 9)
    assert (names.dialect.delimiter, names.columns) == (",", ("person", "grade"))


@pytest.mark.parametrize(
    ("header", "columns", "has_names", "skip"),
    [
        ([], ("column_1", "column_2", "column_3"), True, 0),
        ([["n", "a", "b"]], ("n", "a", "b"), False, 0),
        ([["", "2020", "2021", "2022"]], ("column_1", "2020", "2021", "2022"), True, 1),
        ([["n", "s1", "s2"]], ("n", "s1", "s2"), False, 0),
        ([["n", "a", "a"]], ("n", "a", "a_3"), True, 1),
        ([["a", "b"]], ("row", "a", "b"), True, 1),
        ([["A title of 2024"], [""], ["n", "a", "b"]], ("n", "a", "b"), False, 2),
    ],
    ids=["none", "usual", "years", "like seconds", "twice", "row names", "below a title"],
)
def test_the_header_is_found(
    tmp_path: Path, header: list[list[str]], columns: tuple[str, ...], has_names: bool, skip: int
) -> None:
    rows = [[*row, "1"] if len(columns) == 4 else row for row in ROWS * 5]
    found = laid_out(tmp_path, lines(";", *header, *rows))
    assert found.columns == columns
    assert bool(found.dialect.names) == has_names
    assert found.dialect.skip == skip


def test_further_lines_of_a_header_are_skipped_and_a_row_with_texts_is_not(tmp_path: Path) -> None:
    header, more = (
        ["Q1", "Q2", "Q3"],
        [["Who are you?", "Your grade", "The score"], ["{1}", "{2}", "{3}"]],
    )
    found = laid_out(tmp_path, lines(";", header, *more, *ROWS * 9))
    assert (found.dialect.names, found.dialect.skip) == (("Q1", "Q2", "Q3"), 3)
    assert found.remarks["names"] == (
        "the header goes on for 2 more lines, such as Who are you?, Your grade, The score"
    )
    for row in (
        ["anna", "unknown", "none"],
        ["dora", "NA", "NA"],
        ["dora", "", ""],
        ["dora", "3", "none"],
    ):
        assert laid_out(tmp_path, lines(";", header, row, *ROWS * 9)).dialect.names == ()


def test_the_line_of_the_header_can_be_given(tmp_path: Path) -> None:
    text = lines(";", ["a", "b", "c"], ["1", "2", "3"], ["Title", "x", "y"], *ROWS)

    def found(line: int, *names: str) -> tuple[tuple[str, ...], int]:
        layout = laid_out(tmp_path, text, names=names, line=line)
        return layout.columns, layout.dialect.skip

    assert found(3) == (("Title", "x", "y"), 2)
    assert found(0) == (("column_1", "column_2", "column_3"), 0)
    assert found(0, *"xyz") == (("x", "y", "z"), 0)
    assert found(3, *"xyz") == (("x", "y", "z"), 3)
    with pytest.raises(SourceError, match="holds a header and no rows"):
        found(6)


def test_a_header_below_a_line_of_as_many_cells_is_found_by_the_column_in_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(lines(";", ["A", "", "title"], ["n", "grade", "score"], *ROWS * 5))
    for column, columns in (
        ("score", ("n", "grade", "score")),
        ("bert", ("A", "column_2", "title")),
    ):
        assert find_layout(file_at(str(path)), None, Header(column=column)).columns == columns
