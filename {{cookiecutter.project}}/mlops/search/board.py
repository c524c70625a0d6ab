"""Shows a search while it runs: a leaderboard on a terminal, and otherwise a line for each trial."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlops.errors import say
from mlops.search.search import Order, Show
from mlops.text_table import LEAST_WIDTH, table_text
from mlops.trials import Search, Trial, best_first

HEADINGS = ("Rank", "Trial", "Architecture", "Loss", "Hyperparameters")
ROWS = 10


@contextmanager
def open_board(order: Order) -> Iterator[Show]:
    """Yields the function with which a search shows what it has done."""
    if sys.stdout.isatty():
        with live_board(order) as show:
            yield show
    else:
        yield Lines()


class Lines:
    """Prints each trial once it has ended."""

    def __init__(self) -> None:
        self._printed: int | None = None

    def __call__(self, trials: Sequence[Trial], running: int, seconds: float) -> None:
        first = len(trials) if self._printed is None else self._printed
        for count, trial in enumerate(trials[first:], first + 1):
            say(trial_line(trial, trials[:count]))
        self._printed = len(trials)


def trial_line(trial: Trial, so_far: Sequence[Trial]) -> str:
    """Returns what a trial has shown, in a line. `so_far` are the trials until it ended, with itself."""
    if trial.state == "failed":
        outcome = f"failed: {trial.fault}"
    elif trial.state == "stopped":
        outcome = (
            f"stopped after {len(trial.losses)} parts of the rows, clearly worse than the best"
        )
    else:
        best = " (the best so far)" if best_first(so_far)[0] is trial else ""
        outcome = f"loss {trial.loss:.5g}{best}"
    values = f" with {trial.described_values}" if trial.values else ""
    return f"trial {trial.number}: {trial.architecture}{values}: {outcome}"


def board_rows(trials: Sequence[Trial], rows: int = ROWS) -> list[tuple[str, ...]]:
    """Returns the best trials, a cell for each of HEADINGS."""
    return [
        (
            str(rank),
            str(trial.number),
            trial.architecture,
            f"{trial.loss:.5g}",
            trial.described_values,
        )
        for rank, trial in enumerate(best_first(trials)[:rows], 1)
    ]


def verdict(file: Path, search: Search, trials: Sequence[Trial], changed: bool) -> str:
    """Returns what a search has found, and what to do with it, in a few sentences."""
    best, metric = best_first(trials)[0], search.metric.replace("_", " ")
    first = next(
        (each for each in trials if each.architecture == search.train["architecture"]), None
    )
    before = f", {first.loss:.5g} with params.yaml as it was" if first and first.loss else ""
    found = (
        f"trial {best.number} of {len(trials):,} is the best: {best.architecture}, {metric} "
        f"{best.loss:.5g} on {search.rows}{before}. All trials are in {file.as_posix()}."
    )
    if not changed:
        return f"{found} params.yaml has the values of the best one already"
    return (
        f"{found} The values of the best one are in params.yaml now: run them, `mlops repro`, or drop them, "
        "`git restore params.yaml`"
    )


def state_line(trials: Sequence[Trial], running: int, seconds: float, order: Order) -> str:
    """Returns how far a search is, in a line."""
    of_trials = f" of {order.trials:,}" if order.trials is not None else ""
    of_time = f" of {clock(order.seconds)}" if order.seconds is not None else ""
    counts = {state: sum(each.state == state for each in trials) for state in ("stopped", "failed")}
    others = "".join(f", {count:,} {state}" for state, count in counts.items() if count)
    return (
        f"trials: {len(trials):,}{of_trials}{others}, {running} running, {clock(seconds)}{of_time}; "
        "Ctrl-C ends the search and keeps them"
    )


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


@contextmanager
def live_board(order: Order) -> Iterator[Show]:
    from rich.live import Live
    from rich.text import Text

    with Live(transient=True, auto_refresh=False) as live:

        def show(trials: Sequence[Trial], running: int, seconds: float) -> None:
            table = table_text(HEADINGS, board_rows(trials), max(LEAST_WIDTH, live.console.width))
            line = state_line(trials, running, seconds, order)
            live.update(Text(f"{table}\n{line}"), refresh=True)

        yield show
