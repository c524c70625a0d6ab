import json
import random
from typing import Any

import msgspec
import numpy as np
import pytest

from mlops.contract.contract import Contract, Decoded
from mlops.contract.errors import InputError, MalformedBody, TooManyRows
from mlops.contract.faults import Fault, Kind, shown_value
from mlops.predict.dates import part_names
from mlops.predict.dialect import Dialect
from mlops.predict.schema import Column, Policy, Schema

COLUMNS = (
    Column("soil", "category", "clay", missing=False, categories=("clay", "loam: wet", "Löß")),
    Column("age", "integer", 80, missing=False, minimum=1, maximum=300),
    Column("height", "number", 12.5, missing=True, minimum=0.5, maximum=40.0),
    Column("owner", "category", "city", missing=True, categories=("city", "state")),
)
ROW: dict[str, Any] = {"soil": "clay", "age": 80, "height": 12.5, "owner": "city"}
JOINED = Column(
    "joined", "date", "2024-05-01", missing=True, minimum="2020-02-29", maximum="2024-12-31"
)
CALLED = Column(
    "called",
    "date",
    "2024-05-01",
    missing=False,
    minimum="2020-02-29",
    maximum="2024-12-31T12:00:00",
    parts=part_names("called", with_hour=True),
)
NATIVE = Column("native", "boolean", True, missing=True)
SHIPPED = Policy()
STRICT = Policy("error", "error", "error", "error")
LENIENT = Policy("warning", "warning", "warning", "warning")


def contract(policy: Policy = SHIPPED, columns: tuple[Column, ...] = COLUMNS) -> Contract:
    return Contract(
        Schema(
            "trees",
            "kind",
            ("elm", "oak"),
            columns,
            source=Dialect(missing=("?", "-")),
            policy=policy,
        )
    )


def decoded(body: object, policy: Policy = LENIENT) -> Decoded:
    return contract(policy).decode(json.dumps(body).encode(), most_rows=10)


def refused(body: bytes, policy: Policy = LENIENT, most_rows: int = 10) -> InputError:
    with pytest.raises(InputError) as error:
        contract(policy).decode(body, most_rows)
    return error.value


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON: Expecting value: line 1 column 1"),
        (b"{", "not JSON: Expecting property name"),
        (b'{"age": 1} and more', "not JSON: Extra data"),
        (b"{'age': 1}", "not JSON: Expecting property name enclosed in double quotes"),
        (b'{"soil": "\xe9"}', "byte 0xe9 at position 10 is not UTF-8: send the text in UTF-8"),
        (b'\xef\xbb\xbf{"age": 1}', "not JSON: Unexpected UTF-8 BOM"),
        (json.dumps(ROW).encode("utf-16"), "byte 0xff at position 0 is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"age": ' * 100_000, "nested too deeply"),
        (b'{"age": %s}' % (b"1" * 5000), "a number has thousands of digits"),
        (b'{"age": 1, "soil": "clay", "age": 2}', '"age" appears twice in one object'),
        (json.dumps(ROW).encode()[:-1] + b', "age": 80}', '"age" appears twice in one object'),
        (json.dumps([ROW, ROW]).encode()[:-2] + b', "\\u0061ge": 80}]', '"age" appears twice'),
    ],
)
def test_what_is_no_json_is_refused_as_such(body: bytes, words: str) -> None:
    error = refused(body)
    assert isinstance(error, MalformedBody)
    assert words in str(error)
    assert error.faults == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[]", "the list holds no row: send at least one"),
        (b"null", "row 0 should be an object with a value for each column, not null"),
        (b"3", "row 0 should be an object with a value for each column, not 3"),
        (json.dumps([ROW, [80, "clay"]]).encode(), "row 1 should be an object with a value for each"),
        (json.dumps([[ROW]]).encode(), "row 0 should be an object with a value for each column, not a list"),
    ],
)  # fmt: skip
def test_json_that_holds_no_rows_is_refused(body: bytes, words: str) -> None:
    assert words in str(refused(body))


@pytest.mark.parametrize("row", [ROW, {}, 3])
def test_too_many_rows_are_refused_whatever_they_hold(row: object) -> None:
    error = refused(json.dumps([row] * 11).encode())
    assert isinstance(error, TooManyRows)
    assert str(error).startswith("11 rows are more than the 10 that one request may hold")


