"""`mlops tracker`: a row for every model, with its data, parameters, metrics and environments."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlops.errors import MlopsError
from mlops.release.history import models
from mlops.release.history.git import Git
from mlops.release.history.models import Model
from mlops.release.history.outputs import TESTING, TRAINING, VALIDATION

Cell = str | float | None
Row = Mapping[str, Cell]
"""A cell for each of COLUMNS, then for each other metric of the test rows, then `commit` and `md5`."""

COLUMNS = {
    "model": "Model",
    "architecture": "Code (architecture)",
    "dataset": "Dataset",
    "training": "Data (training)",
    "validation": "Data (validation)",
    "parameters": "Other parameters",
    "testing": "Data (testing)",
    "accuracy": "Accuracy",
    "false_positive_percent": "% False positives",
    "running": "running in",
}
LESS_IS_BETTER = re.compile(r"log_loss|brier|.*_percent")
MOST_CHOICES = 12


class Numbers:
    """Numbers the different values of each column 1.0, 1.1, 1.2, ... in the order of their appearance."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, str]] = {}

    def number_for(self, column: str, key: str | None) -> str | None:
        if key is None:
            return None
        names = self._names.setdefault(column, {})
        return names.setdefault(key, f"1.{len(names)}")


def model_rows(git: Git) -> list[Row]:
    """Returns a row for every model, in the order in which they were committed."""
    numbers = Numbers()
    found = [model_row(model, numbers) for model in models.all_models(git)]
    if not found:
        raise MlopsError("no model was committed yet: `mlops repro`, commit, then again")
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
            f"parameters of {architecture}", other_parameters(prepare, train)
        ),
        "testing": numbers.number_for("testing", outputs.get(TESTING)),
        "accuracy": model.metrics.get("accuracy"),
        "false_positive_percent": model.metrics.get("false_positive_percent"),
        "running": ", ".join(model.running) or None,
        **{name: value for name, value in model.metrics.items() if name not in COLUMNS},
        "commit": model.commit,
        "md5": model.lock.model,
    }


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


def rows_where(rows: Sequence[Row], condition: str) -> list[Row]:
    """Returns the rows that fulfil COLUMN=VALUE. Raises MlopsError if there is none."""
    column, equals, value = condition.partition("=")
    if not equals:
        raise MlopsError(f"{condition!r} is not a condition: write COLUMN=VALUE")
    refuse_unknown(column, rows)
    matching = [row for row in rows if value in cell_values(row, column)]
    if not matching:
        known = sorted({each for row in rows for each in cell_values(row, column)}, key=natural_key)
        more = " ..." if len(known) > MOST_CHOICES else ""
        choices = ", ".join(known[:MOST_CHOICES]) + more
        raise MlopsError(f"no such model has {column} {value!r}; there are {choices}")
    return matching


def cell_values(row: Row, column: str) -> list[str]:
    """Returns the values of a cell: a model may run in more than one environment."""
    return str(row.get(column)).split(", ") if row.get(column) is not None else []


def sorted_rows(rows: Sequence[Row], column: str) -> list[Row]:
    """Returns the rows sorted by a metric, best first, or by another column; rows without a value last."""
    refuse_unknown(column, rows)
    present = [row for row in rows if row.get(column) is not None]
    absent = [row for row in rows if row.get(column) is None]
    downwards = column in metrics_of(rows) and not LESS_IS_BETTER.fullmatch(column)
    return sorted(present, key=lambda row: natural_key(row[column]), reverse=downwards) + absent


def metrics_of(rows: Sequence[Row]) -> list[str]:
    return [
        name for name in column_names(rows) if any(isinstance(row.get(name), float) for row in rows)
    ]


def column_names(rows: Sequence[Row]) -> list[str]:
    """Returns the names of all columns that any row has."""
    return list(dict.fromkeys(name for row in rows for name in row))


def refuse_unknown(column: str, rows: Sequence[Row]) -> None:
    if column not in column_names(rows):
        raise MlopsError(f"{column!r} is not a column; use one of {', '.join(column_names(rows))}")


def natural_key(cell: Cell) -> list[Any]:
    """Returns a key that sorts v1.10.0 after v1.9.0."""
    if not isinstance(cell, str):
        return [cell]
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", cell)]


def headings(sort: str | None = None) -> dict[str, str]:
    """Returns COLUMNS; another column by which the rows are sorted is inserted before the last."""
    *first, last = COLUMNS.items()
    extra = [(sort, sort)] if sort and sort not in COLUMNS else []
    return dict([*first, *extra, last])


def shown_cell(row: Row, column: str) -> str:
    cell = row.get(column)
    if isinstance(cell, float):
        return f"{cell:.2f}" if column.endswith("_percent") else f"{cell:.4f}"
    return "-" if cell is None else str(cell)


def shown_cells(rows: Sequence[Row], columns: Iterable[str]) -> list[list[str]]:
    """Returns the text of each row's cells in these columns: shape (rows, columns)."""
    names = [*columns]
    return [[shown_cell(row, name) for name in names] for row in rows]


def as_markdown(rows: Sequence[Row], columns: Mapping[str, str]) -> str:
    lines = [columns.values(), ["---"] * len(columns)]
    lines += [[cell.replace("|", r"\|") for cell in row] for row in shown_cells(rows, columns)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_csv(rows: Sequence[Row]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, column_names(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def as_json(rows: Sequence[Row]) -> str:
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
