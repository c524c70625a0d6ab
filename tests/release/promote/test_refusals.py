"""Tests what a refused promotion says at its end, and that `mlops history` lists it beside the releases."""

from pathlib import Path

import pytest

from instant_project import promote, set_quality
from mlops.errors import MlopsError, Refused
from mlops.release.errors import StageFailed
from mlops.release.history.git import Git
from mlops.release.look import timeline
from mlops.release.promote import challenger, gate_report, promotion, refusals
from mlops.release.promote.rollback import roll_back

TESTER = "A. Tester <tester@example.org>"


def refusal_of(project: Path, *, dry_run: bool = False) -> tuple[list[str], str]:
    """Returns the lines about the gates and the message of a promotion to staging that is refused."""
    lines: list[str] = []
    with pytest.raises(StageFailed) as refusal:
        promotion.promote(Git(project), "staging", lines.append, dry_run=dry_run)
    return [line for line in lines if line.startswith("gate: ")], str(refusal.value)


def test_the_history_lists_promotions_rollbacks_and_refusals(in_staging: Path) -> None:
    git = Git(in_staging)
    first = git.run("rev-parse", "--short=7", "dev")
    under = set_quality(in_staging, 0.6)[:7]
    refusal_of(in_staging, dry_run=True)
    lines, told = refusal_of(in_staging)
    assert lines == ["gate: accuracy 0.6 (min 0.7) FAILED"]
    assert told == (
        f"staging refuses dev {under}: accuracy 0.6 is under 0.7. staging still holds v1.0.0; nothing "
        "has moved."
    )
    worse = set_quality(in_staging, 0.8)[:7]
    lines, told = refusal_of(in_staging)
    assert lines == [
        "gate: accuracy 0.8 (min 0.7) passed",
        "gate: accuracy 0.9 -> 0.8, advantage -0.09999999999999998 (95 % interval 0 to 1, max drop 0.05) "
        "FAILED",
    ]
    assert told.startswith(
        f"staging refuses dev {worse}: the challenger is worse than the model now "
    )
    assert told.endswith(". staging still holds v1.0.0; nothing has moved.")
    better = set_quality(in_staging, 0.95)[:7]
    promote(in_staging, "staging")
    roll_back(git, "staging", None, print, reason="too slow")
    with pytest.raises(Refused, match=r"was rolled back from v1\.1\.0"):
        promote(in_staging, "staging")
    events = timeline.events_of(git, "staging")
    assert [(each.what, each.record, each.version, each.source, each.who) for each in events] == [
        ("promotion", "staging/0001", "v1.0.0", f"dev {first}", TESTER),
        ("refused", None, None, f"dev {under}", TESTER),
        ("refused", None, None, f"dev {worse}", TESTER),
        ("promotion", "staging/0002", "v1.1.0", f"dev {better}", TESTER),
        ("rollback", "staging/0003", "v1.0.0", "staging/0001", TESTER),
        ("refused", None, None, f"dev {better}", TESTER),
    ]
    why = [each.why or "" for each in events]
    assert why[0] == "the first"
    assert "accuracy 0.6 is under 0.7" in why[1]
    assert why[3:5] == ["another model", "withdrew v1.1.0: too slow"]
    with refusals.log_file(git).open("a") as log:
        log.write('{"environment": "staging"}\n[]\n{\n\n')
    assert timeline.events_of(git, "staging") == events
    with pytest.raises(MlopsError, match="nothing was released to prod yet: `mlops promote prod`"):
        timeline.events_of(git, "prod")
    with pytest.raises(Refused, match="nothing is promoted to dev"):
        timeline.events_of(git, "dev")


def test_a_failure_of_another_stage_is_told_as_such(in_staging: Path) -> None:
    pipeline = in_staging / "dvc.yaml"
    only_on_dev = "cmd: grep -q dev branch.yaml && mkdir -p data/prepared"
    pipeline.write_text(pipeline.read_text().replace("cmd: mkdir -p data/prepared", only_on_dev))
    made = set_quality(in_staging, 0.95)[:7]
    lines, told = refusal_of(in_staging)
    assert lines == []
    assert told.startswith(f"staging refuses dev {made}: failed to reproduce 'prepare': ")
    assert told.endswith("exited with 1. staging still holds v1.0.0; nothing has moved.")


def test_each_failed_bound_is_a_reason() -> None:
    gate = {
        "passed": False,
        "accuracy": {"value": 0.76, "min": 0.84, "passed": False, "reason": "0.76 is under 0.84"},
        "a gate of one's own": {"value": 9.1, "passed": False},
        "brier": {"value": 0.1, "max": 0.2, "passed": True},
    }
    assert [*gate_report.gate_reasons(gate)] == [
        "accuracy 0.76 is under 0.84",
        "a gate of one's own did not pass",
    ]
    assert [*gate_report.gate_lines(gate)][2] == "brier 0.1 (max 0.2) passed"


def test_a_drop_of_a_subgroup_is_a_reason_or_a_line() -> None:
    drop = {"rows": 812, "drop": 0.05, "interval": [0.01, 0.08], "max_drop": 0.03}
    comparison = {
        "metrics": {},
        "subgroups": {
            "accuracy of sex: Male": drop | {"passed": False},
            "accuracy of sex: Female": drop | {"passed": True, "needed_rows": 1900},
        },
        "rows": 2000,
        "left_out": 1000,
    }
    words = "drop 0.05 on 812 rows (interval 0.01 to 0.08, max drop 0.03)"
    assert [*gate_report.drop_reasons(comparison)] == [
        f"accuracy of sex: Male: {words} (gate.subgroups)"
    ]
    assert [*gate_report.comparison_lines(comparison)] == [
        f"accuracy of sex: Male: {words} FAILED",
        f"accuracy of sex: Female: {words} not decided: about 1,900 rows are needed",
        "compared on 2,000 test rows, without 1,000 on which the champion was trained",
    ]


def test_the_group_of_a_split_is_read_from_params(tmp_path: Path) -> None:
    for by, column, group in (("group", "person", "person"), ("time", "day", None)):
        text = f"prepare: {{split: {{by: {by}, column: {column}}}}}\n"
        (tmp_path / "params.yaml").write_text(text)
        assert challenger.group_column(tmp_path) == group
    (tmp_path / "params.yaml").write_text("quality: 0.9\n")
    assert challenger.group_column(tmp_path) is None