@pytest.mark.parametrize(
    ("field", "value", "kind", "words"),
    [
        ("age", "true", "type", "age: expected a whole number, got true"),
        ("age", '"80"', "type", 'age: expected a whole number, got "80"'),
        ("age", "80.5", "type", "age: expected a whole number, got 80.5"),
        ("age", "[80]", "type", "age: expected a whole number, got a list"),
        ("height", '{"m": 12}', "type", "height: expected a number or null, got an object"),
        ("height", "false", "type", "height: expected a number or null, got false"),
        ("height", '"?"', "type", 'height: expected a number or null, got "?"'),
        ("height", "NaN", "finite", "height: expected a number that 32 bits can hold, got NaN"),
        ("height", "-Infinity", "finite", "height: expected a number that 32 bits can hold, got -Inf"),
        ("height", "1e400", "finite", "height: expected a number that 32 bits can hold, got Infinity"),
        ("height", "-1e39", "finite", "height: expected a number that 32 bits can hold, got -1e+39"),
        ("age", "9" * 400, "finite", "age: expected a number that 32 bits can hold, got 9999"),
        ("soil", "3.5", "type", "soil: expected text or a whole number, got 3.5"),
        ("soil", "true", "type", "soil: expected text or a whole number, got true"),
        ("soil", "NaN", "type", "soil: expected text or a whole number, got NaN"),
        ("soil", '"\\ud800"', "type", 'soil: expected text or a whole number, got "\\ud800"'),
        ("soil", '["clay"]', "type", "soil: expected text or a whole number, got a list"),
    ],
)  # fmt: skip
def test_a_field_that_no_policy_can_let_pass_is_refused(
    field: str, value: str, kind: str, words: str
) -> None:
    body = json.dumps({**ROW, field: "HERE"}).replace('"HERE"', value).encode()
    error = refused(body)
    assert [(fault.column, fault.kind, fault.severity) for fault in error.faults] == [
        (field, kind, "error")
    ]
    assert str(error).startswith(words)
    msgspec.json.encode(error.faults)


def test_a_missing_column_is_refused() -> None:
    error = refused(json.dumps({name: ROW[name] for name in ROW if name != "age"}).encode())
    assert error.faults == [Fault("age", "missing", "a whole number", "nothing", "error")]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"age": None}, ("age", "missing_value", "a value, as always in training", "null")),
        ({"soil": ""}, ("soil", "missing_value", "a value, as always in training", '""')),
        ({"soil": "?"}, ("soil", "missing_value", "a value, as always in training", '"?"')),
        ({"age": 301}, ("age", "range", "1 to 300, as in training", "301")),
        ({"height": 0.25}, ("height", "range", "0.5 to 40.0, as in training", "0.25")),
        ({"owner": "me"}, ("owner", "category", 'one of "city", "state", as in training', '"me"')),
        ({"girth": 1}, ("girth", "extra", "no column of this name", "1")),
        ({"\ud800": 1}, ("\\ud800", "extra", "no column of this name", "1")),
    ],
)
def test_the_policy_decides_what_becomes_of_a_row_unlike_those_of_training(
    change: dict[str, Any], fault: tuple[str, Kind, str, str]
) -> None:
    row = {**ROW, **change}
    assert refused(json.dumps(row).encode(), STRICT).faults == [Fault(*fault, "error")]
    warned = decoded(row)
    assert warned.warnings == [Fault(*fault, "warning")]
    assert contract().arrays(warned.values).keys() == ROW.keys()


def test_what_the_policy_does_not_name_is_as_before() -> None:
    row = {**ROW, "age": None, "soil": "moor", "height": 50}
    assert {fault.severity for fault in contract().examine(row)} == {"warning"}
    assert refused(json.dumps({**ROW, "girth": 1}).encode(), SHIPPED).faults[0].column == "girth"


def test_every_fault_of_every_row_is_named_at_once_errors_first() -> None:
    rows = [{**ROW, "age": 301}, ROW, {"age": "x", "soil": True, "height": 90, "girth": 2}]
    error = refused(json.dumps(rows).encode())
    assert [(fault.row, fault.column, fault.severity) for fault in error.faults] == [
        (2, "age", "error"),
        (2, "soil", "error"),
        (2, "owner", "error"),
        (0, "age", "warning"),
        (2, "height", "warning"),
        (2, "girth", "warning"),
    ]
    assert str(error).startswith('row 2: age: expected a whole number, got "x"; row 2: soil: ')


def test_of_many_faults_the_first_are_named_and_the_others_counted() -> None:
    error = refused(json.dumps([{}] * 100).encode(), most_rows=100)
    assert (len(error.faults), error.more) == (100, 300)
    assert str(error).endswith("; and 300 more")
    warned = contract(LENIENT).decode(json.dumps([{**ROW, "age": 0}] * 250).encode(), 250)
    assert (len(warned.warnings), warned.more, len(warned.values)) == (100, 150, 250)


