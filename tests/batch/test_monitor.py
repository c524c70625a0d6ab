"""Tests the monitor: a column that has drifted is named, and other columns are not."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import monitored
from mlops.batch.destinations.relational import Relational
from mlops.batch.monitoring import labels, monitor, window
from mlops.batch.monitoring.monitor import MonitorOrder, OutOfBounds
from mlops.errors import MlopsError, UsageError
from mlops.predict import release as releases
from mlops.release.look import monitor_reports
from mlops.tables.errors import SourceError
from monitored import score

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monitored.bundle(tmp_path / "folder/deploy")
    (tmp_path / "folder" / releases.FILE).write_text(
        '{"environment": "prod", "commit": "c", "bundle": "b", "files": {}, "version": "v1.0.0"}'
    )
    return tmp_path


def run_monitor(**bounds: float | str | bool) -> None:
    monitor.monitor(MonitorOrder("sqlite:///p.db", "folder", **bounds))  # type: ignore[arg-type]


def store_batch(root: Path, shift: float = 0, **others: object) -> None:
    columns = monitored.training(800)
    columns["age"] = columns["age"] + shift
    answers = {"a": "yes", "b": "yes", "c": "no", "d": "no"}
    score(root / "p.db", root / "folder/deploy", columns, answers, **others)  # type: ignore[arg-type]


def load_truth(root: Path, **known: str) -> None:
    rows = "".join(f"{key},{label}\n" for key, label in known.items())
    (root / "truth.csv").write_text(f"row_key,answer\n{rows}")
    labels.load_labels(labels.LabelsOrder("truth.csv", "sqlite:///p.db", "folder"))


def test_a_column_that_moved_is_named_with_its_bound(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_batch(root, shift=30)
    with pytest.raises(OutOfBounds, match=r"age has drifted: PSI is \d\.\d+, allowed is 0.25"):
        run_monitor()
    output = capsys.readouterr().out
    assert output.startswith("OUT OF BOUNDS (1)\n- age has drifted")
    assert "DRIFT" in output
    assert "prod, v1.0.0: 1 batch since" in output


def test_rows_like_those_of_the_training_pass(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_batch(root)
    run_monitor()
    output = capsys.readouterr().out
    assert output.startswith("WITHIN ALL BOUNDS\n")
    assert "DRIFT" not in output


def test_a_column_that_is_empty_on_one_day_of_many_is_found(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    noon = now.replace(hour=12) - timedelta(days=1)  # another batch is of the same day
    for number in range(15):
        columns = monitored.training(2000, seed=number)
        if number == 0:
            columns["age"][:] = np.nan
            columns["colour"][:100] = "green"
        ago = (now - noon) / timedelta(days=1) + number / 3
        score(root / "p.db", root / "folder/deploy", columns, {}, days_ago=ago)
    few = monitored.training(5, seed=1)
    few["age"][:] = np.nan
    score(root / "p.db", root / "folder/deploy", few, {}, days_ago=0.1)
    with pytest.raises(OutOfBounds) as raised:
        run_monitor()
    assert "age has more missing values than the training, 0.0 %: 100.0 % " in str(raised.value)
    assert "100.0 % in batch" in str(raised.value)
    assert "probability" not in str(raised.value)
    assert "colour has more unknown values than the training, 0.0 %: 5.0 % in" in str(raised.value)


def test_few_rows_are_too_few_to_tell(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(5):
        score(root / "p.db", root / "folder/deploy", monitored.training(1, seed), {}, days_ago=seed)
    run_monitor(report="report.json")
    verdict = (
        "too few rows to tell whether predictions of answer, age, colour drifted: 5 rows count"
    )
    output = capsys.readouterr().out
    assert output.startswith(f"CANNOT BE TOLD YET\n- {verdict}")
    report = json.loads((root / "report.json").read_text())
    assert report["verdict"] == "CANNOT BE TOLD YET"
    assert report["undecided"][0].startswith(verdict)
    assert [day["rows"] for day in report["days"]] == [1] * 5


@pytest.mark.parametrize("same_keys", [True, False])
def test_rows_that_are_repeated_count_once(
    root: Path, capsys: pytest.CaptureFixture[str], same_keys: bool
) -> None:
    columns = monitored.training(20, seed=1)
    for repetition in range(10):
        answers = dict.fromkeys(map(str, range(20)), "yes") if same_keys else {}
        if same_keys:
            columns["age"] += 0.001  # the same people, a little older
        score(root / "p.db", root / "folder/deploy", columns, answers, days_ago=repetition / 2)
    run_monitor()
    output = capsys.readouterr().out
    assert output.startswith("CANNOT BE TOLD YET\n")
    assert "repeated rows count once: 20 rows count" in output


def test_batches_of_other_days_environments_and_versions_are_left_out(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_batch(root)
    store_batch(root, shift=30, days_ago=8)
    store_batch(root, shift=30, environment="staging")
    store_batch(root, shift=30, version="v0.9.0")
    run_monitor()
    assert "not counted for the drift below: 1 of them" in capsys.readouterr().out


def test_a_run_that_has_nothing_to_judge_does_not_pass(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SourceError, match=r"p\.db: there is no such database"):
        run_monitor()
    assert not (root / "p.db").exists()
    store_batch(root, days_ago=8)
    with pytest.raises(SourceError, match="no batch of prod was scored in the last 7 days"):
        run_monitor()
    assert "v1.0.0 has scored nothing" in capsys.readouterr().out
    store_batch(root)
    with pytest.raises(SourceError, match="without labels no live metric can be judged"):
        run_monitor(max_false_positive_percent=10)


def test_a_destination_that_is_not_a_database_is_refused(root: Path) -> None:
    with pytest.raises(UsageError, match="use sqlite:// or postgresql://"):
        monitor.monitor(MonitorOrder("predictions.parquet", "folder"))


def test_live_accuracy_and_false_positives_by_version(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_batch(root)
    store_batch(root, version="v0.9.0", days_ago=2)
    store_batch(root, version="v\x1b[b]", days_ago=3)
    load_truth(root, a="yes", b="no", c="no", unscored="yes")
    assert "loaded 4 labels of truth.csv; 3 labels" in capsys.readouterr().out
    run_monitor()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    shares = ["3", "0.6667", "(0.2077", "to", "0.9385)", "50.00", "%", "(9.45", "to", "90.55", "%)"]
    assert ["v1.0.0", *shares] in lines
    assert ["v0.9.0", *shares] in lines
    assert [r"v\x1b[b]", *shares] in lines


def test_a_bound_on_labels_is_exceeded_only_if_the_whole_interval_is(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns, keys = monitored.training(800), [f"k{row}" for row in range(100)]
    score(root / "p.db", root / "folder/deploy", columns, dict.fromkeys(keys, "yes"))
    load_truth(root, **dict.fromkeys(keys[:29], "no"))
    run_monitor(min_accuracy=0.9, max_false_positive_percent=10)
    output = capsys.readouterr().out
    assert output.count("too few labels to tell") == 2
    assert (
        "the live false positives of v1.0.0: 29 labels count, 30 are needed (--min-labels)"
        in output
    )
    load_truth(root, **{key: "no" if row < 12 else "yes" for row, key in enumerate(keys)})
    run_monitor(min_accuracy=0.9)
    output = capsys.readouterr().out
    assert (
        "more labels are needed to tell: the live accuracy of v1.0.0: 0.8800 (0.8019 to" in output
    )
    run_monitor(min_accuracy=0.8)
    assert capsys.readouterr().out.startswith("WITHIN ALL BOUNDS\n")
    with pytest.raises(OutOfBounds, match=r"live accuracy of v1.0.0: 0.8800 \(.*\), at least 0.95"):
        run_monitor(min_accuracy=0.95)
    with pytest.raises(
        OutOfBounds, match=r"live false positives of v1.0.0: 100.00 % .*, at most 10 %"
    ):
        run_monitor(max_false_positive_percent=10, min_labels=12)


def test_a_batch_that_arrives_while_the_report_is_made_is_left_out(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store_batch(root)
    query = Relational.query

    def store_after_the_first_query(
        database: Relational, sql: str, *parameters: object
    ) -> pa.Table:
        rows = query(database, sql, *parameters)
        if sql == window.BATCHES:
            store_batch(root, shift=30, days_ago=0.5)
        return rows

    monkeypatch.setattr(Relational, "query", store_after_the_first_query)
    run_monitor()
    assert capsys.readouterr().out.startswith("WITHIN ALL BOUNDS")


def test_labels_that_come_late_have_a_window_of_their_own(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_batch(root)
    keys = dict.fromkeys((f"k{row}" for row in range(40)), "yes")
    columns = monitored.training(800)
    score(root / "p.db", root / "folder/deploy", columns, keys, days_ago=60)
    load_truth(root, **keys)
    run_monitor(min_accuracy=0.9)
    assert "WITHIN ALL BOUNDS" in capsys.readouterr().out
    with pytest.raises(
        SourceError, match=r"the latest row with a label was scored on .*--label-days"
    ):
        run_monitor(min_accuracy=0, label_days=30)


def test_a_row_scored_again_counts_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_batch(root)
    store_batch(root, days_ago=0.5)
    load_truth(root, a="yes")
    run_monitor()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["v1.0.0", "1", "1.0000", "(0.2065", "to", "1.0000)", "-"] in lines


def test_a_label_that_is_loaded_again_replaces_the_earlier_one(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_batch(root)
    load_truth(root, a="no")
    load_truth(root, a="yes")
    run_monitor(min_accuracy=1, min_labels=1)
    assert "v1.0.0: 1.0000" in capsys.readouterr().out


def test_labels_are_read_like_rows_and_only_loaded_ones_are_counted(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_batch(root)
    load_truth(root, a="yes", b="no")
    (root / "late.CSV").write_text('answer;"row_key"\nyes; "c"\nno;x\n')
    labels.load_labels(labels.LabelsOrder("late.CSV", "sqlite:///p.db", "folder"))
    table = pa.table({"row_key": ["d", "y", "z"], "answer": ["yes", "no", "no"]})
    parquet.write_table(table, root / "late.parquet")
    labels.load_labels(labels.LabelsOrder("late.parquet", "sqlite:///p.db", "folder"))
    output = capsys.readouterr().out
    assert "loaded 2 labels of late.CSV; 1 label is of a row" in output
    assert "loaded 3 labels of late.parquet; 1 label is of a row" in output
    assert "no row with the key 'x' was scored yet; if it was, 'row_key' is not" in output
    assert output.count("was scored yet") == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("row_key,answer\na,maybe\n", "'maybe', but the classes of the model are 'no' and 'yes'"),
        ("row_key,answer\na,yes\na,no\n", "has 'a' in more than one row"),
        ("row_key,answer\na,yes\n,yes\n", "row 2 has no 'row_key'.*complete the row, or remove it"),
        ("row_key,answer\na,yes\nb,\n", "row 2 has no 'answer', and nothing was loaded"),
        ("row_key,answer\n", "holds a header and no rows: add rows of keys and labels"),
        ("key,answer\na,yes\n", "--key, --label"),
        ("", "is empty: add a header and rows.*--key.*--label"),
        ("row_key,answer\na,yes\nb\n", "line 3: 1 cell, and the header has 2"),
    ],
)
def test_labels_that_are_wrong_load_nothing(root: Path, content: str, words: str) -> None:
    store_batch(root)
    (root / "truth.csv").write_text(content)
    with pytest.raises(SourceError, match=words):
        labels.load_labels(labels.LabelsOrder("truth.csv", "sqlite:///p.db", "folder"))
    with pytest.raises(SourceError, match="without labels"):
        run_monitor(min_accuracy=1)


def test_the_report_is_kept_as_json_with_each_column_and_day(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_batch(root)
    store_batch(root, shift=30, days_ago=3)
    load_truth(root, a="yes", b="no")
    capsys.readouterr()
    with pytest.raises(OutOfBounds):
        run_monitor(report="report.json", as_json=True, min_accuracy=0.2)
    report = json.loads((root / "report.json").read_text())
    assert json.loads(capsys.readouterr().out) == report
    assert [drift["column"] for drift in report["drifts"]] == [
        "predictions of answer",
        "age",
        "colour",
    ]
    age = report["drifts"][1]
    assert age["verdict"] == "drift"
    assert len(age["bins"]) == len(age["training"]) == len(age["scored"])
    assert sum(age["scored"]) == pytest.approx(1)
    before, after = (day["psi"]["age"] for day in report["days"])
    assert before > age["psi"] > after
    shown = monitor_reports.read_report(root / "report.json")  # as `mlops site` does
    assert shown.drifts[1].psi == age["psi"]
    assert shown.live[0].metrics["accuracy"].bound == {"min": 0.2}
    with pytest.raises(MlopsError, match="can't be written"):
        run_monitor(report="nowhere/report.json")


def test_an_unknown_category_and_missing_values_are_shown(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = monitored.training(800)
    columns["colour"][:200] = "green"
    columns["age"][:80] = np.nan
    score(root / "p.db", root / "folder/deploy", columns, {"a": "yes"})
    with pytest.raises(OutOfBounds, match="colour has drifted"):
        run_monitor()
    output = capsys.readouterr().out
    assert "0.0 -> 25.0" in output
    assert "0.0 -> 10.0" in output
