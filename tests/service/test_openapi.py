"""Tests what the OpenAPI document says of a column. The fuzzer tests the document against the JSON Schema
specification."""

import json
from typing import Any

import pytest

from mlops.contract.contract import Contract
from mlops.predict.dialect import Dialect
from mlops.predict.schema import Column, Policy, Schema
from mlops.service import openapi

AGE = Column("age", "integer", 40, missing=False, minimum=17, maximum=90)
HEIGHT = Column("height", "number", 1.5, missing=True, minimum=0.5, maximum=2.5)
JOINED = Column(
    "joined", "date", "2024-05-01", missing=False, minimum="2020-01-01", maximum="2024-12-31"
)
NATIVE = Column("native", "boolean", False, missing=True)
SOIL = Column("soil", "category", "clay", missing=True, categories=("clay", "Löß"))
STRICT = Policy("error", "error", "error", "error")
LENIENT = Policy("warning", "warning", "warning", "warning")


def schema(policy: Policy) -> Schema:
    return Schema(
        "trees",
        "kind",
        ("elm", "oak"),
        (AGE, HEIGHT, JOINED, NATIVE, SOIL),
        source=Dialect(missing=("?",)),
        policy=policy,
    )


def field(column: Column, policy: Policy) -> dict[str, Any]:
    return openapi.column_schema(column, schema(policy))


def test_where_training_is_the_limit_ranges_and_categories_are_constraints() -> None:
    age, height, soil = (field(column, STRICT) for column in (AGE, HEIGHT, SOIL))
    assert (age["type"], age["minimum"], age["maximum"]) == ("integer", 17, 90)
    assert (height["type"], height["minimum"], height["maximum"]) == (["number", "null"], 0.5, 2.5)
    assert soil["enum"] == ["clay", "Löß", "", "?", None]


def test_where_categories_are_whole_numbers_they_may_be_sent_as_such() -> None:
    zone = Column("zone", "category", "3", missing=False, categories=("-1", "03", "3"))
    assert field(zone, STRICT)["enum"] == ["-1", "03", "3", -1, 3]


def test_where_training_is_no_limit_it_is_described() -> None:
    age, height, soil = (field(column, LENIENT) for column in (AGE, HEIGHT, SOIL))
    assert (age["type"], age["description"]) == (["integer", "null"], "In training: 17 to 90")
    assert height["description"] == "In training: 0.5 to 2.5, or missing"
    assert (soil["type"], soil["examples"]) == (["string", "integer", "null"], ["clay", "Löß"])
    assert "enum" not in soil
    assert field(JOINED, STRICT) == {
        "type": "string",
        "description": "In training: 2020-01-01 to 2024-12-31",
        "format": "date",
        "examples": ["2024-05-01"],
    }
    assert field(NATIVE, LENIENT) == {
        "type": ["boolean", "null"],
        "description": "In training: true, false, or missing",
        "examples": [False],
    }


@pytest.mark.parametrize("policy", [STRICT, LENIENT])
def test_the_row_is_of_the_columns_and_its_example_is_answered(policy: Policy) -> None:
    row = openapi.row_schema(schema(policy))
    assert row["required"] == [*row["properties"]] == ["age", "height", "joined", "native", "soil"]
    assert row["additionalProperties"] is (policy == LENIENT)
    body = json.dumps(row["example"]).encode()
    assert Contract(schema(policy)).decode(body, 1).warnings == []
