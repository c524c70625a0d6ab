"""What has drifted is named and ends in 4; what has not is left in peace."""

from pathlib import Path

import numpy as np
import pytest

import monitored
from mlops.batch.monitoring import labels, monitor
from mlops.batch.monitoring.monitor import Order, OutOfBounds
from mlops.errors import MlopsError, UsageError
from mlops.predict import release as releases
from mlops.tables.errors import SourceError
from monitored import score

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monitored.bundle(tmp_path / "folder/deploy")
    (tmp_path / "folder" / releases.FILE).write_text(
        '{"environment": "prod", "commit": "c", "bundle": "b", "files": {}, "version": "v1.0.0"}'
    )
    return tmp_path


def watch(**bounds: float | str) -> None:
    monitor.monitor(Order("sqlite:///p.db", "folder", **bounds))  # type: ignore[arg-type]


def scored(place: Path, shift: float = 0, **others: object) -> None:
    columns = monitored.training(800)
    columns["age"] = columns["age"] + shift
    answers = {"a": "yes", "b": "yes", "c": "no", "d": "no"}
    score(place / "p.db", place / "folder/deploy", columns, answers, **others)  # type: ignore[arg-type]


def truth(place: Path, **known: str) -> None:
    rows = "".join(f"{key},{label}\n" for key, label in known.items())
    (place / "truth.csv").write_text(f"row_key,answer\n{rows}")
    labels.load_labels(labels.Order("truth.csv", "sqlite:///p.db", "folder"))


def test_a_column_that_moved_is_named_with_its_bound(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored(place, shift=30)
    with pytest.raises(OutOfBounds, match=r"age has drifted: PSI \d\.\d+, allowed 0.25"):
        watch()
    said = capsys.readouterr().out
    assert "DRIFT" in said
    assert "prod, v1.0.0: 1 batches" in said


def test_rows_like_those_of_the_training_pass(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored(place)
    watch()
    assert "DRIFT" not in capsys.readouterr().out


def test_batches_of_other_days_environments_and_versions_are_left_out(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored(place)
    scored(place, shift=30, days_ago=8)
    scored(place, shift=30, environment="staging")
    scored(place, shift=30, version="v0.9.0")
    watch()
    assert "1 of them by other versions" in capsys.readouterr().out


def test_a_schedule_that_watches_nothing_does_not_stay_green(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SourceError, match=r"p\.db: there is no such database"):
        watch()
    assert not (place / "p.db").exists()
    scored(place, days_ago=8)
    with pytest.raises(SourceError, match="no batch of prod was scored in 7 days"):
        watch()
    assert "nothing was scored by v1.0.0" in capsys.readouterr().out
    scored(place)
    with pytest.raises(SourceError, match="without labels no accuracy can be judged"):
        watch(max_false_positive_percent=10)


def test_what_is_no_database_is_refused(place: Path) -> None:
    with pytest.raises(UsageError, match="sqlite:// and postgresql:// do"):
        monitor.monitor(Order("predictions.parquet", "folder"))


def test_live_accuracy_and_false_positives_by_version(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored(place)
    scored(place, version="v0.9.0", days_ago=2)
    truth(place, a="yes", b="no", c="no", unscored="yes")
    assert "loaded 4 labels of truth.csv; 3 labels" in capsys.readouterr().out
    watch()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["v1.0.0", "3", "0.6667", "50.00"] in lines
    assert ["v0.9.0", "3", "0.6667", "50.00"] in lines
    with pytest.raises(OutOfBounds, match=r"live accuracy of v1.0.0 is 0.6667"):
        watch(min_accuracy=0.7)
    with pytest.raises(OutOfBounds, match=r"v1.0.0 calls 50.00 % of the negative rows positive"):
        watch(max_false_positive_percent=10)


def test_a_row_scored_again_counts_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scored(place)
    scored(place, days_ago=0.5)
    truth(place, a="yes")
    watch()
    assert ["v1.0.0", "1", "1.0000", "-"] in map(str.split, capsys.readouterr().out.splitlines())


def test_a_label_loaded_again_replaces_the_one_before(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored(place)
    truth(place, a="no")
    truth(place, a="yes")
    watch(min_accuracy=1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("row_key,answer\na,maybe\n", "'maybe', and the model tells 'no' and 'yes' apart"),
        ("row_key,answer\na,yes\na,no\n", "'a' more than once"),
        ("row_key,answer\n,yes\n", "a row has no 'row_key'"),
        ("key,answer\na,yes\n", "--key, --label"),
        ("", "can't be read as labels"),
    ],
)
def test_labels_that_are_wrong_load_nothing(place: Path, content: str, words: str) -> None:
    scored(place)
    (place / "truth.csv").write_text(content)
    with pytest.raises(SourceError, match=words):
        labels.load_labels(labels.Order("truth.csv", "sqlite:///p.db", "folder"))
    with pytest.raises(SourceError, match="without labels"):
        watch(min_accuracy=1)


def test_a_page_holds_a_chart_for_each_column_and_escapes_names(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored(place)
    watch(html="page.html")
    page = (place / "page.html").read_text()
    assert page.count("<svg") == 3
    assert "<script" not in page
    with pytest.raises(MlopsError, match="can't be written"):
        watch(html="nowhere/page.html")


def test_an_unknown_category_and_missing_values_are_shown(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = monitored.training(800)
    columns["colour"][:200] = "green"
    columns["age"][:80] = np.nan
    score(place / "p.db", place / "folder/deploy", columns, {"a": "yes"})
    with pytest.raises(OutOfBounds, match="colour has drifted"):
        watch()
    said = capsys.readouterr().out
    assert "0.0 -> 25.0" in said
    assert "0.0 -> 10.0" in said
