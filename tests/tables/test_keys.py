import pyarrow as pa
import pytest

from mlops.tables import keys
from mlops.tables.errors import SourceError

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (
            pa.array([123456789012.0, None, float("nan"), 1.5, -3.0]),
            ["123456789012", None, None, "1.5", "-3"],
        ),
        (pa.array([7, 2**60]), ["7", str(2**60)]),
        (pa.array([" a ", "", None]), ["a", None, None]),
        (pa.array([" a ", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array([16777216.0], pa.float32()), ["16777216"]),
        (pa.array([16777216.0, None]).dictionary_encode(), ["16777216", None]),
        (pa.array([0], pa.date32()), ["1970-01-01"]),
        *(
            (pa.array([unit * 3600, None], pa.timestamp(name)), ["1970-01-01 01:00:00", None])
            for name, unit in UNITS.items()
        ),
        (pa.array([UNITS["ns"] // 10], pa.timestamp("ns")), ["1970-01-01 00:00:00.1"]),
        (pa.array([1001], pa.timestamp("ms", "UTC")), ["1970-01-01 00:00:01.001Z"]),
        (pa.array([1010], pa.timestamp("ms", "+01:00")), ["1970-01-01 01:00:01.01+0100"]),
        (pa.array([0], pa.timestamp("ns", "UTC")), ["1970-01-01 00:00:00Z"]),
        (pa.array([None, None]), [None, None]),
    ],
)
def test_a_key_has_the_same_text_whatever_its_type(
    cells: pa.Array, expected: list[str | None]
) -> None:
    assert keys.can_be_key(cells.type)
    assert keys.key_texts(cells, "rows.parquet", "id").to_pylist() == expected


@pytest.mark.parametrize("cells", [pa.array([2.0**53 + 2]), pa.array([1.7e7], pa.float32())])
def test_floats_that_cannot_be_told_apart_are_no_keys(cells: pa.Array) -> None:
    with pytest.raises(SourceError, match=r"rows\.parquet: column 'id' holds floats above"):
        keys.key_texts(cells, "rows.parquet", "id")


@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.list_(pa.int64()), pa.bool_(), pa.struct([("a", pa.int8())])]
)
def test_types_without_a_text_are_no_keys(kind: pa.DataType) -> None:
    assert not keys.can_be_key(kind)
