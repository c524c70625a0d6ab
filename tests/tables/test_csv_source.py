import bz2
import csv
import gzip
import io
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from mlops.tables import csv_source, files
from mlops.tables.errors import SourceError
from mlops.tables.pieces import Piece, Wanted

WANTED = Wanted(("n",), ("t",), None, ("", "?"))


@pytest.fixture
def write_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes, name: str = "rows.csv") -> None:
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def source(name: str = "rows.csv") -> csv_source.CsvSource:
    (file,) = files.find_files([name])
    return csv_source.open_csv(file, WANTED.names)


def pieces(name: str = "rows.csv", wanted: Wanted = WANTED) -> list[Piece]:
    return [*source(name).pieces(wanted)]


def rows(name: str = "rows.csv") -> list[tuple[object, str]]:
    """Returns the number and the text of each row. A number is None or text if Arrow cannot read it."""
    pieces_of_columns = [piece.content.records(WANTED).columns for piece in pieces(name)]
    return [
        row
        for columns in pieces_of_columns
        for row in zip(*(columns[n].to_pylist() for n in "nt"), strict=True)
    ]


def broken(name: str = "rows.csv") -> list[tuple[int, str]]:
    """Returns the line and the reason of each broken record."""
    return [
        (piece.content.line(record.position), record.reason)
        for piece in pieces(name)
        for record in piece.content.records(WANTED).broken
    ]


@pytest.mark.parametrize(("delimiter", "word"), [(";", "semicolon"), ("\t", "tab"), ("|", "bar")])
def test_the_delimiter_is_found_in_the_header_and_named(
    write_file: Callable[..., None], delimiter: str, word: str
) -> None:
    write_file("a,b;n;t\n1,5;2;x\n".replace(";", delimiter))
    assert source().notice == f"rows.csv: cells are separated by a {word}"
    assert rows() == [(2.0, "x")]


def test_a_byte_order_mark_quotes_and_spaces_of_the_header(write_file: Callable[..., None]) -> None:
    write_file('\ufeff\n"n", t , "o, p"\r\n1,x,y\r\n')
    assert source().names == ("n", "t", "o, p")
    assert source().notice is None
    assert rows() == [(1.0, "x")]


def test_a_record_with_another_number_of_cells_is_broken_and_its_line_is_named(
    write_file: Callable[..., None],
) -> None:
    write_file("n,t\n1,x\n2\n\n3,y\n4,z,z\n5,w\n")
    assert rows() == [(1.0, "x"), (3.0, "y"), (5.0, "w")]
    reason = "{} cells, and the header has 2"
    assert broken() == [(3, reason.format(1)), (6, reason.format(3))]
    assert pieces()[0].content.records(WANTED).positions.tolist() == [0, 2, 4]


def test_lines_are_counted_where_cells_hold_line_ends(write_file: Callable[..., None]) -> None:
    write_file('n,t\n1,"x\ny"\n2\n"3","a ""b""\r\nc"\n4,5,6\n')
    assert rows() == [(1.0, "x\ny"), (3.0, 'a "b"\r\nc')]
    assert [line for line, _ in broken()] == [4, 7]


def test_numbers_that_arrow_cannot_read_are_left_as_text(write_file: Callable[..., None]) -> None:
    write_file("n,t\n1,x\n ? ,y\nabc,z\n")
    assert rows() == [("1", "x"), (" ? ", "y"), ("abc", "z")]


@pytest.mark.parametrize("cell", ["nan", "NaN", " nan "])
def test_a_cell_that_says_nan_is_not_taken_for_a_missing_number(
    write_file: Callable[..., None], cell: str
) -> None:
    write_file(f"n,t\n?,x\n{cell},y\n")
    assert rows() == [("?", "x"), (cell, "y")]


def test_a_text_for_unknown_that_is_a_number_is_found_between_spaces(
    write_file: Callable[..., None],
) -> None:
    write_file("n,t\n -9 ,x\n")
    (piece,) = pieces()
    columns = piece.content.records(Wanted(("n",), ("t",), None, ("-9",))).columns
    assert columns["n"].to_pylist() == [" -9 "]


