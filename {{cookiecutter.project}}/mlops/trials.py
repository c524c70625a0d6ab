"""The record of a search: what each trial tried, and how good it was.

A search is a file of reports/searches, which Git stores. Its first line says what all trials have in common,
and each other line is a trial. A trial is no run of a stage, so dvc.lock says nothing of it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import msgspec

from mlops.errors import MlopsError

FOLDER = Path("reports/searches")


class Search(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all trials of a search have in common.

    `metric` is the loss that was measured. `rows` says which rows it is of. `prepare` and `train` are
    blocks of params.yaml when the search began, and `made_from` is the MD5 of each file that a trial depends
    on, by path.
    """

    metric: str
    rows: str
    architectures: tuple[str, ...]
    prepare: Mapping[str, Any]
    train: Mapping[str, Any]
    made_from: Mapping[str, str]


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A trial. `values` are the hyperparameters, and `losses` has the loss on each part of the rows on which
    it was measured. A `stopped` trial was clearly worse than the best one after some parts, and `fault` says
    why a trial failed."""

    number: int
    architecture: str
    values: Mapping[str, Any]
    state: Literal["done", "stopped", "failed"]
    losses: tuple[float, ...]
    seconds: float
    fault: str | None = None

    @property
    def loss(self) -> float | None:
        """Returns the mean of the losses, or None if the trial was not measured on all rows."""
        return fmean(self.losses) if self.state == "done" else None

    @property
    def described_values(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.values.items())


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Returns the trials that are done, the best one first."""
    done = [trial for trial in trials if trial.state == "done"]
    return sorted(done, key=lambda trial: (trial.loss, trial.number))


def search_files(root: Path) -> list[Path]:
    """Returns the files of the searches in a working tree, the oldest first."""
    return sorted((root / FOLDER).glob("*.jsonl"))


def read_search(file: Path) -> tuple[Search, list[Trial]]:
    """Returns what a file says of a search, and its trials in the order in which they ended. A last line that
    was cut short, by a crash, does not count. Raises MlopsError for a file that holds anything else."""
    lines = file.read_bytes().split(b"\n")[:-1]
    try:
        if not lines:
            raise ValueError("it has no line")
        trials = [msgspec.json.decode(line, type=Trial) for line in lines[1:]]
        return msgspec.json.decode(lines[0], type=Search), trials
    except (msgspec.MsgspecError, ValueError) as error:
        raise MlopsError(
            f"{FOLDER / file.name} is not the record of a search ({error}): restore it, "
            f"`git restore {FOLDER / file.name}`, or delete it"
        ) from None


def write_search(file: Path, search: Search, trials: Sequence[Trial]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".tmp")
    content = (msgspec.json.encode(each) + b"\n" for each in (search, *trials))
    unfinished.write_bytes(b"".join(content))
    unfinished.replace(file)


def add_trial(file: Path, trial: Trial) -> None:
    """Adds a trial to the file of its search, where a crash of this process cannot lose it."""
    with file.open("ab") as lines:
        lines.write(msgspec.json.encode(trial) + b"\n")
