"""Tests whole batches from files to predictions in SQLite: each is scored once, whatever happens."""

import contextlib
import csv
import hashlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
from pathlib import Path

import pytest

import small_batch
from mlops.batch import removal, score
from mlops.batch.errors import DuplicateKey, FilesFailed, TooManyRejects
from mlops.batch.order import ScoreOrder
from mlops.errors import Refused
from mlops.predict import schema
from mlops.predict.predictor import Predictor
from mlops.tables import splits
from mlops.tables.errors import SourceError
from small_batch import ROWS, process, release, run, stored, table

EVERYTHING = "SELECT * FROM predictions ORDER BY batch_id, row_key"


def number_column(release: Path) -> str:
    return schema.read_schema(release / "deploy/schema.json").names("integer", "number")[0]


def default_key(row: int, file: str = "rows.csv") -> str:
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return f"{Path(file).name}:{digest[:8]}:{row}"


def spoil(rows: int, column: str, *, of: int = ROWS) -> None:
    """Makes the first rows of rows.csv break the contract."""
    content = table(of)
    content.loc[: rows - 1, column] = "many"
    content.to_csv("rows.csv", index=False)


def test_every_row_is_predicted_as_the_predictor_does(
    finished: Path, released: Path, arrived: Path
) -> None:
    """The bits stay the same through a file and a database."""
    predictor = Predictor(released / "deploy")
    with contextlib.chdir(finished):
        test = splits.read_split("test", predictor.schema)
    columns = {name: [*values] for name, values in test.columns.items()}
    with Path("rows.csv").open("w", newline="") as file:
        csv.writer(file).writerow(columns)
        rows = zip(*columns.values(), strict=True)
        csv.writer(file).writerows([str(cell).replace("nan", "") for cell in row] for row in rows)
    run(released)
    expected = predictor.predict(test.columns)
    answers = stored(
        "SELECT prediction, probability_negative, probability_positive, row_key "
        "FROM predictions ORDER BY CAST(substr(row_key, 19) AS INTEGER)"
    )
    assert [row[0] for row in answers] == expected.answers.tolist()
    assert [row[1:3] for row in answers] == [*map(tuple, expected.probabilities.tolist())]
    assert [row[3] for row in answers] == [default_key(n) for n in range(1, len(answers) + 1)]


def test_csv_and_parquet_compressed_or_not_give_the_same(released: Path, arrived: Path) -> None:
    small_batch.write_parquet(released)
    table().to_csv("rows.csv.gz", index=False, sep=";")
    for name in ("rows.csv", "rows.parquet", "rows.csv.gz"):
        run(released, name, key="id")
    answers = "SELECT row_key, prediction, probability_positive FROM predictions WHERE batch_id = "
    batches = stored("SELECT batch_id FROM batches")
    each = [sorted(stored(f"{answers}'{name}'")) for name in batches]
    assert len(each) == 3
    assert len(each[0]) == ROWS
    assert each[0] == each[1] == each[2]


def test_the_report_names_ignored_columns_rows_model_and_batch(
    released: Path, arrived: Path
) -> None:
    report = run(released)
    model = schema.read_schema(released / "deploy/schema.json")
    assert f"ignored columns, which the model does not use: id, {model.target}" in report
    assert f"scored {ROWS} rows of rows.csv in " in report
    (batch,) = stored("SELECT batch_id FROM batches")
    assert f"model v1.0.0 (prod); batch {batch} in sqlite:///predictions.db" in report


def test_a_batch_is_scored_once(released: Path, arrived: Path) -> None:
    run(released)
    before = stored(EVERYTHING)
    Path("rows.csv").rename("renamed.csv")
    assert run(released, "renamed.csv").startswith("already scored: renamed.csv with v1.0.0 (prod)")
    assert stored(EVERYTHING) == before