@pytest.mark.parametrize(
    ("name", "value"), [("soil", "x" * 10_000), ("x" * 10_000, 1), ("age", int("9" * 400))]
)
def test_what_came_is_cut(name: str, value: object) -> None:
    (fault,) = contract().examine({**ROW, name: value})
    assert len(fault.came) <= 100
    assert len(fault.column) <= 100


@pytest.mark.parametrize("value", [3, 3.0, "3", " 3 "])
def test_a_whole_number_is_the_category_of_its_text(value: object) -> None:
    zone = Column("zone", "category", "3", missing=False, categories=("-1", "3"))
    found = contract(STRICT, (zone,)).decode(json.dumps({"zone": value}).encode(), 1)
    assert contract(STRICT, (zone,)).arrays(found.values)["zone"].tolist() == ["3"]


def test_many_categories_are_not_all_listed() -> None:
    many = Column("soil", "category", "0", missing=False, categories=tuple(map(str, range(9))))
    (fault,) = contract(columns=(many,)).examine({"soil": "clay"})
    assert fault.expected == 'one of "0", "1", "2", "3", "4" or 4 more, as in training'


def test_rows_become_columns_numbers_with_nan_and_text_with_nothing_for_missing() -> None:
    rows = [ROW, {"soil": "Löß", "age": 7.0, "height": None, "owner": None}, {**ROW, "owner": "?"}]
    found = decoded(rows)
    assert (len(found.values), found.single, found.warnings) == (3, False, [])
    columns = contract().arrays(found.values)
    assert columns["age"].tolist() == [80, 7, 80]
    np.testing.assert_array_equal(columns["height"], [12.5, np.nan, 12.5])
    assert columns["soil"].tolist() == ["clay", "Löß", "clay"]
    assert columns["owner"].tolist() == ["city", "", ""]
    assert [values.dtype for values in columns.values()] == [float, float, object, object]


def test_an_object_is_one_row() -> None:
    found = decoded(ROW)
    assert (len(found.values), found.single, found.warnings) == (1, True, [])
    columns = contract().arrays(found.values)
    assert {name: values.tolist() for name, values in columns.items()} == {
        name: [value] for name, value in ROW.items()
    }


@pytest.mark.parametrize("value", ["yes", "true", "", 1, 0, 1.0, []])
def test_a_boolean_is_true_false_or_null(value: object) -> None:
    body = json.dumps({**ROW, "native": value}).encode()
    with pytest.raises(InputError) as error:
        contract(LENIENT, (*COLUMNS, NATIVE)).decode(body, 1)
    assert f"native: expected a boolean (true or false) or null, got {shown_value(value)}" in str(
        error.value
    )


@pytest.mark.parametrize(
    "value",
    [
        *(
            "2024-05-01T00:00:00",
            "2024-05-01Z",
            "2024-5-1",
            "20240501",
            "2023-02-29",
            "",
            "01.05.2024",
        ),
        *(20240501, 1.5, True, [], "\ud83c"),
    ],
)
def test_what_is_no_date_is_refused(value: object) -> None:
    body = json.dumps({**ROW, "joined": value}).encode()
    with pytest.raises(InputError, match='expected a date such as "2024-05-01" or null, got'):
        contract(LENIENT, (*COLUMNS, JOINED)).decode(body, 1)


def test_a_date_with_a_time_is_of_greenwich_if_it_names_no_zone() -> None:
    checked = contract(LENIENT, (*COLUMNS, CALLED))
    sent = [
        *(
            "2024-05-01T13:45:00",
            "2024-05-01 13:45:00",
            "2024-05-01T13:45",
            "2024-05-01T15:45:00+02:00",
        ),
        *("2024-05-01", "2024-05-01T00:00:00Z"),
    ]
    rows = [{**ROW, "called": value} for value in sent]
    found = checked.decode(json.dumps(rows).encode(), 6)
    assert found.warnings == []
    days = checked.arrays(found.values)["called"]
    np.testing.assert_array_equal(days, [19844 + 13.75 / 24] * 4 + [19844] * 2)
    for value in ("13:45", "2024-05-01T25:00", 19844, "0001-01-01T00:00:00+02:00"):
        with pytest.raises(
            InputError, match='a date with a time such as "2024-05-01T13:45:00", got'
        ):
            checked.decode(json.dumps({**ROW, "called": value}).encode(), 1)
    late = checked.decode(json.dumps({**ROW, "called": "2024-12-31T12:00:01"}).encode(), 1)
    assert late.warnings[0].expected == "2020-02-29 to 2024-12-31T12:00:00, as in training"


