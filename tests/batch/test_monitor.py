"""Tests the monitor: a column that has drifted is named, and other columns are not."""

from pathlib import Path

import numpy as np
import pytest

import monitored
from mlops.batch.monitoring import labels, monitor
from mlops.batch.monitoring.monitor import MonitorOrder, OutOfBounds
from mlops.errors import MlopsError, UsageError
from mlops.predict import release as releases
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


def run_monitor(**bounds: float | str) -> None:
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
    assert "DRIFT" in output
    assert "prod, v1.0.0: 1 batches" in output


def test_rows_like_those_of_the_training_pass(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_batch(root)
    run_monitor()
    assert "DRIFT" not in capsys.readouterr().out


def test_batches_of_other_days_environments_and_versions_are_left_out(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_batch(root)
    store_batch(root, shift=30, days_ago=8)
    store_batch(root, shift=30, environment="staging")
    store_batch(root, shift=30, version="v0.9.0")
    run_monitor()
    assert "1 of them were scored by other versions" in capsys.readouterr().out


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
    with pytest.raises(SourceError, match="without labels no accuracy can be judged"):
        run_monitor(max_false_positive_percent=10)


def test_a_destination_that_is_not_a_database_is_refused(root: Path) -> None:
    with pytest.raises(UsageError, match="use sqlite:// or postgresql://"):
        monitor.monitor(MonitorOrder("predictions.parquet", "folder"))


def test_live_accuracy_and_false_positives_by_version(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_batch(root)
    store_batch(root, version="v0.9.0", days_ago=2)
    load_truth(root, a="yes", b="no", c="no", unscored="yes")
    assert "loaded 4 labels of truth.csv; 3 labels" in capsys.readouterr().out
    run_monitor()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["v1.0.0", "3", "0.6667", "50.00"] in lines
    assert ["v0.9.0", "3", "0.6667", "50.00"] in lines
    with pytest.raises(OutOfBounds, match=r"live accuracy of v1.0.0 is 0.6667"):
        run_monitor(min_accuracy=0.7)
    with pytest.raises(OutOfBounds, match=r"v1.0.0 predicts 50.00 % of the negative rows positive"):
        run_monitor(max_false_positive_percent=10)


def test_a_row_scored_again_counts_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_batch(root)
    store_batch(root, days_ago=0.5)
    load_truth(root, a="yes")
    run_monitor()
    assert ["v1.0.0", "1", "1.0000", "-"] in map(str.split, capsys.readouterr().out.splitlines())


def test_a_label_that_is_loaded_again_replaces_the_earlier_one(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_batch(root)
    load_truth(root, a="no")
    load_truth(root, a="yes")
    run_monitor(min_accuracy=1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("row_key,answer\na,maybe\n", "'maybe', but the classes of the model are 'no' and 'yes'"),
        ("row_key,answer\na,yes\na,no\n", "has 'a' in more than one row"),
        ("row_key,answer\n,yes\n", "a row has no 'row_key'"),
        ("key,answer\na,yes\n", "--key, --label"),
        ("", "can't be read as labels"),
    ],
)
def test_labels_that_are_wrong_load_nothing(root: Path, content: str, words: str) -> None:
    store_batch(root)
    (root / "truth.csv").write_text(content)
    with pytest.raises(SourceError, match=words):
        labels.load_labels(labels.LabelsOrder("truth.csv", "sqlite:///p.db", "folder"))
    with pytest.raises(SourceError, match="without labels"):
        run_monitor(min_accuracy=1)


def test_a_page_holds_a_chart_for_each_column_and_escapes_names(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_batch(root)
    run_monitor(html="page.html")
    page = (root / "page.html").read_text()
    assert page.count("<svg") == 3
    assert "<script" not in page
    with pytest.raises(MlopsError, match="can't be written"):
        run_monitor(html="nowhere/page.html")


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
