"""Adds files of new rows to the table of a project, and says before how they differ: `mlops data add`."""

import tempfile
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from mlops import params
from mlops.adopt import labelled, originals, placing
from mlops.adopt.dialogue import Choose, Dialogue
from mlops.adopt.layout import Header
from mlops.adopt.originals import EXCEL, JSON
from mlops.adopt.whole import refuse_lost_cells
from mlops.errors import DataError, Refused, UsageError, counted, listed
from mlops.params import PrepareParams
from mlops.prepare import raw, split_rules
from mlops.release.history.git import Git
from mlops.tables import cells, files, row_hashes
from mlops.tables.cells import Numbers, Texts
from mlops.tables.files import format_suffix

COMPARED = 20_000_000
"""The number of bytes of the table that are compared with the new rows; of a larger one, every second, third
and so on row is."""

BINS = 10
SMALLEST = 1e-4
DRIFT = 0.1
"""The population stability index from which a difference is said."""

FEWEST_ROWS = 30
"""The number of new rows under which nothing is said of their distribution."""

Values = Mapping[str, NDArray[np.float64] | Counter[str]]
"""By column, numbers with NaN for missing, of shape (rows,), or the number of rows of each text."""


@dataclass(frozen=True)
class Rows:
    """What is known of rows: their number, a hash of each one of shape (rows,), and some of their
    values, with a piece of each column of numbers or dates."""

    count: int
    hashes: NDArray[np.uint64]
    values: Values
    kinds: Mapping[str, Numbers]


@dataclass(frozen=True)
class Scores:
    """Where the labels of scored rows are: the `url` of the database of predictions, and the column that
    identified the rows when they were scored, or None if their number did."""

    url: str
    key: str | None = None


def add(git: Git, paths: Sequence[str], person: Dialogue, scores: Scores | None = None) -> None:
    """Adds files to data/raw with one commit, after what changes was shown and a question was answered. If
    `scores` are given, the files are those that were scored, and their rows with a label are added.

    Raises DataError if the rows do not fit params.yaml, and Refused if all of them are there already.
    """
    placing.refuse_unfit_state(git)
    prepare = params.load_configuration(git.root).params.prepare
    table = raw.table_paths(git.root / placing.RAW)
    with tempfile.TemporaryDirectory(dir=git.root / ".dvc", prefix="add-") as folder:
        added: dict[str, Path] = {}
        origins: list[str] = []
        for path in paths:
            if scores:
                found = labelled.labelled_rows(path, scores.url, scores.key, prepare)
                added[found.name] = Path(folder) / found.name
                parquet.write_table(found.rows, added[found.name])
                origins += found.remarks
                for remark in found.remarks:
                    person.say(remark)
            else:
                name = stored_name(Path(path), {*added, *(Path(each).name for each in table)})
                added[name] = readable(Path(path), Path(folder) / name, prepare, person.choose)
        earlier = [path for path in table if Path(path).name in added]
        new = read(prepare, [*map(str, added.values())])
        old = read(prepare, table)
        there = int(np.isin(new.hashes, old.hashes).sum())
        if there == new.count:
            raise Refused(
                f"the table holds {counted(new.count, 'such row')} already: nothing was added"
            )
        person.say(f"{counted(new.count, 'row')} for a table of {old.count:,}: {', '.join(paths)}")
        if there:
            person.say(f"in the table already: {there:,} of them")
        for path in earlier:
            count = parquet.read_metadata(path).num_rows
            person.say(
                f"they replace {counted(count, 'row')} of {Path(path).name}, which had a label before"
            )
        for line in differences(old, new):
            person.say(line)
        if not person.ask("Add them?", True):
            person.say("nothing was changed")
            return
        message = f"Add {counted(new.count, 'row')}: {', '.join(sorted(added))}"
        if scores:
            files_scored = ", ".join(Path(path).name for path in paths)
            message = "\n\n".join(
                [f"Add {counted(new.count, 'scored row')} with labels: {files_scored}", *origins]
            )
        commit = placing.add(git, added, message)
    person.say(f"committed as {commit}; `git revert {commit}` undoes it. Next: mlops repro")


