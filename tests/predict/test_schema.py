from pathlib import Path

import pytest

from mlops.predict import schema
from mlops.predict.errors import BundleError
from mlops.predict.schema import Column, Schema

SCHEMA = Schema(
    "trees",
    "kind",
    ("elm", "oak"),
    (
        Column("age", "integer", 80, missing=False, minimum=1, maximum=300),
        Column("soil", "category", "clay", missing=True, categories=("clay", "Löß")),
    ),
    derived=("age_in_months",),
)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    schema.write_schema(SCHEMA, tmp_path / "schema.json")
    assert schema.read_schema(tmp_path / "schema.json") == SCHEMA


def test_columns_are_found_by_type() -> None:
    assert SCHEMA.names("integer", "number") == ["age"]
    assert SCHEMA.names("category") == ["soil"]
    assert SCHEMA.positive == "oak"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"not json",
        b"\xff",
        b'{"dataset": "trees", "target": "kind", "classes": ["elm"], "columns": []}',
        b'{"dataset": "d", "target": "t", "classes": ["a", "b"], "columns": [], "unknown": 1}',
    ],
)
def test_a_broken_schema_is_refused_with_its_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "schema.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"schema\.json is not an input schema"):
        schema.read_schema(tmp_path / "schema.json")


def test_a_missing_schema_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(
        BundleError, match=r"schema\.json is missing: run `mlops repro`, or `dvc pull`"
    ):
        schema.read_schema(tmp_path / "schema.json")
