import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import raw_table
import small_project
from machinery import PROJECT
from mlops import errors, params, stage
from mlops.errors import DataError
from mlops.params import PrepareParams
from mlops.predict import schema
from mlops.predict.dialect import Dialect
from mlops.predict.schema import Column
from mlops.prepare import position, prepare, training_rows
from mlops.prepare.training_rows import CategoryColumn
from mlops.tables import cells, csv_source, row_hashes, splits
from mlops.tables.errors import SourceError
from small_project import TABLE, change, contents

PREPARED = "data/prepared"


def options() -> PrepareParams:
    return params.load_configuration().params.prepare


def rewrite(table: pd.DataFrame) -> None:
    table.to_csv(TABLE, index=False)


def split_of_rows() -> pd.Series:
    return raw_table.split_of_rows(options())


def no_rows(table: pd.DataFrame) -> pd.DataFrame:
    return table.head(0)


def no_target(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=options().target)


def one_class(table: pd.DataFrame) -> pd.DataFrame:
    return table[table[options().target] == options().positive]


def three_classes(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.tail(1).assign(**{options().target: "third"})])


def other_classes(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{options().target: table[options().target] + "!"})


def too_few_rows(table: pd.DataFrame) -> pd.DataFrame:
    return table.groupby(options().target).head(2)


def one_row_in_each_split(table: pd.DataFrame) -> pd.DataFrame:
    change("branch.yaml", "environment", "staging")
    rows = table.groupby(split_of_rows()).head(1)
    return pd.concat(
        [rows.assign(**{options().target: name}) for name in table[options().target].unique()]
    )


