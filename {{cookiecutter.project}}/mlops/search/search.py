"""Searches the architecture and the hyperparameters with the least loss, and records each trial.

The first trial of each architecture has its values of params.yaml. The others are proposed from what was
measured before. A worker measures a trial part by part, and the trial is stopped as soon as it is clearly
worse than the best one.
"""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from mlops import trials
from mlops.architectures import SEARCH_RANGES, Between
from mlops.errors import MlopsError, ParameterError, Refused, UsageError, suggestion
from mlops.file_lock import lock_file
from mlops.params import check_hyperparameters, load_configuration, read_yaml
from mlops.provenance import made_from
from mlops.search.crew import Worker, WorkerEnded, variables_of_worker
from mlops.search.proposer import Proposal, Proposer
from mlops.tables.threads import usable_cores
from mlops.trials import Search, Trial

LOCK = Path(".dvc/tmp/search.lock")
SECONDS_BETWEEN_LOOKS = 0.2
MOST_WORKERS = 4

Show = Callable[[Sequence[Trial], int, float], None]
"""A function that shows the trials that have ended, how many are being measured, and the seconds so far."""


@dataclass(frozen=True)
class Order:
    """What a search is asked for. It ends once it has as many `trials` or after as many `seconds`; None is no
    bound. By default it takes all architectures of params.yaml."""

    trials: int | None
    seconds: float | None
    workers: int
    architectures: Sequence[str] = ()
    resume: bool = False


def default_workers() -> int:
    """Returns one worker for each core, but at most MOST_WORKERS: each has the training rows in memory."""
    return min(MOST_WORKERS, usable_cores())


@dataclass
class Running:
    """A trial that a worker is measuring."""

    number: int
    proposal: Proposal
    worker: Worker
    answer: Future[Any]
    begun: float = field(default_factory=time.monotonic)
    losses: list[float] = field(default_factory=list)

    def ended(self, state: Literal["done", "stopped", "failed"], fault: str | None = None) -> Trial:
        return Trial(
            self.number,
            self.proposal.architecture,
            self.proposal.values,
            state,
            tuple(self.losses),
            round(time.monotonic() - self.begun, 3),
            fault,
        )


