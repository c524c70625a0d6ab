import bz2
import csv
import gzip
import io
import math
import random
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from mlops.predict.dialect import Dialect
from mlops.tables import cells, csv_source, files, sources
from mlops.tables.errors import SourceError
from mlops.tables.pieces import Piece, Wanted

WANTED = Wanted(("n",), ("t",), None, Dialect(missing=("", "?")))


@pytest.fixture
def write_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes, name: str = "rows.csv") -> None:
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def source(name: str = "rows.csv") -> csv_source.CsvSource:
    file = files.hashed_file(name)
    return csv_source.open_csv(file, WANTED.names, WANTED.dialect)


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


def test_a_column_that_is_missing_among_thousands_is_told_in_a_line(
    write_file: Callable[..., None],
) -> None:
    write_file(",".join(f"c{number}" for number in range(3_000)) + "\n")
    with pytest.raises(SourceError) as refused:
        sources.open_source(files.hashed_file("rows.csv"), WANTED)
    assert str(refused.value).startswith("rows.csv has no column 'n', 't', which the model")
    assert str(refused.value).endswith("'c18', 'c19' and 2,980 more")


@pytest.mark.parametrize("quoted", ["b", ' "b"'])
def test_a_last_line_that_is_cut_off_is_an_incomplete_file(
    write_file: Callable[..., None], quoted: str
) -> None:
    write_file(f"n,t\n1,a\n2,{quoted}")
    assert [text for _, text in rows()] == ["a", "b"]
    write_file(f"n,t\n1,{quoted}\n2")
    message = r"line 3: the last line has no end \(1 cell, and the header has 2\)"
    with pytest.raises(SourceError, match=message):
        rows()
    write_file(f"n,t\n1,{quoted}\n2\n")
    assert len(rows()) == 1


@pytest.mark.parametrize("size", [1, 7, csv_source.PIECE])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize("name", ["rows.data", "rows.txt.gz"])
def test_cells_with_spaces_between_them_are_read_in_pieces_of_any_size(
    write_file: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    name: str,
    encoding: str,
) -> None:
    monkeypatch.setattr(csv_source, "PIECE", size)
    text = '\ufeff  n   t  \r\n\r\n 1.5\t "a  b" \r\n?     5"\r\n  3   c\n'
    content = text.encode(encoding)
    write_file(gzip.compress(content) if name.endswith("gz") else content, name)
    dialect = Dialect(encoding, delimiter=" ", missing=("?",))
    spaced = csv_source.open_csv(files.hashed_file(name), WANTED.names, dialect)
    assert (spaced.names, spaced.notice) == (("n", "t"), None)
    wanted = Wanted(WANTED.numbers, WANTED.texts, None, dialect)
    read = [piece.content.records(wanted).columns for piece in spaced.pieces(wanted)]
    texts = [str(text) for columns in read for text in columns["t"].to_pylist()]
    assert texts == ["a  b", '5"', "c"]
    write_file("n t\n1 a\n2 b c\n".encode(encoding), "rows.data")
    short = csv_source.open_csv(files.hashed_file("rows.data"), WANTED.names, dialect)
    found = [(piece, piece.content.records(wanted).broken) for piece in short.pieces(wanted)]
    assert [p.content.line(each.position) for p, some in found for each in some] == [3]


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
    reason = "{}, and the header has 2"
    assert broken() == [(3, reason.format("1 cell")), (6, reason.format("3 cells"))]
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
    columns = piece.content.records(Wanted(("n",), ("t",), None, Dialect(missing=("-9",)))).columns
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


def test_a_cell_of_the_header_that_is_too_long_is_of_no_table_or_of_another_delimiter(
    write_file: Callable[..., None],
) -> None:
    write_file("[" + '{"n": 1, "t": "x"}; ' * 10_000)
    with pytest.raises(SourceError, match=r"a cell of the header has over 131,072 characters"):
        csv_source.open_csv(files.hashed_file("rows.csv"), WANTED.names, Dialect(delimiter="\t"))
    more = "".join(f";{number:06}" for number in range(30_000))
    write_file(f"n;t{more}\n1;x{more}\n")
    assert rows() == [(1.0, "x")]


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


