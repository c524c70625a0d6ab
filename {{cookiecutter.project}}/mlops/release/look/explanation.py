"""`mlops tracker --explain`: says for what the numbers 1.0, 1.1, ... of data and parameters stand."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from mlops.release.history.outputs import TESTING, TRAINING, VALIDATION
from mlops.release.look.changes import change_lines, flattened
from mlops.release.look.tracker import COLUMNS, Numbers, Row, parameters_of

FILES = {"training": TRAINING, "validation": VALIDATION, "testing": TESTING}


def explanation_lines(
    rows: Sequence[Row], models: Sequence[Row], numbers: Numbers
) -> Iterator[str]:
    """Yields the meaning of each number in `rows`; `models` are all rows, in the order of their numbers."""
    for column, path in FILES.items():
        used = {row[column] for row in rows}
        yield COLUMNS[column]
        for md5, number in numbers.names.get(column, {}).items():
            if number in used:
                first = next(row for row in models if row[column] == number)
                commit = first["commit"]  # a trial has none
                get = f": `dvc get . {path} --rev {str(commit)[:7]}`" if commit else ""
                yield f"  {number}  MD5 {md5}, first of {first['model']}{get}"
    for architecture in dict.fromkeys(row["architecture"] for row in rows):
        used = {row["parameters"] for row in rows if row["architecture"] == architecture}
        yield f"{COLUMNS['parameters']} of {architecture or 'no architecture'}"
        yield from parameter_lines(numbers.names[parameters_of(architecture)], used)


def parameter_lines(names: dict[str, str], used: set[Any]) -> Iterator[str]:
    """Yields the first set of parameters whole, and of each other one how it differs from the first."""
    first: dict[str, Any] = {}
    for content, number in names.items():
        prepare, train = json.loads(content)
        values = flattened({"prepare": prepare, "train": train})
        if not first:
            first = values
            whole = ", ".join(
                f"{name}: {value}" for name, value in values.items() if value is not None
            )
            yield f"  {number}  {whole}"
        elif number in used:
            yield f"  {number}  as 1.0, but {'; '.join(change_lines(first, values))}"
