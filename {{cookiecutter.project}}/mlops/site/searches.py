"""The searches of the working tree on the site: what was tried, how good it was, and which models have it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mlops import trials
from mlops.release.history.models import Read, read_or_fault
from mlops.release.look import tracker
from mlops.site.content import Entry
from mlops.trials import Search, Trial

SEARCHES, TRIALS = 20, 50
"""The largest numbers of searches, and of trials of each, that are shown: the latest, and the best."""


@dataclass(frozen=True)
class Tried:
    """A trial with the models that were made with its parameters, the latest last."""

    trial: Trial
    models: Sequence[Entry]


@dataclass(frozen=True)
class FoundSearch:
    """A search with its best trials, and after them those that were stopped or have failed; `count` is the
    number of all trials."""

    search: Search
    tried: Sequence[Tried]
    count: int


def read_searches(
    root: Path, entries: Sequence[Entry], numbers: tracker.Numbers
) -> Iterator[tuple[str, Read[FoundSearch]]]:
    """Yields the name of each search, the latest first, and what its file says or why it can't be read."""
    made = defaultdict[tuple[tracker.Cell, tracker.Cell], list[Entry]](list)
    for entry in entries:
        made[entry.row["architecture"], entry.row["parameters"]].append(entry)
    for file in trials.search_files(root)[: -SEARCHES - 1 : -1]:
        found, fault = read_or_fault(partial(trials.read_search, file))
        if found is None:
            yield file.stem, (None, fault)
            continue
        search, every = found
        best = trials.best_first(every)
        tried = []
        for trial in [*best, *(each for each in every if each.state != "done")][:TRIALS]:
            row = tracker.trial_row(file.stem, search, trial, numbers)
            tried.append(Tried(trial, made[row["architecture"], row["parameters"]]))
        yield file.stem, (FoundSearch(search, tried, len(every)), None)
