"""Proposes what to ask of a table: task, split, subgroups, dev's share of the rows, and bounds."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from msgspec.structs import replace as with_fields
from numpy.typing import NDArray

from mlops.adopt import leaks
from mlops.adopt.columns import Column, Findings
from mlops.adopt.spelling import TRUE, Spelling, Words, alike
from mlops.adopt.table import Table
from mlops.errors import DataError, counted
from mlops.predict.cells import LARGEST
from mlops.predict.task import Task
from mlops.tables import cells
from mlops.tables.row_hashes import row_hashes

MOST_CLASSES = 100
MOST_NUMBERED_CLASSES = 10
"""The number of different whole numbers up to which they are taken for classes."""

FEWEST_TO_LEARN = 10
"""The number of rows that a class needs, so that two of them are test rows."""

TEST_SHARE = 0.2

FEWEST_ROWS_OF_A_CLASS = 50
"""The number of different rows of a class under which a split by row may leave a split without it."""

DEV_ROWS = 5_000
"""The number of rows that dev should see at least."""

MANY_ROWS = 2_000_000
"""The number of rows from which another architecture than the default one is proposed."""

IN_ORDER = 0.98
"""The share of rows that are not before the row above them in a table that is sorted by time."""

TREND = 0.3
SENSITIVE = re.compile(
    r"(^|[\W_])(sex|gender|race|ethnicity|religion|nationality|disability)", re.IGNORECASE
)
NAMED_YEAR = re.compile("year|date|time", re.IGNORECASE)
Z = 1.96


@dataclass(frozen=True)
class Target:
    """What is to be predicted. `answers`, of shape (rows,), are numbers, or positions in `classes`, NaN where
    the target is missing; `counts` are the rows of each class in the whole table, and `missing` those without
    a target."""

    name: str
    task: Task
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    answers: NDArray[np.float64]
    missing: int
    positive: str | None = None
    remark: str = ""
    doubt: Task | None = None


@dataclass(frozen=True)
class Split:
    by: str = "row"
    column: str | None = None
    why: str = "by the values of a row: new rows move no old ones"


@dataclass(frozen=True)
class Gate:
    """The bounds of all environments, the number of test rows of the rarest class that they need, and why."""

    bounds: dict[str, dict[str, float]]
    min_rows: int
    why: str


@dataclass(frozen=True)
class Proposal:
    """What adopt proposes. `architecture` is None where the default one is as good as any."""

    dataset: str
    target: Target
    findings: Findings
    split: Split
    subgroups: tuple[str, ...]
    fraction: float
    gate: Gate
    leaks: Sequence[leaks.Leak]
    remarks: Sequence[str] = field(default=())
    architecture: str | None = None

    @property
    def columns(self) -> Sequence[Column]:
        return self.findings.columns


def find_target(
    table: Table, spelling: Spelling, name: str, task: Task | None, words: Words | None = None
) -> Target:
    """Returns what is predicted. `words` are the texts of the target in all rows, if the table is a sample;
    its number of rows without a target is that of the sample. Raises DataError if the column can be no
    target."""
    dialect = spelling.dialect
    kind = spelling.types[name]
    texts = cells.text_cells(table.columns[name], dialect)
    every = table.words[name] if words is None else words
    known = {word: count for word, count in every.items() if not dialect.is_missing(word)}
    rows = sum(known.values())
    if len(known) < 2:
        said = "is empty in every row"
        if known:
            unknown = ", ".join([repr(word) for word in every if dialect.is_missing(word)][:5])
            but = f" but those with {unknown}, which means missing" if unknown else ""
            said = f"is {next(iter(known))!r} in every row{but}"
        raise DataError(
            f"the target {name!r} {said}, so nothing is to predict: name another --target"
        )
    numbers = cells.number_cells(table.columns[name], dialect)
    found: Task = "multiclass" if len(known) > 2 else "binary"
    doubt: Task | None = None
    if kind == "number" and len(known) > 2:
        values = numbers.values[~np.isnan(numbers.values)]
        if is_counter(values):
            raise DataError(
                f"the target {name!r} is a row counter, another number in each row: name another --target"
            )
        few = len(np.unique(values)) <= MOST_NUMBERED_CLASSES and len(values) >= 5 * len(known)
        is_whole = bool((values % 1 == 0).all())
        found = "multiclass" if is_whole and few else "regression"
        doubt = (
            ("regression" if found == "multiclass" else "multiclass") if is_whole and few else None
        )
    chosen: Task = task or found
    if chosen == "regression":
        if kind != "number":
            raise DataError(
                f"the target {name!r} holds text such as {next(iter(known))!r}, which is no number: leave "
                "out --task regression"
            )
        if np.nanmax(abs(numbers.values)) > LARGEST:
            raise DataError(
                f"the target {name!r} holds numbers over {LARGEST:.2g}, the largest that a model takes: "
                "write them in another unit"
            )
        return Target(name, chosen, (), (), numbers.values, int(np.isnan(numbers.values).sum()))
    if (chosen == "binary") != (len(known) == 2):
        raise DataError(
            f"the target {name!r} has {len(known)} different values, which is no {chosen} task: leave "
            "out --task"
        )
    if len(known) > MOST_CLASSES or len(known) > 0.5 * rows:
        reason = spelling.remarks.get(name)
        cure = f"it holds {reason}: correct that, or " if reason else ""
        raise DataError(
            f"the target {name!r} has {len(known):,} different texts in {rows:,} rows, too many to learn: "
            f"{cure}name another --target"
        )
    classes = tuple(sorted(known))
    position = {word: float(place) for place, word in enumerate(classes)}
    answers = np.array([position.get(word, np.nan) for word in texts.words])[texts.numbers]
    positive = positive_class(known) if chosen == "binary" else None
    counts = tuple(known[word] for word in classes)
    missing = int(np.isnan(answers).sum())
    return Target(
        name,
        chosen,
        classes,
        counts,
        answers,
        missing,
        positive,
        class_remark(known, positive),
        doubt,
    )


def without_rare_classes(spelling: Spelling, table: Table, target: Target) -> Spelling:
    """Returns the spelling in which classes of too few rows count as missing, so that their rows are dropped.
    Raises DataError if another column has such a word, or if fewer than two classes are left."""
    counts = zip(target.classes, target.counts, strict=True)
    rare = {word: count for word, count in counts if count < FEWEST_TO_LEARN}
    if not rare:
        return spelling
    shown = ", ".join(f"{word!r} ({count})" for word, count in [*rare.items()][:5])
    said = (
        f"classes of {target.name!r} with fewer than {FEWEST_TO_LEARN} rows: {len(rare)}, {shown}"
    )
    others = {word for name in table.columns if name != target.name for word in table.words[name]}
    if len(rare) > len(target.classes) - 2 or others & rare.keys():
        raise DataError(f"{said}: correct or remove these rows, or name another --target")
    markers = {word: {target.name: count} for word, count in rare.items()}
    missing = (*spelling.dialect.missing, *sorted(rare))
    return replace(
        spelling,
        dialect=with_fields(spelling.dialect, missing=missing),
        markers=spelling.markers | markers,
    )


def is_counter(values: NDArray[np.float64]) -> bool:
    steps = np.diff(values)
    return len(values) > 20 and bool((steps == 1).all() or (steps == -1).all())


def positive_class(counts: dict[str, int]) -> str:
    """Returns the class that is written like "yes", or else the rarer one."""
    affirmed = [word for word in counts if word.lower() in TRUE | {"1"}]
    if len(affirmed) == 1:
        return affirmed[0]
    return min(counts, key=lambda word: (counts[word], word))


def class_remark(counts: dict[str, int], positive: str | None) -> str:
    if positive:
        return f"{counts[positive]:,} of {sum(counts.values()):,} rows"
    rare = min(counts, key=lambda word: counts[word])
    return f"{len(counts)} classes; the rarest, {rare}, has {counted(counts[rare], 'row')}"


def propose(dataset: str, target: Target, found: Findings, rows: int) -> Proposal:
    """Returns a proposal for a table with this number of rows, of which the findings may be a sample."""
    split = propose_split(target, found)
    found = without_split_column(found, split, target)
    leaking = leaks.find_leaks(found, target.answers, target.task == "regression")
    labelled = rows - target.missing
    rarest = min(target.counts, default=labelled)
    fraction = 0.3 if 0.3 * labelled >= DEV_ROWS and 0.3 * rarest >= FEWEST_ROWS_OF_A_CLASS else 1.0
    kept = [c.name for c in found.kept if c.kind in ("category", "boolean")]
    return Proposal(
        dataset,
        target,
        found,
        split,
        tuple(name for name in kept if SENSITIVE.search(name))[:3],
        fraction,
        propose_gate(target, fraction * labelled, fraction * rarest),
        leaking,
        (*found.remarks, *class_remarks(target)),
        propose_architecture(rows),
    )


def propose_architecture(rows: int) -> str | None:
    """Returns LightGBM for a table of many rows, which it fits in half of the time, if it can be imported:
    it needs a library of the system that other architectures do not need."""
    if rows < MANY_ROWS:
        return None
    try:
        import lightgbm  # noqa: F401
    except (ImportError, OSError):
        return None
    return "lightgbm"


def class_remarks(target: Target) -> Iterator[str]:
    counts = zip(target.classes, target.counts, strict=True)
    if same := alike(target.classes, lambda name: " ".join(name.casefold().split())):
        shown = "; ".join(", ".join(map(repr, names)) for names in same[:3])
        yield f"classes that may be the same: {shown}: write them in one way in the file"
    rare = [f"{name!r} ({count})" for name, count in counts if count < 30]
    if rare:
        shown = f"{', '.join(rare[:5])}{' ...' * (len(rare) > 5)}"
        few = counted(len(rare), "class has", "classes have")
        yield f"{few} fewer than 30 rows, too few to judge a model on: {shown}"


def propose_split(target: Target, found: Findings) -> Split:
    """Returns a split by person or by time where the rows of a table are not independent."""
    if found.groups:
        name = found.groups[0]
        values = found.values(name)
        codes = getattr(values, "numbers", values.values)
        count = len(np.unique(codes))
        return Split(
            "group",
            name,
            f"{found.table.rows:,} rows are about {count:,} values of {name}: each is in one split only, so "
            "that the test tells how the model does on new ones",
        )
    for column in found.columns:
        if why := time_order(column, target, found):
            return Split("time", column.name, why)
    if target.counts and min(target.counts) < FEWEST_ROWS_OF_A_CLASS:
        return Split("class", None, "each class is split by itself, since one is rare")
    if target.classes and repeats_few_rows(target, found):
        why = "each class is split by itself, since one has few different rows"
        return Split("class", None, why)
    return Split()


UNSEEN = {
    "group": "rows are split by it, and new ones have values that no model has seen",
    "time": "rows are split by it, and new ones have later values than any that a model has seen",
}
"""Why the column of a split is no input."""


def without_split_column(found: Findings, split: Split, target: Target) -> Findings:
    """Returns the findings in which the column of the split is ignored, and so are names and identifiers each
    of which is of one group. They are kept if nothing else is left, and so is a time with which the target
    changes: a model without it would answer for all times what was right on average."""
    columns = []
    for column in found.columns:
        said = unseen(column, split, found) if column.kind != "ignored" else ""
        if said and split.by == "time" and has_trend(column, target, found):
            said = f"{said}; the model is given it all the same, since the target changes with it"
            columns.append(replace(column, remark="; ".join(filter(None, (column.remark, said)))))
        elif said:
            columns.append(column.left_out(f"{said}; under `{column.kind}` the model is given it"))
        else:
            columns.append(column)
    left = replace(found, columns=columns)
    return left if left.kept else found


def unseen(column: Column, split: Split, found: Findings) -> str:
    """Returns why rows to predict have no value of a column that training rows have, "" if they may have."""
    if column.name == split.column:
        return UNSEEN[split.by]
    if split.by == "group" and split.column and names_groups(column, split.column, found):
        return f"each of its values is of one {split.column}, by which rows are split"
    return ""


def names_groups(column: Column, group: str, found: Findings) -> bool:
    """Returns whether a column holds names or identifiers, and rows that have the same one are of the same
    group, so that no value of the test rows is one of the training rows."""
    if column.kind != "category" and column.name not in found.groups:
        return False
    values = found.values(column.name)
    own, groups = (each.hashes()[~values.unknown] for each in (values, found.values(group)))
    return len(np.unique(row_hashes([own, groups]))) == len(np.unique(own))


def repeats_few_rows(target: Target, found: Findings) -> bool:
    """Returns whether a class has few different rows, each of them several times. Equal rows are in one
    split, so that a split by row may leave a split without the class."""
    hashes = row_hashes(found.values(column.name).hashes() for column in found.kept)
    for place in range(len(target.classes)):
        of_class = hashes[target.answers == place]
        different = len(np.unique(of_class))
        if different < min(FEWEST_ROWS_OF_A_CLASS, len(of_class) / 2):
            return True
    return False


def time_order(column: Column, target: Target, found: Findings) -> str:
    """Returns why the test should be the newest rows of a column, "" if it should not."""
    values = times_of(column, found)
    if values is None or np.isnan(values).any() or len(np.unique(values)) < 8:
        return ""
    steps = np.diff(values)
    if max((steps >= 0).mean(), (steps <= 0).mean()) >= IN_ORDER:
        return f"the rows are in the order of {column.name}: the test is on the newest, as in use"
    if not has_trend(column, target, found):
        return ""
    return f"the target changes with {column.name}: the test is on the newest rows, as in use"


def has_trend(column: Column, target: Target, found: Findings) -> bool:
    """Returns whether a target that is a number or one of two classes changes with a column of times, which
    has a value in every row."""
    if target.task == "multiclass":
        return False
    times, known = found.cells.numbers[column.name].values, ~np.isnan(target.answers)
    return bool(abs(np.corrcoef(times[known], target.answers[known])[0, 1]) >= TREND)


def times_of(column: Column, found: Findings) -> NDArray[np.float64] | None:
    """Returns numbers in the order of time, of shape (rows,), for a column of dates, or of numbers with the
    name of a time; None for any other."""
    is_number = column.kind in ("integer", "number")
    if column.kind == "date" or (is_number and NAMED_YEAR.search(column.name)):
        values: NDArray[np.float64] = found.cells.numbers[column.name].values
        return values
    return None


def propose_gate(target: Target, labelled: float, rarest: float) -> Gate:
    """Returns bounds that refuse a model that is worse than a guess, as far as the test rows can tell. The
    numbers of rows are those with a target, and those of its rarest class, that dev sees."""
    test_rows = max(1.0, TEST_SHARE * labelled)
    least = max(2, int(TEST_SHARE * rarest / 2))
    rows = f"as far as some {test_rows:,.0f} test rows can tell"
    if target.task == "regression":
        known = target.answers[~np.isnan(target.answers)]
        half = Z * float(abs(known - known.mean()).std()) / math.sqrt(test_rows)
        bounds = {"mae": {"below_baseline": -rounded_up(half)}}
        return Gate(bounds, least, f"no worse than always the mean, {rows}")
    share = max(target.counts) / sum(target.counts)
    half = Z * math.sqrt(max(share * (1 - share), 0.25 / test_rows) / test_rows)
    bounds = {"accuracy": {"above_baseline": -rounded_up(half)}}
    usual = target.classes[int(np.argmax(target.counts))]
    if target.task == "binary":
        ones = max(1.0, test_rows * (1 - share))
        error = math.sqrt((test_rows + 1) / 12 / ones / max(1.0, test_rows - ones))
        bounds["roc_auc"] = {"min": max(0.0, math.floor((0.5 - Z * error) * 100) / 100)}
    return Gate(bounds, least, f"no worse than always {usual!r} ({share:.1%} of the rows), {rows}")


def rounded_up(value: float) -> float:
    """Returns the number with two digits, not under the value."""
    if value <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step) * step:.6g}")
