"""`mlops tracker`: a row for every model, with its data, parameters, metrics and environments, and for every
trial of a search."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlops import trials
from mlops.errors import MlopsError, UsageError
from mlops.release.history import branches, models, notices
from mlops.release.history.git import Git
from mlops.release.history.models import Model
from mlops.release.history.outputs import TESTING, TRAINING, VALIDATION
from mlops.release.look.markdown import markdown_table

Cell = str | float | None
Row = Mapping[str, Cell]
"""A cell for each of COLUMNS, but for the metrics that the model does not have, then for each other metric of
the test rows, then `target`, `task`, `commit` and `md5`; where content of the commit can't be read, `fault`
says why."""

HEADLINES = {
    "accuracy": "Accuracy",
    "false_positive_percent": "% False positives",
    "worst_recall": "Worst recall",
    "mae": "MAE",
    "r2": "R2",
}
"""The metrics that are shown unless others are asked for. A task has two of them."""

COLUMNS = {
    "model": "Model",
    "architecture": "Code (architecture)",
    "dataset": "Dataset",
    "training": "Data (training)",
    "validation": "Data (validation)",
    "parameters": "Other parameters",
    "testing": "Data (testing)",
    **HEADLINES,
    "running": "Running in",
    "gate": "Gate",
    "subject": "Subject",
}
BELOW = ("Subject", "Data (validation)", "Data (testing)", "Dataset")
"""The columns that become lines below each row where a terminal is too narrow, in this order."""

IN_UNITS_OF_THE_TARGET = ("mae", "rmse", "median_absolute_error")
LESS_IS_BETTER = re.compile(
    rf"search_.*|log_loss|brier|mape|{'|'.join(IN_UNITS_OF_THE_TARGET)}|.*_percent"
)
ABSENT = "-"
TRIAL = "trial"
ONE_SIDED = ("false_positive_percent", "false_negative_percent", "recall")
"""Metrics that are perfect for a model that gives every row the same answer."""


class Numbers:
    """Numbers the different values of each column 1.0, 1.1, 1.2, ... in the order of their appearance.

    `names` is the number of each value, by column.
    """

    def __init__(self) -> None:
        self.names: dict[str, dict[str, str]] = {}

    def number_for(self, column: str, key: str | None) -> str | None:
        if key is None:
            return None
        names = self.names.setdefault(column, {})
        return names.setdefault(key, f"1.{len(names)}")


def model_rows(git: Git, numbers: Numbers | None = None, *, with_trials: bool = False) -> list[Row]:
    """Returns a row for every model, in the order in which they were committed, and `with_trials` then one
    for every trial of the searches that the working tree holds.

    `numbers` gets the values for which the numbers in the columns of data and parameters stand.
    """
    numbers = numbers or Numbers()
    found = [model_row(model, numbers) for model in models.all_models(git)]
    if with_trials:
        found += trial_rows(git, numbers)
    if not found:
        lacks = "; ".join(branches.gaps(git))
        raise MlopsError(lacks or "no model was committed yet: `mlops repro`, commit, then again")
    return found


def model_row(model: Model, numbers: Numbers) -> Row:
    parameters = model.lock.parameters.get("params.yaml", {})
    prepare, train = (parameter_block(parameters, name) for name in ("prepare", "train"))
    architecture, outputs = train.get("architecture"), model.lock.outputs
    return {
        "model": model.name,
        "architecture": optional_text(architecture),
        "dataset": optional_text(prepare.get("dataset")),
        "training": numbers.number_for("training", outputs.get(TRAINING)),
        "validation": numbers.number_for("validation", outputs.get(VALIDATION)),
        "parameters": numbers.number_for(
            parameters_of(architecture), other_parameters(prepare, train)
        ),
        "testing": numbers.number_for("testing", outputs.get(TESTING)),
        **{name: model.metrics[name] for name in HEADLINES if name in model.metrics},
        "running": ", ".join(model.running) or None,
        "gate": {True: "passed", False: "failed", None: None}[model.gate_passed],
        "subject": model.subject,
        **{name: value for name, value in model.metrics.items() if name not in COLUMNS},
        "target": optional_text(prepare.get("target")),
        "task": optional_text(prepare.get("task")),
        "commit": model.commit,
        "md5": model.lock.model or None,
        **({"fault": model.fault} if model.fault else {}),
    }


def trial_rows(git: Git, numbers: Numbers) -> Iterator[Row]:
    """Yields a row for every trial. Its loss is in a column such as `search_log_loss`, which no model has,
    because it is not of the test rows."""
    for file in trials.search_files(git.root):
        try:
            search, found = trials.read_search(file)
        except MlopsError as error:
            notices.notice(git, str(error))
            continue
        for trial in found:
            yield trial_row(file.stem, search, trial, numbers)


def trial_row(name: str, search: trials.Search, trial: trials.Trial, numbers: Numbers) -> Row:
    train = {
        **search.train,
        "architecture": trial.architecture,
        "architectures": {trial.architecture: trial.values},
    }
    outcome = {"done": "", "stopped": " (stopped)", "failed": f" (failed: {trial.fault})"}
    return {
        "model": f"{TRIAL} {name}/{trial.number}",
        "architecture": trial.architecture,
        "dataset": optional_text(search.prepare.get("dataset")),
        "training": numbers.number_for("training", search.made_from.get(TRAINING)),
        "validation": numbers.number_for("validation", search.made_from.get(VALIDATION)),
        "parameters": numbers.number_for(
            parameters_of(trial.architecture), other_parameters(search.prepare, train)
        ),
        **dict.fromkeys(("testing", "running", "gate")),
        "subject": trial.described_values + outcome[trial.state],
        f"search_{search.metric}": trial.loss,
        "target": optional_text(search.prepare.get("target")),
        "task": optional_text(search.prepare.get("task")),
        "commit": None,
        "md5": None,
    }


def parameters_of(architecture: object) -> str:
    """Returns the name under which the parameters of an architecture are numbered."""
    return f"parameters of {architecture}"


def other_parameters(prepare: Mapping[str, Any], train: Mapping[str, Any]) -> str:
    """Returns the blocks `prepare` and `train` of params.yaml without the dataset and architecture.

    Of the hyperparameters only those of the chosen architecture count, and so their versions are
    numbered within each architecture: 1.1 of random_forest is its second set. The environment's share
    of the data is not a parameter here; it shows in the data.
    """
    chosen = parameter_block(parameter_block(train, "architectures"), train.get("architecture"))
    return json.dumps(
        [{**prepare, "dataset": None}, {**train, "architectures": chosen}], default=str
    )


def parameter_block(parameters: Mapping[str, Any], name: object) -> Mapping[str, Any]:
    """Returns a block of params.yaml; it is empty if a commit has no such block."""
    found = parameters.get(str(name))
    return found if isinstance(found, Mapping) else {}


def optional_text(value: object) -> str | None:
    return None if value is None else str(value)


def sorted_rows(rows: Sequence[Row], column: str) -> list[Row]:
    """Returns the rows sorted by a metric, best first, or by another column; rows without a value last.

    By a metric of ONE_SIDED, models that give every row the same answer come after those that do not.
    """
    present = [row for row in rows if row.get(column) is not None]
    absent = [row for row in rows if row.get(column) is None]
    downwards = column in metrics_of(rows) and not LESS_IS_BETTER.fullmatch(column)
    best_first = sorted(present, key=lambda row: natural_key(row[column]), reverse=downwards)
    if column in ONE_SIDED:
        best_first.sort(key=lambda row: sole_answer(row) is not None)
    return best_first + absent


def sole_answer(row: Row) -> str | None:
    """Returns the answer that the model gives to every test row, positive or negative, or None."""
    wrong = (row.get("false_positive_percent"), row.get("false_negative_percent"))
    if wrong == (0, 100):
        return "negative"
    return "positive" if wrong == (100, 0) else None


def remarks(rows: Sequence[Row]) -> Iterator[str]:
    """Yields a line for each row that can't be read, or whose good metrics mean nothing."""
    for row in rows:
        name = f"{row['model']} ({str(row['commit'])[:7]})"
        if row.get("fault"):
            yield f"{name}: {row['fault']}"
        if answer := sole_answer(row):
            yield (
                f"{name} answers every test row with {answer}: it is sorted last by "
                f"{', '.join(ONE_SIDED[:-1])} and {ONE_SIDED[-1]}"
            )