@pytest.mark.parametrize("value", ["2020-02-28", "2025-01-01", "0001-01-01", "9999-12-31"])
def test_a_date_out_of_range_is_refused_or_gets_a_warning(value: str) -> None:
    row = {**ROW, "joined": value}
    words = ("2020-02-29 to 2024-12-31, as in training", f'"{value}"')
    with pytest.raises(InputError) as error:
        contract(STRICT, (*COLUMNS, JOINED)).decode(json.dumps(row).encode(), 1)
    assert error.value.faults == [Fault("joined", "range", *words, "error")]
    checked = contract(LENIENT, (*COLUMNS, JOINED))
    found = checked.decode(json.dumps(row).encode(), 1)
    assert found.warnings == [Fault("joined", "range", *words, "warning")]
    (days,) = checked.arrays(found.values)["joined"]
    assert np.datetime64("1970-01-01") + int(days) == np.datetime64(value)


def test_dates_are_days_whatever_stands_beside_them() -> None:
    checked = contract(LENIENT, (JOINED, *COLUMNS, NATIVE))
    rows = [{**ROW, "native": True, "joined": day} for day in ("2024-05-01", None, "2020-02-29")]
    found = checked.decode(json.dumps(rows).encode(), 3)
    columns = checked.arrays(found.values)
    assert found.warnings == []
    np.testing.assert_array_equal(columns["joined"], [19844, np.nan, 18321])
    assert columns["soil"].tolist() == ["clay"] * 3
    np.testing.assert_array_equal(columns["joined"], checked.columns(rows)["joined"])
    odd = checked.columns([{**row, "soil": "moor"} for row in rows])
    np.testing.assert_array_equal(columns["joined"], odd["joined"])


def test_a_boolean_is_a_number_to_the_model() -> None:
    checked = contract(LENIENT, (*COLUMNS, NATIVE))
    rows = [{**ROW, "native": value} for value in (True, False, None)]
    found = checked.decode(json.dumps(rows).encode(), 3)
    np.testing.assert_array_equal(checked.arrays(found.values)["native"], [1, 0, np.nan])


@pytest.mark.parametrize("kind", ["category", "number"])
def test_a_table_may_have_columns_of_one_kind_alone(kind: str) -> None:
    columns = tuple(column for column in COLUMNS if column.type == kind)
    row = {column.name: column.example for column in columns}
    body = json.dumps([row, row]).encode()
    checked = contract(columns=columns)
    found = checked.arrays(checked.decode(body, 2).values)
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(row, 2)


@pytest.mark.parametrize(
    "name", ["class", "a b", "a.b", 'a"b', "a\\b", "a: b", "naïve 木", "a\nb", "c0", "", "never"]
)
def test_a_column_may_have_any_name(name: str) -> None:
    columns = (Column(name, "number", 1.5, missing=False, minimum=0, maximum=2), COLUMNS[0])
    checked = contract(columns=columns)
    for text in (
        json.dumps({name: 1.5, "soil": "clay"}),
        json.dumps({name: 2, "soil": "clay"}, separators=(",", ":")),
    ):
        assert checked.decode(text.encode(), 1).warnings == []
    with pytest.raises(InputError):
        checked.decode(json.dumps({"other": 1.5, "soil": "clay"}).encode(), 1)


VALUES: list[Any] = [
    *(None, True, 0, 1, 300, 301, -1, 80.0, 80.5, 0.5, 1e-300, 1e39, 2**70, float("nan"), float("inf")),
    *("", "?", "clay", "Löß", "loam: wet", "city", "80", "\ud83c", [], ["clay"], {}, {"age": 1}),
]  # fmt: skip


@pytest.mark.parametrize("policy", [STRICT, LENIENT, SHIPPED])
def test_what_is_decoded_fast_is_what_one_row_examined_alone_would_be(policy: Policy) -> None:
    chance = random.Random(4)  # noqa: S311
    checked = contract(policy)
    for _ in range(3000):
        row = {**ROW, **{name: chance.choice(VALUES) for name in chance.sample([*ROW, "girth"], 2)}}
        if chance.random() < 0.1:
            del row[chance.choice([*ROW])]
        faults = checked.examine(row)
        body = json.dumps(row, ensure_ascii=chance.random() < 0.5 or "\ud83c" in row.values())
        if any(fault.severity == "error" for fault in faults):
            with pytest.raises(InputError) as error:
                checked.decode(body.encode(), 1)
            assert {*map(str, error.value.faults)} == {*map(str, faults)}
        else:
            found = checked.decode(body.encode(), 1)
            assert found.warnings == faults
            columns = checked.arrays(found.values)
            assert columns.keys() == ROW.keys()
            for name, values in checked.columns([row]).items():
                np.testing.assert_array_equal(columns[name], values)
