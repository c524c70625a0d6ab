"""Measures how often gate.subgroups refuses a release without reason, and how often it misses a drop.

    make install && .venv/bin/python benchmarks/gates.py

writes benchmarks/gates.md, in some seconds. Releases are simulated as counts: of the rows of a subgroup, how
many the challenger alone gets wrong, and how many it alone gets right.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import page

TEMPLATE = Path(__file__).resolve().parents[1]
PROJECT = TEMPLATE / "{{cookiecutter.project}}"
sys.path.insert(0, str(PROJECT))

from mlops.compare import subgroup_drops  # noqa: E402

PAGE = Path(__file__).with_suffix(".md")
RELEASES, SUBGROUPS, DROP = 10_000, 8, 0.03
SIZES, CHANGED = (500, 1000, 2000, 5000, 20_000), (0.005, 0.01, 0.02, 0.04)

HEAD = """\
# Gates on subgroups

`python benchmarks/gates.py` writes this page.

{machine}
"""
WHAT = (
    f"Each line is {RELEASES:,} simulated releases with {SUBGROUPS} subgroups of as many rows, and accuracy "
    "as the metric. `Changed` is the share of the rows on which one of two equally good models is right "
    "and the other is wrong. Without a drop, a release is refused falsely if any subgroup fails. With a "
    "drop of 3 points in a subgroup, that subgroup fails, is not decided, so that the promotion says how "
    "many rows are needed, or is missed, which is to say that it passes. `max_drop` is 0.03."
)


@dataclass(frozen=True)
class Subgroups:
    """The counts of simulated subgroups with `rows` rows each: of shape (releases, SUBGROUPS)."""

    rows: int
    worse: NDArray[np.int64]
    better: NDArray[np.int64]

    @property
    def drop(self) -> NDArray[np.float64]:
        return (self.worse - self.better) / self.rows

    @property
    def square(self) -> NDArray[np.float64]:
        return (self.worse + self.better) / self.rows


Masks = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""Which subgroups pass, and which fail: both of shape (releases, SUBGROUPS)."""


def draw(random: np.random.Generator, rows: int, changed: float, drop: float) -> Subgroups:
    shape = (RELEASES, SUBGROUPS)
    worse = random.binomial(rows, changed / 2 + drop, shape)
    better = random.binomial(rows - worse, changed / 2 / (1 - changed / 2 - drop))
    return Subgroups(rows, worse, better)


def by_interval(found: Subgroups) -> Masks:
    """Judges subgroups by the rule of the project."""
    low, high = subgroup_drops.drop_interval(
        found.rows, found.drop, found.square, 1.0, DROP, judged=SUBGROUPS
    )
    return high < DROP, (high >= DROP) & (low > 0)


def by_size(limit: float) -> Callable[[Subgroups], Masks]:
    """Returns the rule that refuses a measured drop over a limit."""
    return lambda found: (found.drop <= limit, found.drop > limit)


def by_test(found: Subgroups) -> Masks:
    """Judges each subgroup by itself: it fails if it is worse, by McNemar's test with p < 0.05."""
    failed = found.drop > 1.645 * np.sqrt(found.square / found.rows)
    return ~failed, failed


def shares(rule: Callable[[Subgroups], Masks], rows: int, changed: float) -> list[float]:
    """Returns, for releases without a drop, the share that is refused and that of subgroups that are not
    decided; for subgroups with a drop, the shares that fail, are not decided, and pass."""
    random = np.random.default_rng(rows)
    passed, failed = rule(draw(random, rows, changed, 0))
    refused, open_ = failed.any(axis=1).mean(), 1 - (passed | failed).mean()
    passed, failed = rule(draw(random, rows, changed, DROP))
    return [refused, open_, failed.mean(), 1 - (passed | failed).mean(), passed.mean()]


def changed_on_census() -> dict[str, float]:
    """Returns the share of rows that two models of the census, with 150 and 200 iterations, call differently:
    of all test rows, and of those of each sex."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    census = pd.read_csv(PROJECT / "data/raw/adult.csv")
    target = census.pop("income")
    texts = [name for name in census if census[name].dtype.kind not in "if"]
    census = census.astype(dict.fromkeys(texts, "category"))
    is_test = np.random.default_rng(0).random(len(census)) < 0.4
    one, other = (
        HistGradientBoostingClassifier(max_iter=iterations, categorical_features="from_dtype")
        .fit(census[~is_test], target[~is_test])
        .predict(census[is_test])
        for iterations in (150, 200)
    )
    by_sex = pd.Series(one != other).groupby(census["sex"][is_test].to_numpy(), observed=True)
    return {"all": float((one != other).mean()), **by_sex.mean().to_dict()}


def main() -> None:
    heads = [
        "Rows",
        "Changed",
        "Refused falsely",
        "Not decided",
        "Drop: fails",
        "Not decided",
        "Missed",
    ]
    found = {
        (rows, changed): shares(by_interval, rows, changed) for rows in SIZES for changed in CHANGED
    }
    lines = [
        [f"{rows:,}", f"{changed:.1%}", *map("{:.2%}".format, each)]
        for (rows, changed), each in found.items()
    ]
    rules = {
        "this project": by_interval,
        "a drop over 0.03 fails": by_size(DROP),
        "a drop over 0.015 fails": by_size(DROP / 2),
        "McNemar's test, each by itself": by_test,
    }
    others = [
        [name, *map("{:.2%}".format, shares(rule, 1000, 0.02))] for name, rule in rules.items()
    ]
    targets = [
        page.Target(
            "false refusals, the worst line", 100 * max(e[0] for e in found.values()), " %", most=5
        ),
        page.Target(
            "missed drops, the worst line", 100 * max(e[4] for e in found.values()), " %", most=1
        ),
    ]
    census = ", ".join(f"{name}: {share:.1%}" for name, share in changed_on_census().items())
    parts = [
        HEAD.format(machine=page.machine()),
        page.target_table(targets),
        page.paragraph(WHAT) + "\n",
        page.table(heads, lines),
        page.paragraph(
            "Two gradient boosting models of the census, with 150 and 200 iterations, call this share of the "
            f"test rows differently: {census}."
        )
        + "\n",
        "## Other rules, at 1,000 rows of which 2 % are changed\n",
        page.table(["Rule", *heads[2:]], others),
    ]
    PAGE.write_text("\n".join(parts))
    sys.exit(not all(target.met for target in targets))


if __name__ == "__main__":
    main()