@pytest.mark.parametrize(
    ("breaks", "message"),
    [
        (no_rows, "table.csv holds no rows"),
        (
            no_target,
            "declared in params.yaml (prepare: columns, target, split) and not in the file",
        ),
        (one_class, "in all rows: there is nothing to predict; correct the rows, or name"),
        (three_classes, "to predict one of them, set prepare.task to multiclass"),
        (other_classes, "params.yaml: prepare.positive"),
        (too_few_rows, "rows of the train split is of the class"),
        (one_row_in_each_split, "every column is constant or missing"),
    ],
)
def test_a_bad_table_changes_nothing(
    trained: Path, breaks: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    before = contents(PREPARED)
    rewrite(breaks(small_project.table()))
    with pytest.raises(DataError) as refused:
        prepare.main()
    assert message in str(refused.value)
    assert contents(PREPARED) == before


def test_a_bad_second_file_is_named_and_nothing_is_written(untrained: Path) -> None:
    Path("data/raw/worse.csv").write_text("")
    with pytest.raises(SourceError, match=r"data/raw/worse\.csv is empty"):
        prepare.main()
    assert not Path(PREPARED).exists()


@pytest.mark.parametrize(("cell", "what"), [("7", "always 7"), ("", "missing")])
def test_a_column_that_tells_nothing_is_left_out_with_a_warning(
    untrained: Path, capsys: pytest.CaptureFixture[str], cell: str, what: str
) -> None:
    table = small_project.table()
    name = table.columns[0]
    change("params.yaml", "prepare.source.missing", [*options().source.missing, ""])
    rewrite(table.assign(**{name: cell}))
    prepare.main()
    assert name not in [column.name for column in schema.read_schema(splits.SCHEMA).columns]
    assert f"warning: column {name!r} is {what}" in capsys.readouterr().err


def test_rows_added_later_move_no_row(untrained: Path) -> None:
    table = small_project.table()
    before = split_of_rows()
    half = table.sample(frac=0.5, random_state=1).sort_index()
    rewrite(half)
    assert split_of_rows().tolist() == before[half.index].tolist()


def test_duplicates_never_straddle_two_splits_even_with_different_classes(untrained: Path) -> None:
    table = small_project.table()
    opposite = table[options().target].map(
        {options().positive: "other", "other": options().positive}
    )
    rewrite(pd.concat([table, table.assign(**{options().target: opposite})]))
    splits_found = split_of_rows()
    assert splits_found[: len(table)].tolist() == splits_found[len(table) :].tolist()


def test_rows_are_spread_evenly(untrained: Path) -> None:
    hashes = row_hashes.row_hashes([row_hashes.number_hashes(np.arange(10_000.0))])
    positions = pd.Series(position.positions(hashes, options(), "split"))
    assert positions.between(0, 1, inclusive="left").all()
    assert positions.quantile([0.2, 0.5, 0.8]).tolist() == pytest.approx([0.2, 0.5, 0.8], abs=0.02)
    slices = position.positions(hashes, options(), "slice")
    assert abs(positions.corr(pd.Series(slices))) < 0.03


def test_another_seed_splits_differently(untrained: Path) -> None:
    before = split_of_rows()
    change("params.yaml", "prepare.split.seed", options().split.seed + 1)
    assert (split_of_rows() != before).mean() > 0.2


def rows_of(name: splits.SplitName) -> pd.DataFrame:
    return pd.read_parquet(splits.split_file(name))


def test_what_dev_sees_is_a_part_of_what_staging_sees_in_every_split(untrained: Path) -> None:
    prepare.main()
    seen_by_dev = {name: rows_of(name) for name in splits.NAMES}
    change("branch.yaml", "environment", "staging")
    prepare.main()
    for name, rows in seen_by_dev.items():
        all_rows = rows_of(name)
        assert len(rows) < len(all_rows)
        assert len(rows.merge(all_rows.drop_duplicates())) == len(rows)


def test_every_row_is_in_one_split_as_it_was_in_the_table(untrained: Path) -> None:
    change("branch.yaml", "environment", "staging")
    prepare.main()
    texts = [*options().columns.category, options().target]
    prepared = pd.concat([rows_of(name).astype(dict.fromkeys(texts, str)) for name in splits.NAMES])
    table = raw_table.read_table(options())[list(prepared)]
    by = [str(name) for name in prepared]
    pd.testing.assert_frame_equal(
        prepared.sort_values(by, ignore_index=True),
        table.sort_values(by, ignore_index=True),
        check_dtype=False,
    )


def test_the_schema_says_what_the_training_rows_hold(trained: Path) -> None:
    input_schema = schema.read_schema(splits.SCHEMA)
    training = rows_of("train")
    for column in input_schema.columns:
        values = training[column.name]
        if column.type == "category":
            assert set(column.categories) == set(values) - {""}
            assert column.example in column.categories
            assert column.missing == ("" in set(values))
        else:
            assert (column.minimum, column.maximum) == (values.min(), values.max())
            assert column.example in values.tolist()
            assert column.missing == values.isna().any()
    assert input_schema.positive == options().positive


def test_the_schema_carries_the_contract_and_how_tables_write_unknown(untrained: Path) -> None:
    change("params.yaml", "prepare.contract.out_of_range", "error")
    prepare.main()
    input_schema = schema.read_schema(splits.SCHEMA)
    assert input_schema.policy == schema.Policy(out_of_range="error")
    assert input_schema.source == options().source.dialect


def described(values: list[str]) -> Column:
    """Returns the column of the schema that is made of the values, which come in two pieces."""
    counted = CategoryColumn()
    for piece in (values[:2], values[2:]):
        counted.add(cells.text_cells(pa.array(piece), Dialect()), np.ones(len(piece), bool))
    column = counted.column("colour")
    assert column
    return column


def test_only_the_most_frequent_categories_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert described(["rare", "often", "often", "some", "some"]).example == "often"
    many = described([f"{number:03}" for number in range(60)] * 2 + ["always"] * 3)
    assert len(many.categories) == 50
    assert "always" in many.categories
    assert "training rows that have another one: 22 (17.9%)" in capsys.readouterr().out


def test_of_a_column_in_which_every_row_differs_only_some_categories_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training_rows, "MOST_COUNTED", 100)
    counted = CategoryColumn()
    for start in range(0, 10_000, 50):
        words = ["often", *map(str, range(start, start + 50)), *[""] * (not start)]
        counted.add(cells.text_cells(pa.array(words), Dialect()), np.ones(len(words), bool))
        assert len(counted.counts) <= 100
    assert counted.known()[0] == "often"
    column = counted.column("colour")
    assert column
    assert column.missing