def stored_name(path: Path, taken: Container[str]) -> str:
    """Returns a name for the rows of a file in data/raw that is not taken."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file")
    name = f"{path.stem}.parquet" if is_original(path) else path.name
    if not files.is_table_name(name):
        raise UsageError(f"{path}: rename it, so that its name ends in .csv or .parquet")
    number = 2
    while name in taken:
        name = f"{path.name.split('.')[0]}-{number}.{name.split('.', 1)[1]}"
        number += 1
    return name


def is_original(path: Path) -> bool:
    return format_suffix(path.name) in (*EXCEL, *JSON)


def readable(path: Path, converted: Path, prepare: PrepareParams, choose: Choose) -> Path:
    """Returns the file as the pipeline reads it: itself, or one that it is converted to. Raises DataError for
    a cell that is not of the type of its column, which would be lost."""
    if not is_original(path):
        return path
    if format_suffix(path.name) in EXCEL:
        original = originals.read_excel(path, None, choose, Header(column=prepare.target))
    else:
        original = originals.read_json(path)
    wanted = raw.wanted_columns(prepare)
    if lacking := [column for column in wanted.names if column not in original.table.columns]:
        raise DataError(f"{path} has no column {listed(lacking)}, which params.yaml declares")
    read_cells = cells.read_cells(original.table.columns, wanted)
    refuse_lost_cells(str(path), read_cells, prepare.columns.integer)
    found = read_cells.columns
    arrays = {
        column: found[column].to_arrow() if column in found else texts.cast(pa.string())
        for column, texts in original.table.columns.items()
    }
    parquet.write_table(pa.table(arrays), converted)
    return converted


def read(prepare: PrepareParams, paths: Sequence[str]) -> Rows:
    """Returns what is known of all rows of files. Raises DataError if some do not fit params.yaml."""
    step = 1 + sum(map(files.size_of_file, paths)) // COMPARED
    hashes: list[NDArray[np.uint64]] = []
    numbers: dict[str, list[NDArray[np.float64]]] = {}
    texts: dict[str, Counter[str]] = {}
    kinds: dict[str, Numbers] = {}
    for piece in raw.read_files(prepare, paths):
        columns = piece.columns
        hashes.append(row_hashes.row_hashes(columns[name].hashes() for name in sorted(columns)))
        some = np.zeros(len(hashes[-1]), bool)
        some[::step] = True
        for name, column in columns.items():
            if isinstance(column, Texts):
                texts.setdefault(name, Counter()).update(column.count_words(some))
            else:
                numbers.setdefault(name, []).append(column.values[some])
                kinds[name] = column
    joined = {name: np.concatenate(parts) for name, parts in numbers.items()}
    whole = np.concatenate(hashes)
    return Rows(len(whole), whole, {**joined, **texts}, kinds)


def differences(old: Rows, new: Rows) -> Iterator[str]:
    """Yields a sentence for each column whose new rows are unlike the old ones."""
    for name, before in old.values.items():
        after = new.values[name]
        if isinstance(before, Counter) and isinstance(after, Counter):
            words = [word for word in after if word not in before and word]
            if words:
                shown = ", ".join(f"{word!r} ({after[word]:,})" for word in words[:5])
                yield f"{name}: {len(words):,} new categories: {shown}{' ...' * (len(words) > 5)}"
            frequent = [word for word, _ in before.most_common(50)]
            shares = [
                np.array([c[word] for word in frequent] + [others(c, frequent)])
                for c in (before, after)
            ]
            said = (
                f"most often {after.most_common(1)[0][0]!r}, before {before.most_common(1)[0][0]!r}"
            )
        elif not isinstance(before, Counter) and not isinstance(after, Counter):
            known = before[~np.isnan(before)]
            quantiles = np.linspace(0, 1, BINS + 1)[1:-1]
            edges = np.unique(np.quantile(known, quantiles)) if len(known) else known
            shares = [binned(values, edges) for values in (before, after)]
            now, then = (median_text(values, old.kinds[name]) for values in (after, before))
            said = f"median {now}, before {then}"
        index, chance = stability(*shares)
        if new.count >= FEWEST_ROWS and index > max(DRIFT, chance):
            yield f"{name}: the new rows differ (population stability index {index:.2f}): {said}"


def median_text(values: NDArray[np.float64], kind: Numbers) -> str:
    known = values[~np.isnan(values)]
    if not len(known):
        return "none, as all are missing"
    return split_rules.time_text(float(np.quantile(known, 0.5, method="nearest")), kind)


def others(counts: Counter[str], known: Sequence[str]) -> int:
    return counts.total() - sum(counts[word] for word in known)


def binned(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the number of values in each interval, and of missing ones: shape (edges + 2,)."""
    missing = np.isnan(values)
    places = np.where(missing, len(edges) + 1, np.searchsorted(edges, values, side="right"))
    return np.bincount(places, minlength=len(edges) + 2)


def stability(old: NDArray[np.int64], new: NDArray[np.int64]) -> tuple[float, float]:
    """Returns the population stability index of two counts of shape (bins,), and three times what chance
    alone makes of it."""
    one, other = (np.maximum(each / max(each.sum(), 1), SMALLEST) for each in (old, new))
    index = float(((other - one) * np.log(other / one)).sum())
    filled = int(np.count_nonzero(old + new))
    return index, 3 * (filled - 1) * (1 / max(old.sum(), 1) + 1 / max(new.sum(), 1))