def metrics_of(rows: Sequence[Row]) -> list[str]:
    return [
        name for name in column_names(rows) if any(isinstance(row.get(name), float) for row in rows)
    ]


def column_names(rows: Sequence[Row]) -> list[str]:
    """Returns the names of all columns that any row has."""
    return list(dict.fromkeys(name for row in rows for name in row))


def column_called(name: str, rows: Sequence[Row]) -> str:
    """Returns the column with this name or heading. Raises UsageError if there is none."""
    known = column_names(rows)
    for column in known:
        if name.strip().lower() in (column.lower(), COLUMNS.get(column, column).lower()):
            return column
    raise UsageError(f"{name!r} is not a column; use one of {', '.join(known)}")


def natural_key(cell: Cell) -> list[Any]:
    """Returns a key that sorts v1.10.0 after v1.9.0."""
    if not isinstance(cell, str):
        return [cell]
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", cell)]


def headings(rows: Sequence[Row], sort: str | None = None) -> dict[str, str]:
    """Returns COLUMNS without the metrics that no row has. The losses of trials, and another column by which
    the rows are sorted, are inserted before `running`."""
    known = column_names(rows)
    names = [name for name in COLUMNS if name in known or name not in HEADLINES]
    losses = [name for name in known if name.startswith("search_")]
    more = [name for name in dict.fromkeys([*losses, sort]) if name and name not in names]
    names[names.index("running") : names.index("running")] = more
    return {name: COLUMNS.get(name, name) for name in names}


def shown_cell(row: Row, column: str) -> str:
    return metric_text(row.get(column), column)


def metric_text(value: object, name: str) -> str:
    """Returns the value of a metric, without its unit, or a number of rows, in as many digits as tell
    something; "-" for none, and any other text as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return optional_text(value) or ABSENT
    if name in IN_UNITS_OF_THE_TARGET:
        return f"{value:.6g}"
    if isinstance(value, int) or name == "rows":
        return f"{value:,.0f}"
    return f"{value:.2f}" if name.endswith("_percent") else f"{value:.4f}"


def shown_cells(rows: Sequence[Row], columns: Iterable[str]) -> list[list[str]]:
    """Returns the text of each row's cells in these columns: shape (rows, columns)."""
    names = [*columns]
    return [[shown_cell(row, name) for name in names] for row in rows]


def as_markdown(rows: Sequence[Row], columns: Mapping[str, str]) -> str:
    return markdown_table(columns.values(), shown_cells(rows, columns))


def as_csv(rows: Sequence[Row]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, column_names(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