def test_another_model_adds_rows_beside_the_old_ones(
    released: Path, arrived: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run(released)
    before = stored(EVERYTHING)
    newer = tmp_path_factory.mktemp("newer")
    run(release(released / "deploy", newer, "v1.1.0"))
    assert {*before} < {*stored(EVERYTHING)}
    assert stored("SELECT DISTINCT model_version FROM latest_predictions") == ["v1.1.0"]
    run(released, force=True)
    assert stored("SELECT DISTINCT model_version FROM latest_predictions") == ["v1.0.0"]
    assert len(stored(EVERYTHING)) == 2 * ROWS


def test_another_key_is_another_batch(released: Path, arrived: Path) -> None:
    run(released)
    run(released, key="id")
    assert "person 7" in stored("SELECT row_key FROM predictions")
    assert len(stored(EVERYTHING)) == 2 * ROWS


def test_each_file_of_a_folder_is_a_batch_of_its_own_that_is_scored_once(
    released: Path, arrived: Path
) -> None:
    """Six files that arrive hour by hour give as many rows as they have, and not all rows each time."""
    Path("in/other").mkdir(parents=True)
    Path("in/notes.xlsx").touch()
    for hour in range(1, 4):
        table(10 * hour).to_csv(f"in/{hour}.CSV", index=False)
        report = run(released, "in")
        assert "not read, since only files with known names are: in/notes.xlsx, in/other/" in report
    assert report.endswith("3 files: scored 1, and 2 before")
    assert stored("SELECT source, rows FROM batches ORDER BY batch") == [
        (f"in/{hour}.CSV", 10 * hour) for hour in range(1, 4)
    ]
    assert stored("SELECT count(*) FROM predictions") == [60]


def test_files_of_the_same_name_have_different_keys(released: Path, arrived: Path) -> None:
    for day, rows in (("monday", 10), ("tuesday", 20)):
        Path(day).mkdir()
        table(rows).to_csv(f"{day}/export.csv", index=False)
        run(released, f"{day}/export.csv")
    assert stored("SELECT count(*) FROM latest_predictions") == [30]
    assert default_key(10, "monday/export.csv") in stored("SELECT row_key FROM predictions")
    (monday,) = stored("SELECT batch_id FROM batches WHERE rows = 10")
    assert default_key(1, "monday/export.csv") == f"export.csv:{monday[:8]}:1"


def test_small_files_come_first_and_the_last_input_is_the_latest(
    released: Path, arrived: Path
) -> None:
    """The order of the inputs says which of several predictions of a key is the latest."""
    for name, rows in (("old.csv", 40), ("new.csv", 20), ("newest.csv", 30)):
        table(rows).to_csv(name, index=False)
    report = run(released, "old.csv", "new.csv", "newest.csv", key="id")
    scored = [line.split()[4] for line in report.splitlines() if line.startswith("scored ")]
    assert scored == ["new.csv", "newest.csv", "old.csv"]
    sources = "SELECT source, count(*) FROM latest_predictions JOIN batches USING (batch_id)"
    assert stored(f"{sources} GROUP BY 1 ORDER BY 1") == [("newest.csv", 30), ("old.csv", 10)]


def test_after_a_rollback_what_the_environment_holds_becomes_the_latest_again(
    released: Path, arrived: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    newer = release(released / "deploy", tmp_path_factory.mktemp("newer"), "v1.1.0")
    run(released)
    run(newer)
    assert "v1.1.0 has scored it since v1.0.0 did, which prod holds now" in run(released)
    latest = "SELECT DISTINCT model_version FROM latest_predictions"
    assert stored(latest) == ["v1.0.0"]
    assert "already scored" in run(released)
    assert stored("SELECT count(*) FROM predictions") == [2 * ROWS]
    run(newer)
    assert stored(latest) == ["v1.1.0"]


def test_rows_of_old_batches_are_removed_and_their_files_not_scored_again(
    released: Path, arrived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(10).to_csv("old.csv", index=False)
    for file in ("old.csv", "rows.csv"):
        run(released, file, key="id")
    long_ago = "UPDATE batches SET started_at = '2020-01-01T00:00:00.000000+00:00' WHERE rows = 10"
    label = "INSERT INTO labels VALUES (?, ?, 'yes', NULL, '2020-01-01T00:00:00.000000+00:00')"
    target = schema.read_schema(released / "deploy/schema.json").target
    labels = [("gone", target), ("person 50", "another target"), ("person 50", target)]
    with contextlib.closing(sqlite3.connect(small_batch.DATABASE)) as database, database:
        database.execute(long_ago)
        database.executemany(label, labels)
    to = f"sqlite:///{small_batch.DATABASE}"
    missing = f"{to}.missing"
    with pytest.raises(SourceError, match="there is no such database"):
        removal.remove_old_batches(removal.RemovalOrder(missing, 30, str(released)))
    assert not Path(missing.removeprefix("sqlite:///")).exists()
    for removed in ("10 rows of 1 batch", "0 rows of 0 batches"):
        removal.remove_old_batches(removal.RemovalOrder(to, 30, str(released)))
        assert f"removed {removed} that prod scored before" in capsys.readouterr().out
    for name in ("scores", "profiles", "row_hashes"):
        assert stored(f"SELECT DISTINCT batch FROM {name}") == [2]  # noqa: S608
    assert stored("SELECT row_key, target FROM labels") == labels[-1:]
    assert "already scored" in run(released, "old.csv", key="id")
    assert "scored 10 rows" in run(released, "old.csv", key="id", force=True)


def test_few_rejects_are_written_with_line_and_reason(released: Path, arrived: Path) -> None:
    column = number_column(released)
    spoil(2, column)
    with Path("rows.csv").open("a") as rows:
        rows.write("one cell\n")
    report = run(released, max_rejects="3")
    (batch,) = stored("SELECT batch_id FROM batches WHERE rejected = 3")
    assert f"rejected 3 rows: rejects/{batch}.csv" in report
    file = Path(f"rejects/{batch}.csv")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with file.open(newline="") as stream:
        first, second, last = csv.DictReader(stream)
    assert (first["file"], first["line"], second["line"]) == ("rows.csv", "2", "3")
    assert first["reasons"].startswith(f"{column}: expected a")
    assert first["reasons"].endswith('got "many"')
    assert last["line"] == str(ROWS + 2)
    assert last["reasons"].startswith("1 cell, and the header has ")
    keys = stored("SELECT row_key FROM predictions")
    assert default_key(ROWS) in keys
    assert not {default_key(1), default_key(2), default_key(ROWS + 1)} & {*keys}


def test_three_bad_rows_of_ten_thousand_are_no_reason_to_stop(
    released: Path, arrived: Path
) -> None:
    spoil(3, number_column(released), of=10_000)
    assert "scored 9,997 rows" in run(released)
    assert stored("SELECT rows, rejected FROM batches") == [(9_997, 3)]


def test_too_many_rejects_store_nothing_but_the_rejects_are_written(
    released: Path, arrived: Path
) -> None:
    spoil(3, number_column(released))
    with pytest.raises(
        TooManyRejects,
        match=r"^3 of 200 rows .*more than --max-rejects 1%, and .*csv names the rows",
    ):
        run(released)
    assert stored("SELECT count(*) FROM batches") == [0]
    (file,) = Path("rejects").iterdir()
    assert len(file.read_text().splitlines()) == 4
    run(released, max_rejects="2%")
    assert stored("SELECT rejected FROM batches") == [3]


@pytest.mark.parametrize("rows", [0, 3])
def test_a_batch_of_which_nothing_can_be_scored(released: Path, arrived: Path, rows: int) -> None:
    spoil(rows, number_column(released), of=rows)
    assert "scored 0 rows" in run(released, max_rejects="100%")
    assert stored("SELECT rows, rejected FROM batches") == [(0, rows)]


def test_a_row_without_a_key_is_rejected_and_a_key_twice_is_an_error(
    released: Path, arrived: Path
) -> None:
    content = table()
    content.loc[5, "id"] = " "
    content.to_csv("rows.csv", index=False)
    assert "rejected 1 row:" in run(released, key="id")
    (file,) = Path("rejects").iterdir()
    assert "rows.csv,7," in file.read_text()
    assert "id: expected a key, got nothing" in file.read_text()
    content.loc[5, "id"] = "person 4"
    content.to_csv("rows.csv", index=False)
    with pytest.raises(DuplicateKey, match="have the key 'person 4'"):
        run(released, key="id")


def test_a_number_of_the_model_may_be_the_key(released: Path, arrived: Path) -> None:
    column = number_column(released)
    content = table(5).drop_duplicates(column)
    content.to_csv("rows.csv", index=False)
    run(released, key=column, max_rejects="100%")
    assert {*stored("SELECT row_key FROM predictions")} <= {*content[column]}


def test_missing_columns_are_all_named_and_nothing_is_stored(released: Path, arrived: Path) -> None:
    first, second, *_ = schema.read_schema(released / "deploy/schema.json").columns
    table().drop(columns=[first.name, second.name]).to_csv("rows.csv", index=False)
    with pytest.raises(
        SourceError, match=rf"no column '{first.name}', '{second.name}', '!', which"
    ):
        run(released, key="!")
    assert stored("SELECT count(*) FROM batches") == [0]


def test_the_faults_of_one_file_keep_no_other_from_being_scored(
    released: Path, arrived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = Path("rows.csv").read_text()
    Path("cut.csv").write_text(content + content.splitlines()[-1].replace(",", ',"', 1))
    Path("twice.csv").write_text(content + content.splitlines()[-1] + "\n")
    Path("empty.csv").touch()
    with pytest.raises(
        FilesFailed, match=r"3 of 4 files .* empty\.csv, cut\.csv, twice\.csv"
    ) as failed:
        run(released, "cut.csv", "empty.csv", "twice.csv", "rows.csv", key="id")
    assert failed.value.exit_code == 1
    empty, cut, twice = capsys.readouterr().err.splitlines()
    assert "mlops: empty.csv is empty" in empty
    assert "mlops: twice.csv: two rows of the batch have the key" in twice
    assert f"mlops: cut.csv, line {ROWS + 2}: a quote is opened" in cut
    assert stored("SELECT source FROM batches") == ["rows.csv"]


def test_a_program_reads_what_becomes_of_each_file(released: Path, arrived: Path) -> None:
    spoil(100, number_column(released))
    name = os.fsdecode(b"caf\xe9.csv")
    Path(name).write_text(table(10).to_csv(index=False))
    Path("empty.csv").touch()
    inputs = [name, "rows.csv", "empty.csv"]
    done = process(released, inputs=inputs, json=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["file"] for line in lines] == [
        file for file in ("empty.csv", name, "rows.csv") for _ in range(2)
    ]
    assert [line.get("exit_code") for line in lines] == [None, 1, None, 1, None, 4]
    assert "is not UTF-8" in lines[3]["message"]
    assert done.returncode == 1
    assert r"caf\udce9.csv" in done.stderr.splitlines()[-1]
    done = process(released, inputs=["rows.csv"], json=True, max_rejects="100%", engine="steam")
    assert [json.loads(line)["file"] for line in done.stdout.splitlines()] == ["rows.csv", None]


def test_a_profile_is_stored_that_counts_every_scored_row(released: Path, arrived: Path) -> None:
    spoil(1, number_column(released))
    run(released)
    sums = stored('SELECT "column", sum(rows) FROM profiles GROUP BY 1')
    model = schema.read_schema(released / "deploy/schema.json")
    assert dict(sums) == dict.fromkeys(
        [*(column.name for column in model.columns), model.target], ROWS - 1
    )
    assert stored("SELECT sum(rows) FROM row_hashes") == [ROWS - 1]


def test_warnings_are_counted_by_column_and_kind(released: Path, arrived: Path) -> None:
    content, column = table(), number_column(released)
    content[column] = "1000000"
    content.to_csv("rows.csv", index=False)
    assert f"{column}: range ({ROWS})" in run(released)
    ((warnings, rejected),) = stored("SELECT warnings, rejected FROM batches")
    assert (warnings >= ROWS, rejected) == (True, 0)


def test_a_bundle_that_is_not_the_released_one_scores_nothing(
    released: Path, arrived: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = release(released / "deploy", tmp_path_factory.mktemp("broken"))
    with (copy / "deploy/model.onnx").open("ab") as file:
        file.write(b" ")
    done = process(copy)
    assert done.returncode == 1
    assert "is not what v1.0.0 released" in done.stderr
    assert stored("SELECT count(*) FROM batches") == [0]


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"inputs": ["no.csv"]}, 1, "no.csv does not exist"),
        ({"max_rejects": "some"}, 2, "--max-rejects should be"),
        ({"engine": "steam"}, 2, "--engine should be threads or dask, not 'steam'"),
        ({"color": "red"}, 2, "the order is not valid"),
        ({"to": "postgresql://ann:hunter2@host/db"}, 3, "contains a password"),
        ({"to": "postgresql://ann@127.0.0.1:1/db"}, 5, "Connection refused; nothing was stored"),
    ],
)
def test_a_process_that_fails_ends_with_a_message_and_an_exit_code(
    released: Path, arrived: Path, fields: dict[str, object], code: int, words: str
) -> None:
    done = process(released, **fields)
    assert done.returncode == code
    assert words in done.stderr.splitlines()[-1]
    assert "hunter2" not in done.stderr + done.stdout


def test_two_processes_at_once_make_one_batch(released: Path, arrived: Path) -> None:
    table(20_000).to_csv("rows.csv", index=False)
    both = [
        subprocess.Popen(
            small_batch.command(released),
            env=small_batch.variables(released),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [each.communicate()[0] for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert sum("scored 20,000 rows" in each for each in outputs) == 1
    assert stored("SELECT count(*), count(DISTINCT row_key) FROM predictions") == [(20_000, 20_000)]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_ended_leaves_nothing_and_the_next_completes(
    released: Path, arrived: Path, end: signal.Signals
) -> None:
    table(20_000).to_csv("rows.csv", index=False)
    process(released, inputs=["no.csv"])
    running = subprocess.Popen(
        small_batch.command(released),
        env=small_batch.variables(released),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout
    running.stdout.readline()
    running.send_signal(end)
    running.communicate()
    assert running.returncode != 0
    assert stored("SELECT count(*) FROM predictions") == [0]
    run(released)
    assert stored("SELECT count(*) FROM predictions") == [20_000]


def test_progress_is_shown_on_a_terminal_alone(released: Path, arrived: Path) -> None:
    assert process(released).stderr == ""
    ours, theirs = os.openpty()
    subprocess.run(
        small_batch.command(released, force=True),
        env={**small_batch.variables(released), "TERM": "xterm"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    assert "100 %  200 rows" in os.read(ours, 100_000).decode()
    os.close(ours)


def test_a_batch_needs_no_pandas(released: Path, arrived: Path) -> None:
    """Importing pandas takes a second in an environment that also has the libraries of training."""
    script = (
        "import sys; from mlops.batch.score import main; main(); print('pandas' in sys.modules)"
    )
    done = subprocess.run(
        [small_batch.command(released)[0], "-c", script, small_batch.command(released)[-1]],
        env=small_batch.variables(released),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_a_password_is_refused_before_anything_is_read(released: Path, arrived: Path) -> None:
    with pytest.raises(Refused):
        score.score_files(
            ScoreOrder(["no.csv"], "redis://:hunter2@host/0", str(released)), lambda line: None
        )