def test_a_quote_counts_after_spaces_as_in_training(write_file: Callable[..., None]) -> None:
    write_file('n,t\n1, "x, y"\n2,z\n3\n')
    assert rows() == [("1", "x, y"), ("2", "z")]
    assert [line for line, _ in broken()] == [4]


def test_a_quote_inside_a_cell_is_an_ordinary_character(write_file: Callable[..., None]) -> None:
    write_file('n,t\n1,5" pipe\n2,y\n')
    assert rows() == [("1", '5" pipe'), ("2", "y")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "rows.csv is empty"),
        ("\n\n", "rows.csv is empty"),
        ('n,t\n1,x\n2,"y\n3,z\n', "line 3: a quote is opened here and not closed"),
        ("n,t\n1,x\n2,\xe9\n".encode("latin-1"), "line 3: byte 0xe9 is not UTF-8"),
        ("n,\xe9\n1,x\n".encode("latin-1"), "line 1: byte 0xe9 is not UTF-8"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused(
    write_file: Callable[..., None], content: str | bytes, message: str
) -> None:
    write_file(content)
    with pytest.raises(SourceError, match=f"rows.csv.*{message}|{message}"):
        rows()


def test_a_column_twice_in_the_header_is_refused(write_file: Callable[..., None]) -> None:
    write_file("n,o,t,n,o\n1,2,3,4,5\n")
    with pytest.raises(SourceError, match=r"rows\.csv names 'n' twice in its header"):
        source().refuse_unfit(WANTED)


def test_a_column_that_is_not_wanted_may_occur_twice(write_file: Callable[..., None]) -> None:
    write_file("o,n,o,t,\n1,2,3,4,5\n")
    source().refuse_unfit(WANTED)
    assert rows() == [(2.0, "4")]


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": lambda content: pa.compress(content, "zstd", asbytes=True),
}


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_compressed_text(write_file: Callable[..., None], suffix: str) -> None:
    content = "n,t\n" + "1,x\n" * 1000
    write_file(COMPRESSED[suffix](content.encode()), name := f"rows.csv.{suffix}")
    assert rows(name) == [(1.0, "x")] * 1000
    assert sum(piece.size for piece in pieces(name)) <= Path(name).stat().st_size


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_compressed_text_that_is_cut_off_is_refused(
    write_file: Callable[..., None], suffix: str
) -> None:
    content = "n,t\n" + "".join(f"{number},{number**7}\n" for number in range(1000))
    write_file(COMPRESSED[suffix](content.encode())[:-100], name := f"rows.csv.{suffix}")
    with pytest.raises(SourceError, match=rf"{name} is broken or cut off"):
        rows(name)


def test_pieces_are_cut_between_records_wherever_they_end(
    write_file: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records and their lines are those that the reader of training finds, whatever the cells hold."""
    chance = random.Random(3)  # noqa: S311
    texts = ["x", "", " ", 'a "b"', "c,d", "e\nf", "\n", "g\r\nh", "?", "é" * 9, '"']
    for size in (1, 7, 40, 1000):
        monkeypatch.setattr(csv_source, "PIECE", size)
        monkeypatch.setattr(csv_source, "LONGEST", 10_000)
        cells = [(str(number), chance.choice(texts)) for number in range(100)]
        text = io.StringIO(newline="")
        end = chance.choice(["\n", "\r\n"])
        csv.writer(text, lineterminator=end).writerows([("n", "t"), *cells])
        write_file(text.getvalue())
        assert [(float(str(number)), text) for number, text in rows()] == [
            (float(number), text) for number, text in cells
        ]
        lines = []
        for piece in pieces():
            records = piece.content.records(WANTED)
            lines += [piece.content.line(position) for position in records.positions.tolist()]
        reader = csv.reader(io.StringIO(text.getvalue(), newline=""))
        starts = [1]
        for _ in reader:
            starts.append(reader.line_num + 1)
        assert lines == starts[1:-1]
