import json
import math
from pathlib import Path

import pytest

from contenders import parse_strict_json
from mlops.errors import GateFailed
from mlops.gate import gate
from mlops.params import Bound
from small_project import change

METRICS = {"accuracy": 0.7, "false_positive_percent": 12.5, "roc_auc": None}
BOUNDS = {"accuracy": {"min": 0.8}, "false_positive_percent": {"min": 1, "max": 5}}


def measure(environment: str, bounds: object = BOUNDS, **metrics: float) -> None:
    change("branch.yaml", "environment", environment)
    change(f"environments/{environment}.yaml", "gate.bounds", bounds)
    Path("reports").mkdir(exist_ok=True)
    Path("reports/metrics.json").write_text(json.dumps({"test": METRICS | metrics}))


def result() -> dict[str, object]:
    content: dict[str, object] = parse_strict_json(Path("reports/gate.json").read_text())
    return content


FAILURES = (
    "accuracy is 0.7 and must be at least 0.8; "
    "false_positive_percent is 12.5 and must be at least 1.0 and at most 5.0"
)


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
        "accuracy": {"value": 0.7, "min": 0.8, "passed": False},
        "false_positive_percent": {"value": 12.5, "min": 1.0, "max": 5.0, "passed": False},
    }


def test_a_good_model_passes_and_its_values_are_recorded(untrained: Path) -> None:
    measure("staging", {"accuracy": {"min": 0.7}})
    gate.main()
    assert result() == {"passed": True, "accuracy": {"value": 0.7, "min": 0.7, "passed": True}}


def test_one_failure_among_passes_stops(untrained: Path) -> None:
    measure("staging", {"accuracy": {"min": 0.1}, "false_positive_percent": {"max": 12.4}})
    with pytest.raises(GateFailed, match=r"^false_positive_percent is 12\.5 and must be at most"):
        gate.main()


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_could_not_be_measured_stops_and_is_said_to_have_no_value(
    untrained: Path, value: float
) -> None:
    measure("staging", {"roc_auc": {"min": 0}}, roc_auc=value)
    with pytest.raises(GateFailed) as failed:
        gate.main()
    assert str(failed.value).startswith(
        "roc_auc has no value for these test rows and must be at least 0.0"
    )
    assert result()["roc_auc"] == {"value": None, "min": 0.0, "passed": False}


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
    assert gate.judge_metric(value, bound)["passed"] is passed
