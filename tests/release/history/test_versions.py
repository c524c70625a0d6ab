from typing import Any

import pytest

from mlops.release.history.versions import breaking_changes

CONTRACT: dict[str, Any] = {
    "columns": {"x": "number", "y": "category"},
    "target": "z",
    "classes": ["no", "yes"],
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
        ({"classes": ["yes", "no"]}, "classes was ['no', 'yes'] and is ['yes', 'no']"),
        ({"target": "other"}, "target was z and is other"),
        (with_policy(out_of_range="error"), "out_of_range was answered and is refused"),
    ],
)  # fmt: skip
def test_what_breaks_clients_is_named(change: dict[str, Any], reason: str) -> None:
    assert list(breaking_changes(with_policy(), {**with_policy(), **change})) == [reason]


@pytest.mark.parametrize("policy", [SHIPPED, {**SHIPPED, "extra_column": "warning"}])
def test_a_policy_that_refuses_no_more_than_before_breaks_nobody(policy: dict[str, str]) -> None:
    assert list(breaking_changes(with_policy(), with_policy(**policy))) == []


def test_a_version_from_before_there_were_policies_refused_extra_columns_alone() -> None:
    assert list(breaking_changes(CONTRACT, with_policy())) == []
    assert list(breaking_changes(CONTRACT, with_policy(missing_value="error"))) == [
        "missing_value was answered and is refused"
    ]
    assert list(breaking_changes(with_policy(), CONTRACT)) == []
