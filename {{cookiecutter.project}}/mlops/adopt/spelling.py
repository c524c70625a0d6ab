"""Finds how numbers, dates, booleans and missing cells of a table are written.

A table has one way for each, and each column of dates one form: what is written in another way is not read as
its type.
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import isfinite, isnan

from msgspec.structs import replace as with_fields

from mlops.errors import counted
from mlops.predict.cells import IS_NUMBER
from mlops.predict.dates import days_of_text, has_time, is_date_form
from mlops.predict.dialect import PARENTHESES, Dialect

MARKERS = frozenset(
    (
        *("?", "na", "n/a", "n.a.", "nan", "-nan", "null", "(null)", "<na>", "nat", "#n/a", "#na"),
        *(
            "#null!",
            "#div/0!",
            "#value!",
            "#ref!",
            "#num!",
            "#name?",
            r"\n",
            "(blank)",
            "#n/a n/a",
            "k.a.",
        ),
    )
)
"""What means "missing" in any column, in lower case."""

SIGNS = frozenset(("-", "--", "---", ".", "..", "...", "*", "–", "—", "_"))  # noqa: RUF001
PERHAPS = SIGNS | {
    *("none", "nil", "missing", "unknown", "undefined", "unspecified", "not available", "refused"),
    *("not applicable", "not known", "not reported", "no data", "unk", "tbd"),
}
"""What means "missing" in a column of numbers or dates, and may be a category elsewhere."""

CURRENCIES = frozenset(
    (
        "$",
        "€",
        "£",
        "¥",
        "₹",
        "₽",
        "₩",
        "USD",
        "EUR",
        "GBP",
        "CHF",
        "JPY",
        "R$",
        "US$",
        "Rs",
        "Rs.",
        "kr",
        "kr.",
    )
)
QUOTES = frozenset(("'", '"', "`"))
UNITS = frozenset(
    (
        *(
            "%",
            "°",
            "°C",
            "°F",
            "‰",
            "kg",
            "g",
            "mg",
            "lb",
            "lbs",
            "oz",
            "t",
            "km",
            "m",
            "cm",
            "mm",
            "mi",
        ),
        *(
            "ft",
            "in",
            "l",
            "L",
            "ml",
            "h",
            "hr",
            "hrs",
            "min",
            "s",
            "sec",
            "ms",
            "y",
            "yr",
            "yrs",
            "cc",
        ),
        *(
            "mph",
            "km/h",
            "hp",
            "kW",
            "kWh",
            "W",
            "V",
            "A",
            "GB",
            "MB",
            "KB",
            "TB",
            "px",
            "m2",
            "m²",
            "sqft",
        ),
    )
)
AFFIXED = re.compile(
    r"(?P<sign>[+-]?)(?P<before>(?:[^\d.,+-]*[^\W\d_]\.\s*)?[^\d.,+-]*)"
    r"[+-]?[.,]?\d(?:[\d.,' \u00a0\u202f]*\d)?[.,]?(?:[eE][+-]?\d+)?(?P<after>\D*)"
)

NUMBERS = (
    *((".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "\u00a0")),
    *((",", "\u00a0"), (".", "\u202f"), (",", "\u202f"), (".", "'"), (",", "'"), (".", "’")),  # noqa: RUF001
)
"""Decimal mark and mark of thousands, the more usual ones first."""

DATES = (
    *("%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y"),
    *("%Y.%m.%d", "%Y%m%d", "%d %m %Y", "%m.%d.%Y"),
    *(
        "%d-%b-%Y",
        "%d %b %Y",
        "%b %d, %Y",
        "%b %d %Y",
        "%d/%b/%Y",
        "%d.%b.%Y",
        "%d. %b %Y",
        "%Y-%b-%d",
    ),
    *("%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y"),
    *("%d-%b-%y", "%d %b %y", "%d/%b/%y", "%b %d, %y"),
)
DAY_OF_DATE = re.compile(
    r"\d{1,2}\.?[-/. ][A-Za-z]{3,9}\.?[-/. ]\d+|[A-Za-z]{3,9}\.? \d{1,2},? \d+|\d{4}-[A-Za-z]{3,9}-\d{1,2}"
    r"|\d+ \d+ \d+(?!:)|[\d./-]+"
)
"""The part of a date that names the day; a time may follow."""

LIKE_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?")
OTHER_TIMES = re.compile(
    r"(?:\d{1,2}[-/ .])?[A-Za-z]{3,9}\.?[-/ ]\d{2,4}(, \d{4})?|\d{1,2}[-/ ][A-Za-z]{3,9}[-/ ]\d{2,4}.*"
    r"|[A-Za-z]{3,9} \d{1,2}, ?\d{4}.*|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?"
)
"""Days and months by name, in any language or without a year, and times of day."""

SENTENCE = re.compile(r"\s")

TRUE = frozenset(("true", "yes", "y", "t", "ja", "oui", "si", "sí", "sim", "wahr", "vrai", "on"))
FALSE = frozenset(("false", "no", "n", "f", "nein", "non", "não", "falsch", "faux", "off"))

CLOCKS = (
    *("%H:%M:%S", "%H:%M", "%H:%M:%S%z", "%H:%M%z", "%I:%M:%S %p", "%I:%M %p", "%H:%M:%S %z"),
    *("%H:%M:%S UTC", "%H:%M UTC", "%H:%M:%S GMT"),
)
"""The forms of a time of day after a date."""

TESTED = 20_000
"""The number of different texts of a column that are tested; the reader of the pipeline tests all of them."""

FEWEST = 0.5
"""The share of cells that are numbers or dates in a column whose other cells mean "missing"."""

Words = Mapping[str, int]
"""The different texts of a column, without "", and the number of rows that have each."""


@dataclass(frozen=True)
class Spelling:
    """How a table is written. `types` are the types of its columns, as far as the texts of their cells tell:
    number, boolean, date or text. `markers` has, for each text that means "missing", the number of cells by
    column, and `remarks` says of columns what is unusual, by name."""

    dialect: Dialect
    types: dict[str, str]
    markers: dict[str, dict[str, int]] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    ambiguous_dates: tuple[str, ...] = ()


def is_marker(word: str) -> bool:
    return word.lower() in MARKERS


def looks_typed(cell: str) -> bool:
    """Returns whether a cell is a number or a date, in whatever way it is written."""
    if IS_NUMBER.fullmatch(cell) or LIKE_DATE.fullmatch(cell):
        return True
    if not (found := AFFIXED.fullmatch(unwrapped(cell))):
        return False
    before, after = found["before"].strip(), found["after"].strip()
    return before in CURRENCIES | {""} and after in CURRENCIES | UNITS | {""}


def find_spelling(columns: Mapping[str, Words], layout: Dialect) -> Spelling:
    """Returns how the columns are written. `layout` is a dialect of which encoding, delimiter and header are
    known."""
    known = {name: without_markers(words) for name, words in columns.items()}
    taken = {word for words in known.values() if typed_words(words)[1] < FEWEST for word in words}
    dates = find_dates(known, taken)
    booleans = {name for name, words in known.items() if is_boolean(words)}
    said = {word.lower() for name in booleans for word in known[name]}
    booleans |= {
        name for name, words in known.items() if words and {w.lower() for w in words} <= said
    }
    codes = {name: code for name, words in known.items() if (code := zero_code(words))}
    others = {
        name: words
        for name, words in known.items()
        if name not in booleans and name not in dates.columns and name not in codes
    }
    numbers = find_numbers(others, layout.delimiter == ";", taken)
    types = dict.fromkeys(columns, "text")
    types |= dict.fromkeys(booleans, "boolean")
    types |= dict.fromkeys(dates.columns, "date") | dict.fromkeys(numbers.columns, "number")
    markers: dict[str, dict[str, int]] = {}
    confirmed = {*dates.markers, *numbers.markers}
    for name, words in columns.items():
        for word, count in words.items():
            if is_marker(word) or word in confirmed:
                markers.setdefault(word, {})[name] = count
    dialect = with_fields(
        layout,
        decimal=numbers.decimal,
        thousands=numbers.thousands,
        units=tuple(sorted({unit for units in numbers.columns.values() for unit in units})),
        missing=("", *sorted(markers)),
        true_words=tuple(sorted({"true"} | said & TRUE)),
        false_words=tuple(sorted({"false"} | said & FALSE)),
        dates=dates.form,
    )
    remarks = {
        name: f"codes such as {code}, whose zeros a number would lose"
        for name, code in codes.items()
    }
    remarks |= {**numbers.remarks, **dates.remarks}
    return Spelling(dialect, types, markers, remarks, dates.ambiguous)


def without_markers(words: Words) -> dict[str, int]:
    return {word: count for word, count in words.items() if not is_marker(word)}


def zero_code(words: Words) -> str | None:
    """Returns a text that is a code and no number, because it begins with a zero, such as 007."""
    return next((word for word in words if re.fullmatch(r"0\d+", word)), None)


def is_boolean(words: Words) -> bool:
    lower = {word.lower() for word in islice(words, 20)}
    return len(words) < 20 and lower <= TRUE | FALSE and bool(lower & TRUE) and bool(lower & FALSE)


@dataclass(frozen=True)
class Dates:
    """How dates are written. `form` is the form of all columns, or that of each one."""

    form: str | dict[str, str] = "%Y-%m-%d"
    columns: tuple[str, ...] = ()
    markers: frozenset[str] = frozenset()
    ambiguous: tuple[str, ...] = ()
    remarks: dict[str, str] = field(default_factory=dict)


def find_dates(columns: Mapping[str, Words], taken: Container[str]) -> Dates:
    """Returns the columns of dates, and the form of each; where several ones fit, it is the one that fits
    most columns. The texts that are `taken` have a meaning in other columns."""
    fitting: dict[str, list[str]] = {}
    markers: dict[str, set[str]] = {}
    remarks = {}
    for name, words in columns.items():
        typed, rest = parted(words, taken)
        if not typed:
            continue
        if forms := fitting_forms(typed):
            fitting[name], markers[name] = forms, rest
            if has_time(forms[0]):
                remarks[name] = "with a time: the model is given the hour too"
        elif are_mostly(LIKE_DATE, typed):
            remarks[name] = forms_remark(words, typed)
        elif are_mostly(OTHER_TIMES, typed) and len(typed) > 2:
            remarks[name] = (
                f"dates or times such as {typed[0]}: they lack a year, a month (by number, or by its name "
                "in English) or a day"
            )
    counts = Counter(form for forms in fitting.values() for form in forms)
    chosen = {
        name: max(forms, key=lambda form: (counts[form], -position_of(form)))
        for name, forms in fitting.items()
    }
    if not chosen:
        return Dates(remarks=remarks)
    told = {forms[0] for forms in fitting.values() if len(forms) == 1}
    ambiguous = tuple(name for name, form in chosen.items() if form not in told)
    found = frozenset(word for rest in markers.values() for word in rest)
    different = {*chosen.values()}
    form = chosen if len(different) > 1 else different.pop()
    return Dates(form, tuple(chosen), found, ambiguous, remarks)


def are_mostly(pattern: re.Pattern[str], words: Sequence[str]) -> bool:
    return sum(bool(pattern.fullmatch(word)) for word in words) >= FEWEST * len(words)


def forms_remark(words: Words, typed: Sequence[str]) -> str:
    """Returns in which forms the dates of one column are written, with the number of rows of each."""
    rows: Counter[str] = Counter()
    first: dict[str, str] = {}
    for word in typed:
        shape = re.sub(r"\d+", lambda digits: "Y" if len(digits[0]) == 4 else "D", word)
        rows[shape] += words[word]
        first.setdefault(shape, word)
    if len(rows) == 1:
        return f"dates in a form that cannot be declared, such as {typed[0]}"
    shown = ", ".join(
        f"{counted(count, 'row')} like {first[shape]}" for shape, count in rows.most_common(4)
    )
    return f"dates in more than one form: {shown}; write all in one form"


def position_of(form: str) -> int:
    return next(n for n, date in enumerate(DATES) if form.startswith(date))


def fitting_forms(words: Sequence[str]) -> list[str]:
    """Returns the forms that all texts are dates of."""
    return [form for form in date_forms(words[0]) if all_dates(words, form)]


def date_forms(word: str) -> list[str]:
    """Returns the forms that a text may be a date of; those with a time that never changes come first."""
    if not (found := DAY_OF_DATE.match(word)):
        return []
    day, time = found[0], word[found.end() :]
    if time and not time.startswith(("T", " ")):
        return []
    forms = [form for form in DATES if all_dates([day], form)]
    clocks = [f"{time[0]}{clock}" for clock in CLOCKS] if time else []
    every = [f"{form}{time}" for time in (time, *clocks) for form in forms]
    return [form for form in every if all_dates([word], form)]


def all_dates(words: Iterable[str], form: str) -> bool:
    if not is_date_form(form):
        return False
    days = (days_of_text(word, form) for word in words)
    if form.startswith("%Y%m%d"):  # eight digits are more often a number
        return all(-40_000 < day < 50_000 for day in days)
    return not any(isnan(day) for day in days)


def typed_words(words: Words) -> tuple[list[str], float]:
    """Returns the texts with a digit, which may be numbers or dates, and the share of cells with one."""
    typed = [word for word in words if any(map(str.isdigit, word))]
    return typed, sum(words[word] for word in typed) / max(sum(words.values()), 1)


def parted(words: Words, taken: Container[str]) -> tuple[list[str], set[str]]:
    """Returns the most frequent texts with a digit, and the other texts, which may mean "missing"; none
    if most cells hold something else, or if another text than the usual ones for "missing" is `taken`."""
    typed, share = typed_words(words)
    others = {*words} - {*typed}
    fits = all(word.lower() in PERHAPS for word in others)
    fits |= len(others) == 1 and len(typed) >= 10 and not any(word in taken for word in others)
    fits &= share >= FEWEST
    return (typed[:TESTED], others) if fits or not others else ([], set())


@dataclass(frozen=True)
class Numbers:
    """How numbers are written; `columns` are those of numbers, with the signs beside their numbers."""

    decimal: str = "."
    thousands: str = ""
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    markers: frozenset[str] = frozenset()
    remarks: dict[str, str] = field(default_factory=dict)


def find_numbers(
    columns: Mapping[str, Words], prefers_comma: bool, taken: Container[str]
) -> Numbers:
    """Returns how numbers are written in most columns of numbers, and these columns. The texts that are
    `taken` have a meaning in other columns."""
    candidates = {name: parted(words, taken) for name, words in columns.items()}
    typed = {name: words for name, (words, _) in candidates.items() if words}
    plain = {name for name, words in typed.items() if all(map(IS_NUMBER.fullmatch, words))}
    units = {name: unit for name, words in typed.items() if (unit := units_of(words)) is not None}
    choices = sorted(
        NUMBERS, key=lambda marks: marks[0] == "." and prefers_comma and marks[1] == ","
    )
    best = Numbers()
    for decimal, thousands in choices:
        fits = {}
        for name, unit in units.items():
            dialect = Dialect(decimal=decimal, thousands=thousands, units=unit)
            is_plain = name in plain and (decimal == "." or not any("." in w for w in typed[name]))
            if is_plain or all(isfinite(dialect.number_of(word)) for word in typed[name]):
                fits[name] = unit
        if len(fits) > len(best.columns):
            best = Numbers(decimal, thousands, fits)
    markers = frozenset(word for name in best.columns for word in candidates[name][1])
    remarks = {name: number_remark(typed[name], unit, best) for name, unit in best.columns.items()}
    for name in units.keys() - best.columns.keys():
        remarks[name] = f"numbers such as {typed[name][0]}, which are not written like others"
    for name in typed.keys() - units.keys():
        others = [word for word in typed[name] if not looks_typed(word)]
        if 0 < len(others) < FEWEST * len(typed[name]):
            remarks[name] = f"mostly numbers, beside texts such as {others[0]}"
        if not others:
            remarks[name] = (
                f"numbers with different signs, such as {typed[name][0]} and {typed[name][-1]}"
            )
    return replace(
        best, markers=markers, remarks={name: text for name, text in remarks.items() if text}
    )


def number_remark(words: Sequence[str], units: Sequence[str], numbers: Numbers) -> str:
    if PARENTHESES in units:
        negative = next(word for word in words if word != unwrapped(word))
        return f"read as numbers: {negative} is negative"
    if units:
        return f"read as numbers: {next(word for word in words if units[0] in word)} without {units[0]}"
    if numbers.thousands and (found := next((w for w in words if numbers.thousands in w), None)):
        return f"read as numbers: {found} without {numbers.thousands!r}"
    return ""


def unwrapped(word: str) -> str:
    """Returns what stands in the parentheses around a text, or the text if there are none."""
    return word[1:-1] if word.startswith("(") and word.endswith(")") else word


def units_of(words: Sequence[str]) -> tuple[str, ...] | None:
    """Returns the sign that stands beside the numbers, and parentheses if they stand around some of them.
    Returns None if texts are not numbers or have different signs."""
    units = set[str]()
    inner = [*map(unwrapped, words)]
    wrapped = sum(word != text for word, text in zip(words, inner, strict=True))
    if wrapped == len(words):
        return None
    for word in inner:
        if IS_NUMBER.fullmatch(word):
            continue
        found = AFFIXED.fullmatch(word)
        if not found:
            return None
        before, after = found["before"].strip(), found["after"].strip()
        if before not in CURRENCIES | QUOTES | {""}:
            return None
        is_known = after in CURRENCIES | QUOTES | UNITS or not after
        if not is_known and not (SENTENCE.match(found["after"]) and after.isalpha()):
            return None
        units |= {before, after} - {""}
        if len(units) > 1:
            return None
    return (*units, *([PARENTHESES] if wrapped else []))


def texts_of(words: Iterable[str], counts: Iterable[int]) -> dict[str, int]:
    """Returns the texts that are not empty, with their counts, the most frequent ones first."""
    known = [(word, count) for word, count in zip(words, counts, strict=True) if word and count]
    return dict(sorted(known, key=lambda item: -item[1]))


def alike(words: Iterable[str], key: Callable[[str], str]) -> list[list[str]]:
    """Returns the texts that have their key in common with another one, together with that."""
    same: dict[str, list[str]] = {}
    for word in words:
        same.setdefault(key(word), []).append(word)
    return [each for each in same.values() if len(each) > 1]
