from typing import Any

import pytest

from mlops.release.history.versions import Answers, Version, breaking_changes, version_of

CONTRACT: dict[str, Any] = {
    "columns": {"x": "number", "y": "category"},
    "target": "z",
    "task": "binary",
    "classes": ["no", "yes"],
    "threshold": None,
}
SHIPPED = {"extra_column": "error", "out_of_range": "warning", "missing_value": "warning"}


def with_policy(**changes: str) -> dict[str, Any]:
    return {**CONTRACT, "policy": {**SHIPPED, **changes}}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"columns": {"x": "number"}}, "column 'y' is gone"),
        ({"columns": {**CONTRACT["columns"], "w": "number"}}, "column 'w' is needed"),
        ({"columns": {**CONTRACT["columns"], "x": "integer"}}, "column 'x' was number and is integer"),
        ({"classes": ["yes", "no"]}, "the positive class was 'yes' and is 'no'"),
        ({"task": "regression", "classes": []}, "task was binary and is regression"),
        ({"target": "other"}, "target was z and is other"),
        (with_policy(out_of_range="error"), "out_of_range was answered and is refused"),
    ],
)  # fmt: skip
def test_what_breaks_clients_is_named(change: dict[str, Any], reason: str) -> None:
    assert list(breaking_changes(with_policy(), {**with_policy(), **change})) == [reason]


def test_classes_that_come_and_go_are_named_one_by_one() -> None:
    trees = {**CONTRACT, "task": "multiclass", "classes": ["elm", "fir", "oak"]}
    changed = {**trees, "classes": ["ash", "elm", "oak", "yew"]}
    assert list(breaking_changes(trees, changed)) == [
        "class 'fir' is gone",
        "class 'ash' is new",
        "class 'yew' is new",
    ]


def test_another_threshold_is_a_minor_step_and_breaks_nobody() -> None:
    latest = Version((1, 2, 3), Answers("m", "s", "c", "l", CONTRACT), "the first")
    moved = Answers("m", "s2", "c", "l", {**CONTRACT, "threshold": 0.3})
    assert version_of(moved, [latest]).name == "v1.3.0"
    assert version_of(moved, [latest]).reason == "another threshold"


@pytest.mark.parametrize("policy", [SHIPPED, {**SHIPPED, "extra_column": "warning"}])
def test_a_policy_that_refuses_no_more_than_before_breaks_nobody(policy: dict[str, str]) -> None:
    assert list(breaking_changes(with_policy(), with_policy(**policy))) == []


def test_a_version_from_before_there_were_policies_refused_extra_columns_alone() -> None:
    assert list(breaking_changes(CONTRACT, with_policy())) == []
    assert list(breaking_changes(CONTRACT, with_policy(missing_value="error"))) == [
        "missing_value was answered and is refused"
    ]
    assert list(breaking_changes(with_policy(), CONTRACT)) == []
