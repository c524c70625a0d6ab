"""Tests what `mlops repro` says of the metrics that it has made."""

import json
from pathlib import Path

from mlops.release.history.git import Git
from mlops.release.look.outcome import outcome_sentence


def test_the_metrics_are_told_beside_those_of_the_last_commit(on_dev: Path) -> None:
    git = Git(on_dev)
    report = on_dev / "reports/metrics.json"
    same = "Accuracy 0.9000 as before, % False positives 10.00 as before; gate passed"
    assert outcome_sentence(git) == same
    report.write_text(json.dumps({"test": {"accuracy": 0.95, "false_positive_percent": None}}))
    assert (
        outcome_sentence(git)
        == "Accuracy 0.9000 -> 0.9500, % False positives 10.00 -> -; gate passed"
    )
    metrics = {"accuracy": 0.95, "false_positive_percent": None}
    report.write_text(json.dumps({"test": metrics, "class_rows": {"elm": 10, "oak": 20}}))
    assert str(outcome_sentence(git)).endswith("(on other test rows); gate passed")
    report.write_text(json.dumps({"test": {"mae": 2.5}, "class_rows": {}}))
    assert outcome_sentence(git) == "MAE 2.5; gate passed"
    report.write_text(json.dumps({"test": metrics}))
    lock = on_dev / "dvc.lock"
    first, found, rest = lock.read_text().partition("path: data/prepared/test.parquet\n")
    lock.write_text(first + found + rest.replace("md5: ", "md5: 0", 1))
    assert str(outcome_sentence(git)).endswith("(on other test rows); gate passed")
    git.run("rm", "--quiet", "--cached", "reports/metrics.json")
    git.run("commit", "--quiet", "--message", "No report")
    assert outcome_sentence(git) == "Accuracy 0.9500, % False positives -; gate passed"
    for broken in ("{", '{"test": 5}', "{}"):
        report.write_text(broken)
        assert outcome_sentence(git) is None
    report.unlink()
    assert outcome_sentence(git) is None
