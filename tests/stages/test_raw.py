from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import asdict

import raw_table
from mlops.errors import DataError, MlopsError
from mlops.params import PrepareParams
from mlops.predict.dialect import Dialect
from mlops.prepare import raw

PARAMS = PrepareParams.model_validate(
    {
        "dataset": "trees",
        "task": "binary",
        "target": "kind",
        "rows_without_target": "refuse",
        "positive": "oak",
        "source": asdict(Dialect(missing=("", "?"))),
        "columns": {
            "integer": ["age"],
            "number": ["height"],
            "boolean": [],
            "date": [],
            "category": ["soil"],
            "ignored": ["note"],
        },
        "contract": {
            "missing_value": "warning",
            "unknown_category": "warning",
            "out_of_range": "warning",
            "extra_column": "error",
        },
        "split": {"by": "row", "column": None, "validation": 0.2, "test": 0.2, "seed": 1},
    }
)
HEADER = "age,height,soil,note,kind\n"
ROW = "80,12.5,clay,by the gate,oak\n"
GOOD = HEADER + ROW


def refusal(folder: Path, content: str | bytes, name: str = "trees.csv") -> str:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(MlopsError) as refused:
        [*raw.read_rows(PARAMS, folder)]
    return str(refused.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "trees.csv is empty: add a header and rows, or leave it out"),
        ("\n\n", "trees.csv is empty: add a header and rows, or leave it out"),
        (HEADER, "trees.csv holds no rows"),
        ("age,height,soil,note\n", "column 'kind': declared in params.yaml"),
        ("age,height,note,kind\n", "column 'soil': declared in params.yaml"),
        (HEADER.replace("age", "age,girth"), "column 'girth': in the file and not declared"),
        (HEADER.replace("age", "age,age"), "column 'age': twice in the header"),
        (GOOD + ROW.replace("80", "old"), "column 'age': not a number: line 3 ('old')"),
        (GOOD + ROW.replace("80", "1,5"), "not rows: line 3 (6 cells, and the header has 5)"),
        (GOOD + ROW.replace(",oak", ""), "not rows: line 3 (4 cells, and the header has 5)"),
        (GOOD + ROW.replace("80", '"1,5"'), "column 'age': not a number: line 3 ('1,5')"),
        (GOOD + ROW.replace("80", "80.5"), "column 'age': not a whole number: line 3 (80.5)"),
        (GOOD + ROW.replace("80", "16777217"), "column 'age': over 16777216"),
        (GOOD + ROW.replace("12.5", "inf"), "column 'height': not a number: line 3 ('inf')"),
        (GOOD + ROW.replace("12.5", "-inf"), "column 'height': not a number: line 3"),
        (GOOD + ROW.replace("12.5", "1e400"), "'height': over 3.4e+38, the largest number that"),
        (GOOD + ROW.replace("12.5", "1e39"), "that a model takes: line 3 (1e+39)"),
        (GOOD + ROW.replace("80", "\uff11\uff12"), "column 'age': not a number: line 3"),
        (GOOD + ROW.replace("12.5", "nan"), "column 'height': not a number: line 3 ('nan')"),
        (GOOD + ROW.replace("oak", "?"), "target (prepare.rows_without_target can be drop): line 3"),
        (GOOD + ROW.replace("clay", '"clay'), "trees.csv, line 3: a quote is opened here and not closed"),
        (GOOD + '80,12.5,"clay"y,-,oak\n', "trees.csv, line 3: ',' expected after '\"'"),
        ((GOOD + "80,12.5,Lößlehm,,oak\n").encode("latin-1"), "line 3: byte 0xf6 is not UTF-8"),
        (GOOD.encode("utf-16"), "trees.csv, line 1: byte 0xff is not UTF-8"),
        (GOOD + "\n\n" + ROW.replace("80", "x"), "not a number: line 5 ('x')"),
        (HEADER + ROW.replace("by", '"by\n') .replace("gate", 'gate"') + ROW.replace("80", "x"),
         "not a number: line 4 ('x')"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_file_its_column_and_its_lines(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    refused = refusal(tmp_path, content)
    assert "trees.csv" in refused
    assert message in refused


def test_all_columns_are_named_at_once_and_the_first_lines_of_each(tmp_path: Path) -> None:
    refused = refusal(tmp_path, HEADER + "x,y,clay,,oak\n" * 7)
    assert refused.splitlines() == [
        "trees.csv does not fit params.yaml:",
        *(
            f"  column {column!r}: not a number: "
            + ", ".join(f"line {line} ({cell!r})" for line in range(2, 7))
            + " and 2 more"
            for column, cell in (("age", "x"), ("height", "y"))
        ),
    ]


def test_a_bad_file_is_named_when_another_is_good(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(GOOD)
    assert refusal(tmp_path, HEADER + ROW.replace("80", "x"), "2.csv").startswith("2.csv ")


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"holds no table: put your CSV or Parquet file there, or run `dvc pull`"
    ):
        [*raw.read_rows(PARAMS, tmp_path)]


def test_files_are_one_table_without_the_ignored_columns_in_whatever_order(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(GOOD)
    (tmp_path / "2.csv").write_text("kind,note,soil,height,age\nelm,,sand,3,7\n")
    table = raw_table.read_table(PARAMS, tmp_path)
    assert sorted(map(str, table)) == ["age", "height", "kind", "soil"]
    assert table.age.tolist() == [80, 7]
    assert table.kind.tolist() == ["oak", "elm"]


def test_missing_cells_are_nan_or_empty_text_and_spaces_around_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "trees.csv").write_bytes(
        ("\ufeff" + HEADER + "?,,?,,oak\r\n -0 , 1e-3 , clay , , oak \r\n").encode()
    )
    table = raw_table.read_table(PARAMS, tmp_path)
    assert table.soil.tolist() == ["", "clay"]
    assert table.kind.tolist() == ["oak", "oak"]
    np.testing.assert_array_equal(table[["age", "height"]], [[np.nan, np.nan], [0, 0.001]])
    assert not np.signbit(table.age[1])


def test_rows_without_a_target_can_be_dropped(tmp_path: Path) -> None:
    (tmp_path / "trees.csv").write_text(GOOD + ROW.replace("oak", "?") + ROW.replace("80", "90"))
    dropping = PARAMS.model_copy(update={"rows_without_target": "drop"})
    (cells,) = raw.read_rows(dropping, tmp_path)
    assert cells.numbers["age"].values.tolist() == [80, 90]
    assert cells.numbers["age"].cells.to_pylist() == [80, 90]
    assert cells.texts["kind"].values.tolist() == ["oak", "oak"]


def test_another_table_is_named_with_the_command_that_adopts_it(tmp_path: Path) -> None:
    other = refusal(tmp_path, "Größe;Preis;kind\n1;2;oak\n", "my trees.csv")
    assert (
        "has 3 columns ('Größe', 'Preis', 'kind'), and 1 of the 5 that params.yaml declares"
        in other
    )
    assert "cells are separated by a semicolon" in other
    assert other.endswith("give it to the project: `mlops adopt 'my trees.csv' --target kind`")
    (tmp_path / "my trees.csv").unlink()
    assert refusal(tmp_path, GOOD.encode("utf-16")).endswith("trees.csv --target COLUMN`")
