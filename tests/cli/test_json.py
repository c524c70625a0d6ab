"""Tests that commands print one JSON document and nothing else with --format json, whatever their processes
say."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import tiny_pipeline
from instant_project import set_quality
from mlops.cli.app import app
from mlops.errors import MlopsError, Refused, UsageError
from mlops.release.errors import StageFailed


def test_promote_and_check_print_json_alone(
    on_dev: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(on_dev)

    def printed(*command: str) -> Any:
        capfd.readouterr()
        app([*command, "--format", "json"], standalone_mode=False)
        return json.loads(capfd.readouterr().out)

    rehearsed = printed("promote", "staging", "--dry-run")
    assert (rehearsed["published"], rehearsed["record"]["name"]) == (False, "staging/0001")
    made = printed("promote", "staging")
    assert made["published"]
    assert made["record"] | {"milliseconds": 0} == rehearsed["record"] | {"milliseconds": 0}
    assert made["record"]["gate"]["passed"]
    nothing = printed("promote", "staging")
    assert (nothing["published"], nothing["record"]) == (False, None)
    assert "nothing to promote" in nothing["reason"]

    set_quality(on_dev, 0.6)
    with pytest.raises(StageFailed):
        printed("promote", "staging")
    refused = json.loads(capfd.readouterr().out)
    assert (refused["published"], refused["record"]) == (False, None)
    assert "accuracy 0.6 is under 0.7" in refused["reason"]
    assert not refused["gate"]["passed"]
    with pytest.raises(UsageError):
        printed("promote", "nowhere")
    assert json.loads(capfd.readouterr().out)["gate"] is None

    assert printed("check")["findings"] == []
    with suppress(MlopsError):  # of what this machine lacks
        app(["doctor", "--format", "json"], standalone_mode=False)
    examined = json.loads(capfd.readouterr().out)
    assert {"subject", "verdict", "words", "remedy"} <= examined[0].keys()

    (on_dev / "params.yaml").write_text("quality: 0.5\n")
    tiny_pipeline.age(on_dev / "params.yaml")
    capfd.readouterr()
    with pytest.raises(Refused, match="problems found: 1\n- train: not up to date"):
        app(["check", "--format", "json"], standalone_mode=False)
    untrue = json.loads(capfd.readouterr().out)
    assert untrue["verdict"] is None
    assert [each.split(":")[0] for each in untrue["findings"]] == ["train"]
