"""Measures the false alarms and the power of `mlops monitor`, beside the usual rule.

    make install && .venv/bin/python benchmarks/monitor.py

writes benchmarks/monitor.md. The usual rule alarms if the PSI of a column is over 0.25 in the whole window,
and its chi-square p-value, corrected by Benjamini and Hochberg, is under 0.01. Rows are simulated as counts
in the bins of the profile, which is all that the monitor reads.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from msgspec import structs
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, false_discovery_control, norm

import page

TEMPLATE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TEMPLATE / "{{cookiecutter.project}}"))

from mlops.batch.monitoring import drift, shares  # noqa: E402
from mlops.batch.monitoring.window import Window  # noqa: E402
from mlops.contract import profile  # noqa: E402
from mlops.contract.profile import CategoryBins, NumberBins, ProbabilityBins, Reference  # noqa: E402
from mlops.tables.row_hashes import RowSample  # noqa: E402

ROWS, COLUMNS = (5, 20, 50, 200, 1000, 10_000), (5, 20, 50)
QUIET, POWER = 200, 100
"""The number of windows for each number of rows and columns, and for each shift."""

TRAINING, DAYS, MAX_PSI = 5000, 7, 0.25
TARGET = "answer"

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """Where rows come from: the profile of the training, and by column the probability of each bin, of shape
    (bins,). `shifted` are the probabilities of the first column if its mean moves by a number of standard
    deviations."""

    reference: Reference
    probabilities: dict[str, Shares]
    shifted: Callable[[float], Shares]


def source(random: np.random.Generator, columns: int) -> Source:
    """Returns a source whose columns are in turn numbers, numbers that are often 0, and categories of which
    some are rare; one in two has missing values."""
    bins: dict[str, NumberBins | CategoryBins] = {}
    probabilities = {}
    for column in range(columns):
        missing = random.uniform(0, 0.1) * (column % 2)
        if column % 3 == 2:
            filled, probability = categories(random, missing)
        else:
            filled, probability = numbers(random, missing, floor=0.5 * (column % 3))
        bins[f"c{column}"], probabilities[f"c{column}"] = filled, probability
    answers = random.dirichlet(np.full(profile.BINS, 2))
    probabilities[TARGET] = answers
    tenths = tuple(random.multinomial(TRAINING // 4, answers).tolist())
    first = bins["c0"]
    assert isinstance(first, NumberBins)
    return Source(
        Reference(bins, ProbabilityBins(tenths)),
        probabilities,
        lambda shift: number_probabilities(first, 0, shift, floor=0),
    )


def numbers(random: np.random.Generator, missing: float, floor: float) -> tuple[NumberBins, Shares]:
    values = np.maximum(random.normal(size=TRAINING) - floor, 0 if floor else -np.inf)
    values[random.random(TRAINING) < missing] = np.nan
    bins = profile.deciles(values)
    return structs.replace(bins, rows=tuple(bins.count(values).tolist())), number_probabilities(
        bins, missing, 0, floor
    )


def number_probabilities(bins: NumberBins, missing: float, shift: float, floor: float) -> Shares:
    up_to = norm.cdf(np.array(bins.edges) + floor - shift)
    return np.array([*np.diff([0, *up_to, 1]) * (1 - missing), missing])


def categories(random: np.random.Generator, missing: float) -> tuple[CategoryBins, Shares]:
    number = int(random.integers(2, 30))
    known = 1 / np.arange(1, number + 1)
    probability = np.array([*known / known.sum() * (1 - missing - 0.001), 0.001, missing])
    bins = CategoryBins(tuple(f"k{each}" for each in range(number)))
    rows = random.multinomial(TRAINING, probability)
    return structs.replace(bins, rows=tuple(rows.tolist())), probability


def window_of(
    random: np.random.Generator,
    probabilities: dict[str, Shares],
    batches: list[int],
    copies: int = 1,
) -> Window:
    """Returns a window with a batch each day. Each row occurs `copies` times."""
    names = [f"b{batch}" for batch in range(len(batches))]
    counts = {
        column: np.array([random.multinomial(rows, probability) for rows in batches]) * copies
        for column, probability in probabilities.items()
    }
    samples, start = [], 0
    for rows in batches:
        hashes = np.arange(start, start + min(rows, 1000))
        samples.append(RowSample(hashes, np.full(len(hashes), copies)))
        start += rows
    rows = np.array(batches) * copies
    days = [date(2026, 1, 1) + timedelta(days=batch) for batch in range(len(batches))]
    by_day = dict(zip(days, rows.tolist(), strict=True))
    return Window(names, days, rows, samples, counts, by_day, int(rows.sum()))


def alarms_now(reference: Reference, window: Window) -> bool:
    parts = window.parts()
    drifts = drift.drifts_of(reference, TARGET, window.totals(), parts[0].independent)
    surpluses = shares.surpluses_of(reference, window, parts)
    return any(each.verdict(MAX_PSI) == "drift" for each in drifts) or any(
        each.psi > MAX_PSI for each in surpluses
    )


def usual_alarms(reference: Reference, window: Window) -> bool:
    training = {name: bins.rows for name, bins in reference.columns.items()}
    training[TARGET] = reference.answers.rows
    p_values, sizes = [], []
    for column, scored in window.totals().items():
        table = np.array([training[column], scored])
        sizes.append(drift.psi(*(drift.shares_of(rows) for rows in table)))
        table = table[:, table.sum(axis=0) > 0]
        p_values.append(chi2_contingency(table, correction=False).pvalue)
    corrected = false_discovery_control(p_values)
    return bool(((np.array(sizes) > MAX_PSI) & (corrected < 0.01)).any())


def days_of(rows: int) -> list[int]:
    """Returns how many of the rows are scored on each day; days without rows are left out."""
    return [len(part) for part in np.array_split(np.arange(rows), DAYS) if len(part)]


@dataclass(frozen=True)
class Alarms:
    """In how many windows of `windows` each rule has alarmed."""

    windows: int
    now: int
    usual: int

    @classmethod
    def among(cls, cases: Iterator[tuple[Reference, Window]]) -> "Alarms":
        found = [(alarms_now(*case), usual_alarms(*case)) for case in cases]
        return cls(len(found), sum(now for now, _ in found), sum(usual for _, usual in found))

    def cells(self) -> list[str]:
        return [f"{100 * each / self.windows:.1f} %" for each in (self.now, self.usual)]


def quiet(rows: int, columns: int, copies: int = 1) -> Alarms:
    random = np.random.default_rng([rows, columns, copies])
    return Alarms.among(
        (here.reference, window_of(random, here.probabilities, days_of(rows // copies), copies))
        for here in (source(random, columns) for _ in range(QUIET))
    )


def shifted(rows: int, shift: float) -> Alarms:
    random = np.random.default_rng([rows, int(100 * shift)])
    return Alarms.among(
        (
            here.reference,
            window_of(random, {**here.probabilities, "c0": here.shifted(shift)}, days_of(rows)),
        )
        for here in (source(random, 20) for _ in range(POWER))
    )


def emptied(batches: list[int]) -> Alarms:
    """Returns the alarms if the first column is empty in the last batch."""
    random = np.random.default_rng(batches)

    def case(here: Source) -> tuple[Reference, Window]:
        window = window_of(random, here.probabilities, batches)
        first = window.counts["c0"].copy()
        first[-1] = 0
        first[-1, -1] = batches[-1]
        return here.reference, replace(window, counts={**window.counts, "c0": first})

    return Alarms.among(case(source(random, 20)) for _ in range(POWER))


def size_of_shift(shift: float) -> float:
    here = source(np.random.default_rng(1), 1)
    before = drift.shares_of(np.array(here.reference.columns["c0"].rows))
    return float(drift.psi(before, here.shifted(shift)))


def main() -> None:
    silent = {(rows, columns): quiet(rows, columns) for rows in ROWS for columns in COLUMNS}
    repeated = {rows: quiet(rows, 20, copies=10) for rows in (50, 200, 1000)}
    shifts = (0.25, 0.5, 0.75, 1.0, 2.0)
    moved = {(rows, shift): shifted(rows, shift) for rows in ROWS[1:] for shift in shifts}
    emptyings = ([5] * 7, [20] * 7, [200] * 7, [2000] * 15, [20_000] * 30)
    empty = {str(each[0]): (len(each), emptied(each)) for each in emptyings}
    windows = sum(each.windows for each in silent.values())
    alarms, usual = (
        sum(getattr(each, rule) for each in silent.values()) for rule in ("now", "usual")
    )
    worst = max(100 * each.now / each.windows for each in silent.values())
    targets = [
        page.Target("false alarms in all quiet windows", 100 * alarms / windows, " %", most=5),
        page.Target("false alarms, worst rows and columns", worst, " %", most=5),
        page.Target(
            "an emptied column found, worst",
            min(100 * each.now / each.windows for _, each in empty.values()),
            " %",
            least=100,
        ),
    ]
    heads = ["", *(f"{columns} columns{rule}" for columns in COLUMNS for rule in ("", ", usual"))]
    text = [
        "# False alarms and power of the monitor",
        "",
        page.machine(),
        "",
        "    make install && .venv/bin/python benchmarks/monitor.py",
        "",
        page.paragraph(
            f"A window has {DAYS} days with a batch each; the training has {TRAINING:,} rows. The columns "
            "are numbers, numbers that are often 0, and up to 30 categories, with up to 10 % missing values. "
            f"The usual rule is PSI over {MAX_PSI} in the whole window and a chi-square p-value, corrected "
            "by Benjamini and Hochberg, under 0.01."
        ),
        "",
        page.target_table(targets),
        page.paragraph(
            f"The usual rule alarms in {100 * usual / windows:.1f} % of the {windows:,} quiet windows."
        ),
        "",
        f"## Quiet windows with an alarm, of {QUIET} each",
        "",
        page.table(
            heads,
            (
                [
                    f"{rows:,} rows",
                    *(cell for columns in COLUMNS for cell in silent[rows, columns].cells()),
                ]
                for rows in ROWS
            ),
        ),
        f"## Quiet windows in which each row occurs ten times, of {QUIET} each, 20 columns",
        "",
        page.table(
            ["", "alarms", "usual"],
            ([f"{rows:,} rows", *each.cells()] for rows, each in repeated.items()),
        ),
        f"## Windows of 20 columns in which one column has moved, of {POWER} each",
        "",
        page.table(
            [
                "found, and by the usual rule",
                *(f"{shift:g} sd (PSI {size_of_shift(shift):.2f})" for shift in shifts),
            ],
            (
                [f"{rows:,} rows", *(" / ".join(moved[rows, shift].cells()) for shift in shifts)]
                for rows in ROWS[1:]
            ),
        ),
        page.paragraph(
            f"A drift whose PSI is about {MAX_PSI} is on either side of the bound by chance, however many "
            "rows there are; a smaller one is no drift by definition."
        ),
        "",
        f"## Windows of 20 columns in which one column is empty in the last batch, of {POWER} each",
        "",
        page.table(
            ["", "found", "usual"],
            (
                [f"{number} batches of {int(rows):,} rows", *each.cells()]
                for rows, (number, each) in empty.items()
            ),
        ),
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