def test_run_as_a_stage_an_error_is_one_message_and_no_traceback(untrained: Path) -> None:
    TABLE.unlink()
    with pytest.raises(SystemExit, match=r"^DataError: data/raw holds no table"):
        errors.report_errors(prepare.main)


def test_the_provenance_names_the_parameters_of_the_run(trained: Path) -> None:
    provenance = json.loads(splits.PROVENANCE.read_text())
    assert provenance["parameters"]["data"] == {"fraction": 0.7}
    assert provenance["parameters"]["prepare"]["dataset"] == options().dataset


def test_the_pieces_in_which_a_table_is_read_change_no_byte(
    untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits, "ROW_GROUP", 100)
    prepare.main()
    whole = contents(PREPARED)
    monkeypatch.setattr(csv_source, "PIECE", 700)
    prepare.main()
    assert contents(PREPARED) == whole


def test_a_parquet_file_is_prepared_like_the_csv_file_with_the_same_rows(untrained: Path) -> None:
    prepare.main()
    from_csv = contents(PREPARED)
    raw_table.read_table(options()).to_parquet(TABLE.with_suffix(".parquet"))
    TABLE.unlink()
    change("params.yaml", "prepare.columns.ignored", [])
    prepare.main()
    for name in (*map(splits.split_file, splits.NAMES), splits.SCHEMA):
        assert contents(PREPARED)[name.name] == from_csv[name.name]


def test_the_order_and_the_number_of_files_move_no_row(untrained: Path) -> None:
    table = small_project.table()
    before = split_of_rows()
    table[400:].to_csv(TABLE, index=False)
    table[:400].to_csv("data/raw/zz.csv.gz", index=False)
    assert split_of_rows().tolist() == [*before[400:], *before[:400]]


def test_what_only_the_last_piece_shows_changes_nothing(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(PREPARED)
    monkeypatch.setattr(csv_source, "PIECE", 700)
    table = small_project.table()
    name = options().columns.integer[0]
    rewrite(pd.concat([table, table.tail(1).assign(**{name: "twelve"})]))
    with pytest.raises(DataError, match=rf"column '{name}': not a number: line 602 \('twelve'\)"):
        prepare.main()
    assert contents(PREPARED) == before
    assert not [*Path().glob(".prepare-*")]


def test_a_long_reading_says_how_far_it_is(
    untrained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(csv_source, "PIECE", 700)
    prepare.main()
    assert "MB are read" not in capsys.readouterr().out
    monkeypatch.setattr(stage, "SECONDS_BETWEEN_LINES", 0)
    prepare.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "prepare: 0 of 0 MB are read"
    assert len(lines) > 10


def peak_megabytes() -> float:
    """Returns the peak of the memory of a process that prepares the current directory."""
    code = (
        "from mlops.contract import measure\n"
        "from mlops.prepare import prepare\n"
        "from mlops.tables import splits\n"
        "splits.ROW_GROUP = 5000\n"
        "prepare.main()\n"
        "print(measure.peak_memory())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return int(printed.splitlines()[-1]) / 1e6


def test_memory_does_not_grow_with_the_rows(untrained: Path) -> None:
    header, *rows = TABLE.read_text().splitlines(keepends=True)
    TABLE.write_text(header + "".join(rows) * 100)
    few = peak_megabytes()
    TABLE.write_text(
        header + "".join(rows) * 1000
    )  # 600,000 rows, which take 80 MB more if they are held
    assert peak_megabytes() < few + 40
