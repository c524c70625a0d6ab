"""Tests how the spelling of numbers, dates, booleans and missing cells is found."""

import pytest

from mlops.adopt.spelling import Spelling, find_spelling
from mlops.predict.dialect import Dialect


def spelled(delimiter: str = ",", **columns: str) -> Spelling:
    """Each column is given by its cells, with a bar between two."""
    words = {
        name: dict.fromkeys(filter(None, text.split("|")), 3) for name, text in columns.items()
    }
    return find_spelling(words, Dialect(delimiter=delimiter))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ("1|2|3", "number"),
        ("-1.5|.5|2e3", "number"),
        ("$7.25|$1,200.00|-$3.00", "number"),
        ("7,25 €|1.200,00 €", "number"),
        ("45 %|7 %", "number"),
        ("36 months|60 months", "number"),
        ("1 234|12|5 678", "number"),
        ("12.50|(3.20)|-4.00", "number"),
        ("$1,200.00|($7.25)", "number"),
        ("(1)|(2)", "text"),
        ("'1'|'2'", "number"),
        ("1|2|NA|#N/A", "number"),
        ("|".join([*map(str, range(12)), "not asked"]), "number"),
        ("1.5|2.5|-", "number"),
        ("12 kg|8 lb", "text"),
        ("Rs.500|Rs.1,200|-Rs. 40", "number"),
        ("Rs.500|Rs 1200", "text"),
        ("No.5|No.7", "text"),
        ("$5|€7", "text"),
        ("007|012", "text"),
        ("tt171|tt205", "text"),
        ("1|2|3|10+", "text"),
        ("12:30|13:00", "text"),
        ("yes|no", "boolean"),
        ("Y|n|YES|NA", "boolean"),
        ("yes|no|maybe", "text"),
        ("ja|nein", "boolean"),
        ("m|f", "text"),
        ("2024-05-01|2023-12-24", "date"),
        ("24.12.2024|1.5.2023|", "date"),
        ("2024-05-01 00:00:00|2023-12-24 00:00:00", "date"),
        ("20240501|20231224", "date"),
        ("2024-05-01 12:30|2023-12-24 01:00", "date"),
        ("5/1/2024 1:45 PM|12/24/2023 11:00 AM", "date"),
        ("2024-05-01T12:30:00.123Z|2023-12-24T01:00:00+02:00", "date"),
        ("2024-05-01 12:30:00 UTC|2023-12-24 01:00:00 UTC", "date"),
        ("2024-05-01 12:30|2023-12-24", "text"),
        ("01/02/24|03/04/23", "date"),
        ("05-Jan-2021|24-Dec-2020", "date"),
        ("Jan 5, 2021|December 24, 2020", "date"),
        ("24-Dez-2020|01-Jan-2021", "text"),
        ("1.2.3|1.3.4", "text"),
        ("2024-13-45|2023-12-24", "text"),
    ],
)
def test_the_type_of_a_column_is_found(cells: str, kind: str) -> None:
    assert spelled(column=cells).types["column"] == kind


def test_what_a_table_writes_in_one_way_is_one_dialect() -> None:
    found = spelled(
        ";",
        a="1,5|2,25",
        b="1.200,50 €|3,00 €",
        c="4|5|k.A.",
        d="01.02.2024|24.12.2023",
        e="ja|nein",
        f="0,125|0,500",
    )
    dialect = found.dialect
    assert (dialect.decimal, dialect.thousands, dialect.units) == (",", ".", ("€",))
    assert dialect.dates == "%d.%m.%Y"
    assert ("ja" in dialect.true_words, "nein" in dialect.false_words) == (True, True)
    assert found.markers == {"k.A.": {"c": 3}}
    assert set(found.types.values()) == {"number", "date", "boolean"}
    accounts = spelled(a="$1,200.00|($7.25)", b="5|6")
    assert accounts.dialect.units == ("$", "()")
    assert accounts.remarks["a"] == "read as numbers: ($7.25) is negative"


def test_the_dot_of_an_abbreviation_is_no_decimal_mark() -> None:
    found = spelled(a="Rs.500|Rs.1200", b="$.50|$2.50", c="500 kr.|kr.40")
    assert found.dialect.units == ("$", "Rs.", "kr.")
    assert found.remarks["a"] == "read as numbers: Rs.500 without Rs."
    assert [found.dialect.number_of(text) for text in ("Rs.500", "$.50", "kr.40")] == [500, 0.5, 40]


def test_a_group_of_three_digits_after_a_comma_is_of_thousands_unless_cells_end_at_semicolons() -> (
    None
):
    assert spelled(",", a="1,200|3,500").dialect.thousands == ","
    assert spelled(";", a="1,200|3,500").dialect.decimal == ","


def test_dates_that_fit_two_forms_follow_those_that_fit_one() -> None:
    found = spelled(a="01/02/2024|03/04/2024", b="24/12/2024|01/01/2024")
    assert (found.dialect.dates, found.types) == ("%d/%m/%Y", {"a": "date", "b": "date"})
    assert spelled(a="01/02/2024|03/04/2024").ambiguous_dates == ("a",)


def test_each_column_of_dates_has_a_form_and_one_with_two_forms_is_said_with_counts() -> None:
    found = spelled(
        a="01.02.2024|24.12.2024",
        b="2024-12-24 07:05|2024-01-02 09:00",
        c="2024-12-24|2024-01-02",
        d="2024-12-24|24.12.2024|25.12.2024",
    )
    assert found.types == {"a": "date", "b": "date", "c": "date", "d": "text"}
    forms = {"a": "%d.%m.%Y", "b": "%Y-%m-%d %H:%M", "c": "%Y-%m-%d"}
    assert found.dialect.dates == forms
    assert found.remarks["b"] == "with a time: the model is given the hour too"
    assert found.remarks["d"] == (
        "dates in more than one form: 6 rows like 24.12.2024, 3 rows like 2024-12-24; write all in one form"
    )


def test_a_word_that_may_be_a_category_is_missing_only_if_a_column_of_numbers_has_it() -> None:
    assert spelled(a="none|some|all").markers == {}
    assert spelled(a="none|some|all", b="1|2|none").markers == {"none": {"a": 3, "b": 3}}


def test_a_word_that_has_a_meaning_elsewhere_is_not_taken_for_missing() -> None:
    numbers = "|".join([*map(str, range(12)), "No"])
    assert spelled(kids=numbers, smokes="Yes|No").types == {"kids": "text", "smokes": "boolean"}
    assert spelled(kids=numbers, plan="No|A|B").markers == {}
    assert spelled(kids=numbers, plan="A|B").markers == {"No": {"kids": 3}}
