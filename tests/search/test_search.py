"""Tests searches of a small project, with real processes that measure the trials."""

import itertools
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from machinery import PROJECT
from mlops import params, trials
from mlops.errors import MlopsError, ParameterError, Refused, UsageError
from mlops.release import child_environment
from mlops.search import bench, board
from mlops.search.crew import Worker, WorkerEnded
from mlops.search.search import Order, begun, run_search
from mlops.tables import splits
from mlops.trials import Trial
from processes import children_that_run
from small_project import change

TWO = ("linear", "lightgbm")
VARIABLES = child_environment.for_python(PROJECT)


@pytest.fixture
def prepared(trained: Path) -> Path:
    """A small project, as the current directory, whose data were prepared. It has no test rows."""
    splits.split_file("test").unlink()
    for name in ("models", "reports", "deploy"):
        shutil.rmtree(name)
    change("params.yaml", "train.architectures.lightgbm.iterations", 31)
    return trained


def search(
    count: int | None, *architectures: str, resume: bool = False, workers: int = 1
) -> list[Trial]:
    order = Order(count, 100.0, workers, architectures, resume)
    with board.open_board(order) as show:
        file = run_search(order, VARIABLES, show)
    return trials.read_search(file)[1]


def without_times(found: list[Trial]) -> list[object]:
    return [
        (trial.architecture, trial.values, trial.state, trial.losses, trial.fault)
        for trial in found
    ]


def test_a_search_goes_on_as_if_it_had_not_been_interrupted(
    prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"lightgmb; did you mean 'lightgbm'\?"):
        search(1, "lightgmb")
    with pytest.raises(UsageError, match="there is no search in reports/searches: begin one"):
        search(1, resume=True)
    assert not Path("reports").exists()
    in_use, *others = begun(())[1].architectures
    present = params.load_configuration().params.train
    assert in_use == present.architecture
    assert [*others] == [name for name in present.architectures if name != in_use]

    whole = search(7, *TWO)
    printed = capsys.readouterr().out
    assert [trial.architecture for trial in whole[:2]] == [*TWO]
    assert [trial.values for trial in whole[:2]] == [present.architectures[name] for name in TWO]
    assert len({str(trial.values) for trial in whole}) == 7
    assert "trial 1: linear with inverse_penalty 1.0, iterations 500: loss 0." in printed
    assert "(the best so far)" in printed
    assert len({trial.state for trial in whole}) > 1  # some were stopped
    (record,) = trials.search_files(Path())
    record.rename("whole.jsonl")

    def interrupt_fourth(found: Sequence[Trial], running: int, seconds: float) -> None:
        if len(found) == 3 and running:
            os.kill(os.getpid(), signal.SIGINT)

    file = run_search(Order(None, 100.0, 1, TWO), VARIABLES, interrupt_fourth)
    assert len(trials.read_search(file)[1]) in (3, 4)  # the fourth may have ended just then
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert trials.search_files(Path()) == [file]
    with file.open("ab") as lines:
        lines.write(b'{"number":9,"archi')  # a crash cut it short
    change("params.yaml", "train.architectures.lightgbm.leaves", 3)  # as a winner would
    resumed = search(7, resume=True)
    assert without_times(resumed) == without_times(whole)

    with pytest.raises(UsageError, match="is of linear, lightgbm: leave --arch"):
        search(10, "xgboost", resume=True)
    for key, value in {"class_weights": "balanced", "seed": 21}.items():
        change("params.yaml", f"train.{key}", value)
        with pytest.raises(Refused, match=rf"train\.{key} in params\.yaml has changed since the "):
            search(10, resume=True)


ARCHITECTURES = """
@architecture(depth=between(1, 3))
def fails(inputs, seed, *, depth: int):
    raise RuntimeError("no such depth")


@architecture(seconds=between(1, 2))
def ends(inputs, seed, *, seconds: int):
    import os
    os.kill(os.getpid(), 9)


RANGES = {"answer": ["often", "never"], "penalty": between(0.5, 2.0, log=True), "layers": [[4], [4, 2]]}


@architecture(**RANGES)
def guesses(inputs, seed, *, answer: str, penalty: float, layers: list[int], other: dict):
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.tree import DecisionTreeClassifier

    print("a library prints this", flush=True)
    tree = DecisionTreeClassifier(max_depth=1, min_samples_leaf=1 if answer == "often" else 1000)
    return make_pipeline(one_hot(inputs, SimpleImputer()), tree)
"""


@pytest.fixture
def owned(prepared: Path, registries: None) -> Path:
    """A small project with architectures of its own, which its processes import too."""
    Path("science").unlink()
    shutil.copytree(PROJECT / "science", "science")
    file = Path("science/architectures.py")
    file.write_text(file.read_text() + ARCHITECTURES)
    exec(compile(file.read_text(), str(file), "exec"))  # noqa: S102 - registers them here
    blocks = {
        "fails": {"depth": 1},
        "ends": {"seconds": 1},
        "guesses": {"answer": "never", "penalty": 3.0, "layers": [3], "other": {"width": 4}},
    }
    for name, block in blocks.items():
        change("params.yaml", f"train.architectures.{name}", block)
    return prepared


