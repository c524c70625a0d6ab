import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from pyarrow import parquet

import small_batch
from mlops.batch.answers import ROWS
from mlops.batch.batches import Batch, Count, Finished, Outcome
from mlops.batch.destinations import destinations
from mlops.batch.destinations import parquet as destination
from mlops.batch.errors import AlreadyScored
from mlops.errors import Refused, UsageError
from mlops.tables import urls
from mlops.tables.errors import SourceError
from scored_rows import START, batch, rows
from small_batch import process, stored, table

FOLDER = "predictions"
MANY = 20_000
PLACES = [FOLDER, "memory://predictions"]
"""A folder, and object storage."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the destination in the current directory; object storage is empty."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path / FOLDER
    fsspec.filesystem("memory").store.clear()


def outcome() -> Outcome:
    return Outcome(3, 1, 2, START, (Count("age", 0, 2), Count("age", 1, 1)))


def store(
    to: str,
    batch: Batch,
    rows: pa.RecordBatchReader,
    outcome: Callable[[], Outcome] = outcome,
    *,
    force: bool = False,
) -> None:
    with closing(destinations.open_destination(urls.parse_url(to))) as opened:
        opened.store(batch, rows, outcome, force=force)


def finished(to: str, batch_id: str) -> Finished | None:
    with closing(destinations.open_destination(urls.parse_url(to))) as opened:
        return opened.finished(batch(batch_id))


def contents(to: str) -> dict[str, bytes]:
    """Returns the content of every file, hidden ones included, by name."""
    filesystem, path = fsspec.url_to_fs(to)
    return {name.rpartition("/")[2]: filesystem.cat_file(name) for name in filesystem.find(path)}


def read_content(content: bytes) -> pa.Table:
    return parquet.read_table(pa.BufferReader(content))


def test_a_path_that_is_not_a_folder_is_refused_and_left_alone(folder: Path) -> None:
    Path("answers.parquet").write_text("precious")
    with pytest.raises(UsageError, match=r"answers\.parquet is a file: name a folder"):
        destinations.open_destination(urls.parse_url("answers.parquet"))
    with pytest.raises(UsageError, match="there is no folder no: create it"):
        destinations.open_destination(urls.parse_url("no/folder"))
    assert Path("answers.parquet").read_text() == "precious"


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("x.db", r"x\.db would be a folder of Parquet files: .*sqlite:///x\.db"),
        ("X.Parquet", "would be a folder"),
        ("sqlite:x.db", "write sqlite:///x.db"),
        ("file:x", r"file:x is a URL without //: write file:///x"),
        ("file://tmp/x", r"names the host tmp: write file:///tmp/x"),
        ("file:///tmp/no.db", r"folder of Parquet files: .*sqlite:////tmp/no\.db"),
        ("n" * 300, "File name too long; nothing was stored: give a shorter name"),
        ("file:///" + "n" * 300, "File name too long; nothing was stored: give a shorter name"),
    ],
)
def test_a_name_that_means_a_file_becomes_no_folder(folder: Path, to: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        destinations.open_destination(urls.parse_url(to))
    assert not [*folder.parent.iterdir()]


def test_a_folder_may_be_named_by_its_url(folder: Path) -> None:
    store(folder.as_uri(), batch("b"), rows("x"))
    assert finished(FOLDER, "b")


def test_a_place_that_nobody_may_write_to_is_no_reason_to_wait(folder: Path) -> None:
    with pytest.raises(Refused, match="nothing was stored: let this user write there"):
        store("/sys/predictions", batch("b"), rows("x"))


def test_a_storage_whose_library_is_not_installed_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UsageError, match="s3:// needs a library that is not installed"):
        destinations.open_destination(urls.parse_url("s3://bucket/predictions"))


def test_a_storage_that_is_away_may_be_tried_again(released: Path, arrived: Path) -> None:
    done = process(released, to="ftp://127.0.0.1:9/predictions")
    assert done.returncode == 5
    assert "ftp://127.0.0.1:9/predictions is unavailable now" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("to", PLACES)
@pytest.mark.parametrize("force", [False, True])
def test_a_failure_leaves_what_was_stored_before(folder: Path, to: str, force: bool) -> None:
    store(to, batch("b"), rows("x"))
    before = contents(to)

    def failing() -> Outcome:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store(to, batch("b" if force else "c", 1), rows("yz"), failing, force=force)
    assert contents(to) == before


@pytest.mark.parametrize("to", PLACES)
def test_an_error_of_the_rows_is_raised_unchanged(folder: Path, to: str) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield from rows("xy")
        raise OSError("mine")

    with pytest.raises(OSError, match=r"^mine$"):
        store(to, batch("b"), pa.RecordBatchReader.from_batches(ROWS["binary"], failing()))
    assert contents(to) == {}


@pytest.mark.parametrize("to", PLACES)
def test_a_batch_that_is_there_is_not_stored_again_but_by_force(folder: Path, to: str) -> None:
    assert finished(to, "b") is None
    store(to, batch("b"), rows("xyz"))
    assert finished(to, "b") == Finished(3, 1, START)
    before = contents(to)
    with pytest.raises(AlreadyScored):
        store(to, batch("b", 1), rows("w"))
    assert contents(to) == before
    store(to, batch("b", 1), rows("w"), force=True)
    (after,) = contents(to).values()
    assert read_content(after)["row_key"].to_pylist() == ["w"]


@pytest.mark.parametrize("to", PLACES)
def test_a_batch_is_superseded_by_another_version_of_the_same_file_and_environment(
    folder: Path, to: str
) -> None:
    store(to, batch("s1"), rows("x"))
    store(to, batch("s2", 2), rows("x"))
    store(to, batch("s3", 3, "dev"), rows("x"))
    first, second, other = (finished(to, name) for name in ("s1", "s2", "s3"))
    assert [each and each.superseded_by for each in (first, second, other)] == ["v2", None, None]


@pytest.mark.parametrize("to", PLACES)
def test_old_batches_lose_their_rows_and_stay_known(folder: Path, to: str) -> None:
    store(to, batch("old"), rows("xyz"))
    store(to, batch("new", 2), rows("x"))
    store(to, batch("dev", 0, "dev"), rows("x"))
    with closing(destinations.open_destination(urls.parse_url(to))) as opened:
        moment = START + timedelta(hours=1)
        assert opened.remove_before("prod", moment) == [3]
        assert opened.remove_before("prod", moment) == []
    lengths = {name: read_content(content).num_rows for name, content in contents(to).items()}
    assert lengths == {"old.parquet": 0, "new.parquet": 1, "dev.parquet": 1}
    assert finished(to, "old") == Finished(3, 1, START)


def test_the_same_answers_as_in_sqlite(released: Path, arrived: Path) -> None:
    for to in (f"sqlite:///{small_batch.DATABASE}", FOLDER):
        assert process(released, to=to, key="id").returncode == 0
    predictions = parquet.read_table(FOLDER)
    times = predictions["scored_at"].cast(pa.string())
    assert all(time.endswith("Z") for time in times.to_pylist())
    without_time = predictions.drop_columns("scored_at").to_pylist()
    assert predictions.column_names == stored("SELECT name FROM pragma_table_info('predictions')")
    expected = stored("SELECT * FROM predictions")
    assert [tuple(row.values()) for row in without_time] == [row[:-1] for row in expected]


def test_batches_stand_beside_each_other_as_one_table(folder: Path) -> None:
    for to in PLACES:
        store(to, batch("a"), rows("xy"))
        store(to, batch("b", 1), rows("y"))
        assert {*contents(to)} == {"a.parquet", "b.parquet"}
    predictions = parquet.read_table(FOLDER).to_pylist()
    assert [(row["batch_id"], row["row_key"], row["scored_at"]) for row in predictions] == [
        ("a", "x", START),
        ("a", "y", START),
        ("b", "y", START + timedelta(hours=1)),
    ]


def test_the_facts_of_a_batch_are_in_the_metadata(folder: Path) -> None:
    store(FOLDER, batch("b"), rows("xyz"))
    metadata = parquet.read_metadata(folder / "b.parquet").metadata
    facts = json.loads(metadata[b"batch"])
    assert (facts["source"], facts["positive"], facts["warnings"]) == ("rows.csv", "yes", 2)
    assert facts["started_at"] == facts["finished_at"] == "2026-11-23T14:00:00.000000+00:00"
    assert json.loads(metadata[b"profile"]) == [["age", 0, 2], ["age", 1, 1]]


def test_the_same_batch_at_the_same_time_is_the_same_file(folder: Path) -> None:
    for to in (FOLDER, "others"):
        store(to, batch("b"), rows([str(number) for number in range(1000)]))
    assert contents(FOLDER) == contents("others")


def test_rows_are_compressed_many_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destination, "GROUP", 100)
    keys = [str(number) for number in range(250)]
    store(FOLDER, batch("b"), rows(keys))
    file = parquet.ParquetFile(folder / "b.parquet")
    groups = range(file.metadata.num_row_groups)
    assert [file.metadata.row_group(group).num_rows for group in groups] == [100, 100, 50]
    assert file.read()["row_key"].to_pylist() == keys


def test_a_batch_without_rows_is_a_batch(folder: Path) -> None:
    store(FOLDER, batch("b"), rows(""))
    assert finished(FOLDER, "b")
    assert parquet.read_table(FOLDER).num_rows == 0


def test_a_file_that_was_cut_off_is_written_again(folder: Path) -> None:
    store(FOLDER, batch("b"), rows("xyz"))
    whole = contents(FOLDER)
    os.truncate(folder / "b.parquet", 100)
    assert finished(FOLDER, "b") is None
    store(FOLDER, batch("b"), rows("xyz"))
    assert contents(FOLDER) == whole


def test_two_processes_at_once_make_one_batch(released: Path, arrived: Path) -> None:
    table(MANY).to_csv("rows.csv", index=False)
    both = [start(released) for _ in range(2)]
    outputs = [each.communicate()[0] for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert sum("scored 20,000 rows" in each for each in outputs) == 1
    assert parquet.read_table(FOLDER).num_rows == MANY
    assert len(contents(FOLDER)) == 1


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("size", [0, 4])
def test_a_process_that_is_ended_leaves_nothing_to_be_seen_and_the_next_completes(
    released: Path, arrived: Path, end: signal.Signals, size: int
) -> None:
    table(150_000).to_csv("rows.csv", index=False)
    running = start(released)
    while not any(file.stat().st_size >= size for file in Path(FOLDER).glob(".*.partial")):
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(end)
    running.communicate()
    assert running.returncode
    assert parquet.read_table(FOLDER).num_rows == 0
    assert process(released, to=FOLDER).returncode == 0
    assert parquet.read_table(FOLDER).num_rows == 150_000
    assert len(contents(FOLDER)) == 1


def test_a_disk_that_is_full_may_be_tried_again(released: Path, arrived: Path) -> None:
    table(MANY).to_csv("rows.csv", index=False)
    limited = ["bash", "-c", 'ulimit -f 16 && exec "$@"', "bash"]
    done = subprocess.run(
        [*limited, *small_batch.command(released, to=FOLDER)],
        env=small_batch.variables(released),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert done.stderr.splitlines()[-1] == (
        "mlops: predictions can't be written now: File too large; nothing was stored, try again later"
    )
    assert contents(FOLDER) == {}


def start(released: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        small_batch.command(released, to=FOLDER),
        env=small_batch.variables(released),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("to", [*PLACES, "empty"])
def test_a_folder_without_batches_is_named_and_not_made(folder: Path, to: str) -> None:
    (folder.parent / "empty").mkdir()
    with (
        closing(destinations.open_existing(urls.parse_url(to))) as opened,
        pytest.raises(SourceError, match=f"{to} holds no batches: name the folder of `mlops score"),
    ):
        opened.remove_before("prod", START)
    assert [*folder.parent.iterdir()] == [folder.parent / "empty"]
    assert not [*(folder.parent / "empty").iterdir()]