def cells_of(dialect: Dialect, name: str = "rows.csv") -> list[tuple[object, str]]:
    """Returns the number, None if it is missing, and the text of each row as every reader takes them."""
    wanted = Wanted(("n",), ("t",), None, dialect)
    file = files.hashed_file(name)
    pieces = csv_source.open_csv(file, wanted.names, dialect).pieces(wanted)
    read = [cells.read_cells(piece.content.records(wanted).columns, wanted) for piece in pieces]
    return [
        (None if unknown else number, text)
        for each in read
        for number, unknown, text in zip(
            each.numbers["n"].values.tolist(),
            each.numbers["n"].unknown.tolist(),
            each.texts["t"].values,
            strict=True,
        )
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1", "cp1252", "utf-8-sig"])
@pytest.mark.parametrize("size", [1, 3, 1_000_000])
def test_any_encoding_is_read(
    write_file: Callable[..., None], monkeypatch: pytest.MonkeyPatch, encoding: str, size: int
) -> None:
    monkeypatch.setattr(csv_source, "PIECE", size)
    write_file('n,t\r\n1,Löß\r\n2,"x,\r\ny"\r\n'.encode(encoding))
    assert cells_of(Dialect(encoding=encoding)) == [(1, "Löß"), (2, "x,\r\ny")]


def test_a_byte_of_another_encoding_is_named_with_its_line(
    write_file: Callable[..., None],
) -> None:
    write_file(b"n,t\n1,x\n2,\x81\n")
    with pytest.raises(
        SourceError, match=r"near line 3: byte 0x81 is not cp1252: name another enc"
    ):
        cells_of(Dialect(encoding="cp1252"))
    write_file(b"n,t\n1,x\n")
    with pytest.raises(SourceError, match=r"is not utf-16 .*: name another encoding"):
        cells_of(Dialect(encoding="utf-16"))


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_lines_may_end_with_a_carriage_return_alone(
    write_file: Callable[..., None], monkeypatch: pytest.MonkeyPatch, size: int, mark: str
) -> None:
    monkeypatch.setattr(csv_source, "PIECE", size)
    write_file(f'{mark}n,t\r1,x\r2,"y\rz"\r')
    assert cells_of(Dialect()) == [(1, "x"), (2, "y\nz")]


@pytest.mark.parametrize(
    ("dialect", "number", "value"),
    [
        (Dialect(delimiter=";", decimal=","), "1,5", 1.5),
        (Dialect(delimiter=";", decimal=","), "1.5", math.nan),
        (Dialect(delimiter=";", decimal=",", thousands="."), "-1.234.567,5", -1234567.5),
        (Dialect(delimiter=";", decimal=",", thousands="."), "1.5", math.nan),
        (Dialect(delimiter=";", decimal=",", thousands="."), "1234,5", 1234.5),
        (Dialect(delimiter=";", thousands=","), "1,200", 1200),
        (Dialect(delimiter=";", thousands=","), "1,20", math.nan),
        (Dialect(delimiter=";", thousands=","), "1,2000", math.nan),
        (Dialect(delimiter=";", thousands="\u00a0"), "1\u00a0200", 1200),
        (Dialect(delimiter=";", units=("$", "%")), "$7.25", 7.25),
        (Dialect(delimiter=";", units=("$", "%")), " 7 % ", 7),
        (Dialect(delimiter=";", units=("$", "%")), "-$7", -7),
        (Dialect(delimiter=";", units=("$", "()"), thousands=","), "($1,007.5)", -1007.5),
        (Dialect(delimiter=";", units=("$", "()")), "(7", math.nan),
        (Dialect(delimiter=";", units=("$",)), "(7)", math.nan),
        (Dialect(delimiter=";", units=("g", "kg")), "72 kg", 72),
        (Dialect(delimiter=";", units=("$", "US$", "%")), "US$ 72 %", 72),
        (Dialect(delimiter=";", units=("'",)), "'72'", 72),
        (Dialect(delimiter=";", units=("Rs",)), "Rs.500", math.nan),
        (Dialect(delimiter=";", units=("Rs", "Rs.")), "Rs.500", 500),
        (Dialect(delimiter=";", units=("$",), missing=("$",)), "$", None),
        (Dialect(delimiter=";", missing=("-9",)), "-9.0", -9),
    ],
)
def test_numbers_are_read_as_the_dialect_says(
    write_file: Callable[..., None], dialect: Dialect, number: str, value: float | None
) -> None:
    write_file(f"n;t\n{number};x\n")
    ((read, _),) = cells_of(dialect)
    assert read == pytest.approx(value, nan_ok=True)


def test_a_file_without_a_header_has_the_names_of_the_dialect(
    write_file: Callable[..., None],
) -> None:
    write_file("1,x\n2,y\n")
    dialect = Dialect(names=("n", "t"))
    assert cells_of(dialect) == [(1, "x"), (2, "y")]
    write_file("made by a program, on a day\n\n1,x\n2,y\n")
    assert cells_of(msgspec.structs.replace(dialect, skip=2)) == [(1, "x"), (2, "y")]


def test_lines_before_the_header_are_skipped(write_file: Callable[..., None]) -> None:
    write_file('A title; "of some\nkind\nn,t\n1,x\n2\n')
    assert cells_of(Dialect(skip=2)) == [(1, "x")]
    wanted = Wanted(("n",), ("t",), None, Dialect(skip=2))
    (piece,) = csv_source.open_csv(files.file_at("rows.csv"), "nt", wanted.dialect).pieces(wanted)
    assert piece.content.line(1) == 5


def test_a_long_cell_is_read_whatever_stands_beside_it(write_file: Callable[..., None]) -> None:
    long = "x" * 200_000
    for other in ("y", '"y, z"', '5" pipe'):
        write_file(f'n,t\n1,"{long}"\n2,{other}\n3\n')
        assert [len(text) for _, text in rows()] == [len(long), len(other.strip('"'))]
        assert [line for line, _ in broken()] == [4]


def test_a_header_that_is_too_long_is_named(
    write_file: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_source, "HEADER", 100)
    more = ",".join(f"column_{number}" for number in range(20))
    for title, skip in (("", 0), ("a title\n", 1)):
        write_file(f"{title}n,t,{more}\n1,x{',' * 20}\n")
        with pytest.raises(SourceError, match=r"rows\.csv: the header has over 100 bytes: leave"):
            csv_source.open_csv(files.hashed_file("rows.csv"), "nt", Dialect(skip=skip))


def test_a_quote_that_opens_a_large_file_is_found_soon(
    write_file: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_source, "PIECE", 1000)
    monkeypatch.setattr(csv_source, "LONGEST", 1_000_000)
    write_file('n,t\n1,"x\n' + "1,x\n" * 500_000)
    started = time.process_time()
    with pytest.raises(SourceError, match=r"line 2: a quote is opened here and not closed"):
        pieces()
    assert time.process_time() - started < 5


def test_rows_of_many_columns_with_irregular_quotes_are_read_in_no_more_time_than_others(
    write_file: Callable[..., None],
) -> None:
    more = range(20_000)
    names, cells = (",".join(f"{sign}{n}" for n in more) for sign in ("c", ""))
    write_file(f"n,t,{names}\n" + f'1,5" pipe,{cells}\n' * 4)
    wanted = Wanted(tuple(f"c{n}" for n in more), ("t",), None, Dialect())
    started = time.process_time()
    (piece,) = source().pieces(wanted)
    assert piece.content.records(wanted).columns["c19999"].to_pylist() == ["19999"] * 4
    assert time.process_time() - started < 5