def test_no_more_workers_start_than_there_are_trials(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    class Counted(Worker):
        def __init__(self, variables: dict[str, str]) -> None:
            started.append(self)
            super().__init__(variables)

    monkeypatch.setattr("mlops.search.search.Worker", Counted)
    assert len(search(1, "linear", workers=3)) == len(started) == 1


def test_a_worker_that_ends_between_two_trials_is_named(prepared: Path) -> None:
    worker = Worker(VARIABLES)
    [process] = children_that_run("mlops.search.worker", psutil.Process())
    process.kill()
    process.wait()
    with pytest.raises(WorkerEnded):
        worker.measure("linear", {"inverse_penalty": 1.0, "iterations": 500}, 0)
    worker.close()


def test_what_fails_is_recorded_and_searched_no_more(owned: Path) -> None:
    with pytest.raises(MlopsError, match=r"all trials failed\. fails: RuntimeError: no such depth"):
        search(3, "fails")
    for file in trials.search_files(Path()):
        file.unlink()
    order = Order(8, 100.0, 2, ("fails", "ends", "guesses"))
    file = run_search(order, child_environment.for_python(owned), lambda *_: None)
    found = trials.read_search(file)[1]
    faults = {trial.architecture: trial.fault for trial in found if trial.state == "failed"}
    assert faults["fails"] == "RuntimeError: no such depth"
    assert "its process ended: signal 9" in str(faults["ends"])
    guesses = [trial for trial in found if trial.architecture == "guesses"]
    assert len(guesses) == 6 == len(found) - len(faults)
    assert all(trial.values["other"] == {"width": 4} for trial in guesses)
    assert all(trial.values["layers"] in ([3], [4], [4, 2]) for trial in guesses)
    assert len({str(trial.values["layers"]) for trial in guesses}) > 1
    assert {trial.values["answer"] for trial in guesses} == {"often", "never"}
    assert all(0.5 <= float(str(trial.values["penalty"])) <= 3 for trial in guesses)
    assert trials.best_first(found)[0].values["answer"] == "often"


def test_a_range_of_another_type_is_refused_before_anything_runs(owned: Path) -> None:
    change("params.yaml", "train.architectures.guesses.answer", "never")
    from mlops.architectures import SEARCH_RANGES

    SEARCH_RANGES["fails"] = {"depth": [1, "two"]}
    with pytest.raises(
        ParameterError, match=r"a range: .*fails\.depth: 'two' should be a valid int"
    ):
        search(1, "fails")


def test_folds_divide_the_rows_and_keep_equal_ones_together() -> None:
    random = np.random.default_rng(1)
    table = pd.DataFrame({"a": random.integers(0, 60, 400), "b": random.integers(0, 2, 400)})
    target = (table["a"].to_numpy() + random.integers(0, 9, 400) > 50).astype(int)
    masks = np.array(list(bench.fold_masks(table, target, seed=3)))
    assert masks.shape == (bench.FOLDS * bench.REPEATS, 400)
    repeats = masks.reshape(bench.REPEATS, bench.FOLDS, 400)
    assert (repeats.sum(axis=1) == 1).all()
    assert (repeats[0] != repeats[1]).any()
    for mask in masks:
        held = set(map(tuple, table[mask].to_numpy()))
        assert not held & set(map(tuple, table[~mask].to_numpy()))
    unique = pd.DataFrame({"a": range(400)})
    for mask in bench.fold_masks(unique, target, seed=3):
        assert mask.sum() == 80
        assert abs(target[mask].sum() - target.sum() / bench.FOLDS) <= 1


def test_numbers_that_all_differ_are_divided_otherwise_in_each_repetition() -> None:
    table, numbers = pd.DataFrame({"a": range(400)}), np.random.default_rng(2).normal(size=400)
    masks = np.array(list(bench.fold_masks(table, bench.strata_of(numbers), seed=3)))
    repeats = masks.reshape(bench.REPEATS, bench.FOLDS, 400)
    assert (repeats.sum(axis=1) == 1).all()
    assert all((one != other).any() for one, other in itertools.combinations(repeats, 2))
    assert (masks.sum(axis=1) == 80).all()
    for mask in masks:
        assert abs(numbers[mask].mean() - numbers.mean()) < 0.05


def test_a_class_of_one_training_row_is_in_no_measured_rows(prepared: Path) -> None:
    file = splits.split_file("train")
    rows = pd.read_parquet(file)
    rare = rows["income"] == ">50K"
    rows[~rare | (rare.cumsum() == 1)].to_parquet(file)
    measuring = bench.Bench(params.load_configuration())
    values = {"inverse_penalty": 1.0, "iterations": 500}
    losses = [measuring.measure("linear", values, part) for part in range(measuring.parts)]
    assert len(losses) == bench.FOLDS * bench.REPEATS
    assert max(losses) < 1  # a model that does not know the class would lose 16 on its row


@pytest.mark.parametrize("content", ["", "{}\n", '{"metric":"log_loss"}\nmore\n'])
def test_a_file_that_is_no_record_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(content)
    with pytest.raises(
        MlopsError, match=r"reports/searches/a\.jsonl is not the record of a search"
    ):
        trials.read_search(file)