def run_search(order: Order, variables: Mapping[str, str], show: Show) -> Path:
    """Searches in the project that is the current directory, and returns the file with all trials of the
    search. Ctrl-C ends it as a spent budget does.

    `variables` are the environment variables of a process with the project's code. Raises Refused if another
    search runs, or if what a resumed search measured has changed, UsageError for an architecture that is not
    there, ParameterError for a range with a value that its hyperparameter does not take, and MlopsError if no
    trial was done.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = lock_file(LOCK, wait=False)
    except BlockingIOError:
        raise Refused("another search is running in this project: wait until it ends") from None
    with lock, interruptions() as is_interrupted:
        file, search, before = (resumed if order.resume else begun)(order.architectures)
        searcher = Searcher(order, file, search, before, variables)
        searcher.run(show, is_interrupted)
    if not trials.best_first(searcher.trials):
        faults = dict.fromkeys(f"{each.architecture}: {each.fault}" for each in searcher.trials)
        raise MlopsError(
            f"all trials failed. {'; '.join(faults)}"
            if faults
            else "the search ended before its first trial did: give it more --minutes"
        )
    return file


def begun(architectures: Sequence[str]) -> tuple[Path, Search, list[Trial]]:
    """Returns a new search, of which nothing is written yet."""
    train = load_configuration().params.train
    for name in architectures:
        if name not in train.architectures:
            raise UsageError(
                f"params.yaml has no block train.architectures.{name}{suggestion(name, train.architectures)}"
            )
    chosen = tuple(dict.fromkeys(architectures or [train.architecture, *train.architectures]))
    for name in chosen:
        check_ranges(name, train.architectures[name])
    file = trials.FOLDER / time.strftime("%Y%m%d-%H%M%S.jsonl", time.gmtime())
    made = made_from("train")
    content = read_yaml(Path("params.yaml"))
    return file, Search("", "", chosen, content["prepare"], content["train"], made), []


def resumed(architectures: Sequence[str]) -> tuple[Path, Search, list[Trial]]:
    """Returns the latest search. Raises Refused if its losses cannot be compared with new ones."""
    if not (files := trials.search_files(Path())):
        raise UsageError(f"there is no search in {trials.FOLDER}: begin one, without --resume")
    search, before = trials.read_search(files[-1])
    if architectures and {*architectures} != {*search.architectures}:
        raise UsageError(
            f"the search {files[-1].stem} is of {', '.join(search.architectures)}: leave --architecture out, "
            "or begin a new search, without --resume"
        )
    now, then = made_from("train"), search.made_from
    changed = sorted(path for path in now.keys() | then.keys() if now.get(path) != then.get(path))
    train = read_yaml(Path("params.yaml"))["train"]
    changed += [
        f"train.{key} in params.yaml"
        for key in ("seed", "class_weights")
        if train[key] != search.train[key]
    ]
    if changed:
        raise Refused(
            f"{changed[0]} has changed since the search {files[-1].stem} began, so new losses cannot be "
            "compared with its own: begin a new search, without --resume"
        )
    trials.write_search(files[-1], search, before)  # without a line that a crash cut short
    return files[-1], search, before


def check_ranges(architecture: str, values: Mapping[str, Any]) -> None:
    """Raises ParameterError for a range with a value that its hyperparameter does not take."""
    for name, each in SEARCH_RANGES[architecture].items():
        for value in (each.low, each.high) if isinstance(each, Between) else each:
            try:
                check_hyperparameters(architecture, {**values, name: value})
            except ValueError as error:
                raise ParameterError(f"science/architectures.py, a range: {error}") from None


@contextmanager
def interruptions() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether Ctrl-C was pressed, which ends nothing at once. Pressed again, it
    raises KeyboardInterrupt."""
    pressed: list[int] = []

    def note(number: int, _: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


class Searcher:
    """A search that runs. `trials` are those that have ended, in that order."""

    def __init__(
        self,
        order: Order,
        file: Path,
        search: Search,
        before: Sequence[Trial],
        variables: Mapping[str, str],
    ) -> None:
        self.trials = [*before]
        self._order = order
        self._file = file
        self._search = search
        self._variables = variables_of_worker(variables, order.workers)
        self._values = search.train["architectures"]
        self._begun = max((trial.number for trial in before), default=0)
        self._workers: list[Worker] = []
        self._running: list[Running] = []
        self._proposer: Proposer | None = None

    def run(self, show: Show, is_interrupted: Callable[[], bool]) -> None:
        """Measures trials until the order is fulfilled, nothing is left to be tried, or it is interrupted."""
        start = time.monotonic()

        def is_over() -> bool:
            limit = self._order.seconds
            return is_interrupted() or (limit is not None and time.monotonic() - start >= limit)

        with ThreadPoolExecutor(self._order.workers) as pool:
            try:
                self._start_workers(pool)
                while not is_over() and self._begin_trials(pool):
                    show(self.trials, len(self._running), time.monotonic() - start)
                    answers = [each.answer for each in self._running]
                    wait(answers, SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED)
                    for each in [each for each in self._running if each.answer.done()]:
                        if trial := self._continue(each, pool):
                            self._running.remove(each)
                            self._record(trial, each.proposal)
                show(self.trials, 0, time.monotonic() - start)
            finally:
                for worker in self._workers:
                    worker.close()

    def _start_workers(self, pool: ThreadPoolExecutor) -> None:
        count = min(self._order.workers, self._order.trials or self._order.workers)
        starting = [pool.submit(Worker, self._variables) for _ in range(count)]
        wait(starting)
        self._workers = [each.result() for each in starting if not each.exception()]
        if self._workers:
            bench = self._workers[0].bench
            self._search = msgspec.structs.replace(
                self._search, rows=bench["rows"], metric=bench["metric"]
            )
        for each in starting:
            each.result()

    def _begin_trials(self, pool: ThreadPoolExecutor) -> bool:
        """Gives each worker a trial if there is one, and returns whether any worker has one."""
        busy = [each.worker for each in self._running]
        for worker in self._workers:
            if worker not in busy and (proposal := self._next_proposal()):
                self._begun += 1
                answer = pool.submit(worker.measure, proposal.architecture, proposal.values, 0)
                self._running.append(Running(self._begun, proposal, worker, answer))
        return bool(self._running)

    def _next_proposal(self) -> Proposal | None:
        limit = self._order.trials
        if limit is not None and len(self.trials) + len(self._running) >= limit:
            return None
        if self._proposer is None:
            tried = [each.architecture for each in self.trials]
            tried += [each.proposal.architecture for each in self._running]
            for name in self._search.architectures:
                if name not in tried:
                    return Proposal(name, self._values[name])
            # What fails with its values of params.yaml is not searched.
            done = {each.architecture for each in self.trials if each.state == "done"}
            names = [name for name in self._search.architectures if name in done]
            space = {name: SEARCH_RANGES[name] for name in names if SEARCH_RANGES[name]}
            if self._running or not space:
                return None
            seed = self._search.train["seed"]
            self._proposer = Proposer(space, self._values, seed, self._order.workers)
            for trial in self.trials:
                self._proposer.tell(trial)
        return self._proposer.propose()

    def _continue(self, running: Running, pool: ThreadPoolExecutor) -> Trial | None:
        """Takes the answer of a worker, and returns the trial if it has ended. Otherwise its next part is
        measured."""
        try:
            answer = running.answer.result()
        except WorkerEnded as error:
            answer = {"fault": f"its process ended: {error}"}
            self._workers.remove(running.worker)
            self._workers.append(Worker(self._variables))
        if "fault" in answer:
            return running.ended("failed", answer["fault"])
        running.losses.append(answer["loss"])
        asked = running.proposal.asked
        is_hopeless = asked and self._proposer and self._proposer.is_hopeless(asked, running.losses)
        if len(running.losses) == running.worker.bench["parts"]:
            return running.ended("done")
        if is_hopeless:
            return running.ended("stopped")
        proposal = running.proposal
        part = len(running.losses)
        running.answer = pool.submit(
            running.worker.measure, proposal.architecture, proposal.values, part
        )
        return None

    def _record(self, trial: Trial, proposal: Proposal) -> None:
        if not self.trials:
            trials.write_search(self._file, self._search, [])
        trials.add_trial(self._file, trial)
        self.trials.append(trial)
        if self._proposer:
            self._proposer.tell(trial, proposal.asked)
