"""Measures what `mlops search` gains on the tables of benchmarks/tasks.py, beside the values of params.yaml
and beside a plain Optuna script with the same time, estimators and ranges.

    make install && .venv/bin/python benchmarks/search.py

writes benchmarks/search.md, after five minutes for each of eight tables. Both search at the same time, each
on a core of its own, so that what else the machine does disturbs both. --minutes is the time of one search.
--table names a table, of those eight or another, and then only its figures are printed.
"""

import argparse
import contextlib
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import optuna
import pandas as pd

import page
import tasks  # which puts the project on the import path
from mlops.architectures import SEARCH_RANGES, Between
from mlops.metrics import METRICS, loss
from mlops.params import load_configuration
from mlops.predict import derived
from mlops.predict.inputs import matrices_of
from mlops.predict.predictor import predictions_of
from mlops.predict.schema import Schema
from mlops.predict.task import Task
from mlops.release import child_environment
from mlops.search.search import Order, default_workers, run_search
from mlops.tables import splits
from mlops.train import export, train
from mlops.trials import best_first, read_search

TABLES = (
    "a fifth missing", "10 % positive", "census: income",
    "digits", "6 classes", "census: marital status",
    "Friedman 1", "census: hours per week",
)  # fmt: skip
"""Those of benchmarks/tasks.py that leave a search something to find: more than 1,000 rows, and inputs of the
kinds that people have."""

HEADS = ["table", "rows", "params.yaml", "plain Optuna", "trials", "`mlops search`", "trials"]


def main() -> None:
    options = arguments()
    derived.DERIVED.clear()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        tasks.make_project()
        no_features()
        found = {task: list(figures(task, options)) for task in METRICS}
    if not options.table:
        text = "\n\n".join([*head(options.minutes), *sections(found)])
        Path(__file__).with_suffix(".md").write_text(text + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the search for the best model.")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--table", metavar="NAME", help="only this table, such as 'breast cancer'")
    return parser.parse_args()


def head(minutes: float) -> list[str]:
    return [
        "# The search for the best model",
        page.paragraph(
            f"{page.machine()} optuna {version('optuna')}. The loss on the test rows, which no search reads: "
            "log loss for classes, RMSE for a number; less is better. `params.yaml` is the architecture and "
            f"values that a new project has. Each search took {minutes:g} minutes on one core, over all "
            "architectures and ranges of a new project: `mlops search` with one worker and, at the same "
            "time, a plain Optuna script (`study.optimize`, validation rows)."
        ),
        f"    make install && .venv/bin/python benchmarks/search.py --minutes {minutes:g}",
    ]


def sections(found: Mapping[Task, list[list[Any]]]) -> Iterator[str]:
    for task, lines in found.items():
        cells = [
            [each if isinstance(each, str) else f"{each:.5g}" for each in line] for line in lines
        ]
        better = sum(line[5] < line[2] for line in lines)
        behind = sum(line[5] > 1.01 * line[3] for line in lines)
        yield f"## {task.capitalize()}\n\n{page.table(HEADS, cells)}".rstrip()
        yield (
            f"The search beats params.yaml on {better} of {len(lines)} tables, and is more than 1 % behind "
            f"the plain script on {behind}."
        )


def no_features() -> None:
    """Gives the project, and so the processes of a search, no derived columns."""
    kept = Path("science").resolve()
    Path("science").unlink()
    shutil.copytree(kept, "science")
    Path("science/features.py").write_text('"""No derived columns."""\n')


def figures(task: Task, options: argparse.Namespace) -> Iterator[list[Any]]:
    """Yields a cell for each of HEADS, for each table."""
    for name, rows in tasks.tables(task):
        if name in ([options.table] if options.table else TABLES):
            schema = tasks.prepare_table(task, rows)
            schema = schema_with_scale(schema)
            train_params = load_configuration().params.train
            before = test_loss(schema, train_params.architecture, train_params.hyperparameters)
            (plain, plain_trials), (ours, our_trials) = both(schema, 60 * options.minutes)
            yield [
                name,
                f"{len(rows):,}",
                before,
                plain,
                f"{plain_trials:,}",
                ours,
                f"{our_trials:,}",
            ]
            print(task, name, before, plain, plain_trials, ours, our_trials, flush=True)


def schema_with_scale(schema: Schema) -> Schema:
    _, target, _ = train.read_training_rows(schema)
    return msgspec.structs.replace(schema, target_scale=train.scale_of(target, schema.task))


def both(schema: Schema, seconds: float) -> tuple[tuple[float, int], tuple[float, int]]:
    """Returns what the plain script and this template find at the same time, each on one core."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    try:
        os.sched_setaffinity(0, {second})
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
            plain = other.submit(plain_search, schema, seconds)
            os.sched_setaffinity(0, {first})
            ours = our_search(schema, seconds)
            return plain.result(), ours
    finally:
        os.sched_setaffinity(0, {first, second})


def our_search(schema: Schema, seconds: float) -> tuple[float, int]:
    order = Order(None, seconds, default_workers())
    file = run_search(order, child_environment.for_python(Path.cwd()), lambda *_: None)
    _, trials = read_search(file)
    best = best_first(trials)[0]
    print(best, flush=True)
    return test_loss(schema, best.architecture, best.values), len(trials)


def plain_search(schema: Schema, seconds: float) -> tuple[float, int]:
    """Searches as a data scientist's script does: a trial is one fit, measured on the validation rows."""
    derived.DERIVED.clear()  # in a process of its own
    measured = rows_of("validation", schema)
    present = load_configuration().params.train.architectures

    def objective(trial: optuna.Trial) -> float:
        name = trial.suggest_categorical("architecture", list(present))
        values = {**present[name]}
        for key, each in SEARCH_RANGES[name].items():
            assert isinstance(each, Between)
            whole = isinstance(each.low, int) and isinstance(each.high, int)
            suggest = trial.suggest_int if whole else trial.suggest_float
            values[key] = suggest(f"{name}.{key}", each.low, each.high, log=each.log)
        return fitted_loss(schema, name, values, measured)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=20))
    study.optimize(objective, timeout=seconds)
    best = dict(study.best_params)
    name = best.pop("architecture")
    values = {**present[name], **{key.partition(".")[2]: value for key, value in best.items()}}
    return test_loss(schema, name, values), len(study.trials)


def test_loss(schema: Schema, architecture: str, values: Mapping[str, Any]) -> float:
    return fitted_loss(schema, architecture, values, rows_of("test", schema))


def rows_of(name: splits.SplitName, schema: Schema) -> tuple[pd.DataFrame, Any]:
    rows = splits.read_split(name, schema)
    return export.table_of(matrices_of(rows.columns, schema)), rows.target


def fitted_loss(
    schema: Schema, architecture: str, values: Mapping[str, Any], measured: tuple[pd.DataFrame, Any]
) -> float:
    """Returns the loss on some rows of an architecture that is fitted to the training rows."""
    known, answers, inputs = train.read_training_rows(schema)
    chosen = {"architecture": architecture, "architectures": {architecture: values}}
    params = load_configuration().params.train.model_copy(update=chosen)
    estimator = train.fit_estimator(params, known, train.scaled(answers, schema), inputs, schema)
    table, target = measured
    output = estimator.predict_proba(table) if schema.classes else estimator.predict(table)[:, None]
    return loss(schema, target, predictions_of(schema, output))


if __name__ == "__main__":
    main()
