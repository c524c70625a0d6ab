import json
import math
from pathlib import Path

import pytest

from contenders import parse_strict_json
from mlops.errors import GateFailed
from mlops.gate import gate
from mlops.params import Bound
from small_project import change

METRICS = {"rows": 120, "accuracy": 0.7, "false_positive_percent": 12.5, "roc_auc": None}
BASELINE = {"accuracy": 0.6, "false_positive_percent": 20.0, "roc_auc": None}
BOUNDS = {"accuracy": {"min": 0.8}, "false_positive_percent": {"min": 1, "max": 5}}


def measure(environment: str, bounds: object = BOUNDS, **metrics: float) -> None:
    change("branch.yaml", "environment", environment)
    change(f"environments/{environment}.yaml", "gate.bounds", bounds)
    Path("reports").mkdir(exist_ok=True)
    measured = {
        "test": METRICS | metrics,
        "baseline": BASELINE,
        "class_rows": {"other": 100, ">50K": 20},
    }
    Path("reports/metrics.json").write_text(json.dumps(measured))


def result() -> dict[str, object]:
    content: dict[str, object] = parse_strict_json(Path("reports/gate.json").read_text())
    return content


FAILURES = "accuracy 0.7 is under 0.8; false_positive_percent 12.5 is over 5.0 (gate of "


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_a_worse_model_is_stopped(untrained: Path, environment: str) -> None:
    measure(environment)
    with pytest.raises(GateFailed) as failed:
        gate.main()
    assert str(failed.value).startswith(FAILURES)
    assert result()["passed"] is False


def test_on_dev_a_worse_model_is_reported_and_recorded(
    untrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measure("dev")
    gate.main()
    assert FAILURES in capsys.readouterr().err
    assert result() == {
        "passed": False,
        "accuracy": {"value": 0.7, "min": 0.8, "passed": False, "reason": "0.7 is under 0.8"},
        "false_positive_percent": {
            "value": 12.5,
            "min": 1.0,
            "max": 5.0,
            "passed": False,
            "reason": "12.5 is over 5.0",
        },
    }


def test_a_good_model_passes_and_its_values_are_recorded(untrained: Path) -> None:
    measure("staging", {"accuracy": {"min": 0.7}})
    gate.main()
    assert result() == {"passed": True, "accuracy": {"value": 0.7, "min": 0.7, "passed": True}}


def test_one_failure_among_passes_stops(untrained: Path) -> None:
    measure("staging", {"accuracy": {"min": 0.1}, "false_positive_percent": {"max": 12.4}})
    with pytest.raises(GateFailed, match=r"^false_positive_percent 12\.5 is over 12\.4"):
        gate.main()


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_could_not_be_measured_stops_and_is_said_to_have_no_value(
    untrained: Path, value: float
) -> None:
    measure("staging", {"roc_auc": {"min": 0}}, roc_auc=value)
    with pytest.raises(GateFailed) as failed:
        gate.main()
    assert str(failed.value).startswith("roc_auc has no value for these test rows (gate of")
    assert result()["roc_auc"] == {
        "value": None,
        "min": 0.0,
        "passed": False,
        "reason": "has no value for these test rows",
    }


@pytest.mark.parametrize(
    ("value", "bound", "passed"),
    [
        (0.8, Bound(min=0.8), True),
        (0.8, Bound(max=0.8), True),
        (0.79, Bound(min=0.8), False),
        (0.81, Bound(max=0.8), False),
        (0.0, Bound(min=0.0), True),
        (0.5, Bound(min=0.5, max=0.5), True),
        (0.4, Bound(min=0.5, max=0.6), False),
        (0.7, Bound(min=0.5, max=0.6), False),
        (math.nan, Bound(min=0.0), False),
        (math.nan, Bound(max=1.0), False),
        (math.inf, Bound(min=0.0), False),
        (-math.inf, Bound(max=1.0), False),
        (None, Bound(min=0.0), False),
        (None, Bound(max=1.0), False),
    ],
)
def test_bounds_are_allowed_values_and_what_was_not_measured_passes_none(
    value: float | None, bound: Bound, passed: bool
) -> None:
    assert gate.judge_value(value, bound)["passed"] is passed


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        ({"accuracy": {"above_baseline": 0.05, "min": 0.7}}, None),
        ({"accuracy": {"above_baseline": 0.2}}, "0.7 is under 0.8, which is the baseline 0.6 +0.2"),
        ({"false_positive_percent": {"below_baseline": 7}}, None),
        (
            {"false_positive_percent": {"below_baseline": 8}},
            "is over 12, which is the baseline 20.0 -8",
        ),
        ({"roc_auc": {"above_baseline": 0.1}}, "has no baseline for these test rows"),
    ],
)
def test_a_bound_can_be_relative_to_the_baseline(
    untrained: Path, bounds: dict[str, dict[str, float]], reason: str | None
) -> None:
    measure("dev", bounds, roc_auc=0.8)
    gate.main()
    (found,) = [each for each in result().values() if isinstance(each, dict)]
    assert found["passed"] is (reason is None)
    assert (reason or "") in found.get("reason", "")


def test_too_few_test_rows_of_a_class_pass_no_bound_and_each_is_named(untrained: Path) -> None:
    measure("staging", {"accuracy": {"min": 0}, "false_positive_percent": {"max": 100}})
    gate.main()
    change("environments/staging.yaml", "gate.min_rows", 21)
    few = "cannot be judged: the number of test rows of the class '>50K' is 20, and gate.min_rows is 21"
    with pytest.raises(GateFailed) as failed:
        gate.main()
    assert str(failed.value).startswith(f"accuracy {few}; false_positive_percent {few} (gate of")


def measure_subgroups(bounds: dict[str, dict[str, float]], min_rows: int) -> None:
    measure("staging", {})
    change(
        "environments/staging.yaml",
        "gate.subgroups",
        {"min_rows": min_rows, "bounds": bounds, "max_drop": {}},
    )
    Path("reports/subgroups.csv").write_text(
        "group,rows,accuracy,false_positive_percent\n"
        "sex: Female,50,0.71,3\nsex: Male,60,0.83,9\nrace: Other,10,0.2,\n"
    )


def test_the_worst_of_the_large_subgroups_is_judged(untrained: Path) -> None:
    measure_subgroups({"accuracy": {"min": 0.7}, "false_positive_percent": {"max": 5}}, 50)
    with pytest.raises(
        GateFailed, match=r"^false_positive_percent of sex: Male 9\.0 is over 5\.0 \("
    ):
        gate.main()
    assert result()["accuracy of sex: Female"] == {
        "rows": 50,
        "value": 0.71,
        "min": 0.7,
        "passed": True,
    }


def test_a_subgroup_without_a_value_and_too_small_subgroups_pass_no_bound(untrained: Path) -> None:
    measure_subgroups({"false_positive_percent": {"max": 100}}, 10)
    with pytest.raises(GateFailed, match=r"^false_positive_percent of race: Other has no value"):
        gate.main()
    measure_subgroups({"accuracy": {"min": 0}}, 61)
    with pytest.raises(
        GateFailed, match=r"^accuracy of subgroups cannot be judged: no subgroup has 61"
    ):
        gate.main()
