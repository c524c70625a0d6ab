"""A project with a small table, made for the columns that params.yaml declares, so that the tests
stay true whatever table the project is given."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from ruamel.yaml import YAML

from pipeline import deploy, evaluate, gate, params, prepare, train

PROJECT = Path(__file__).parents[1]
ROWS = 600
TABLE = Path("data/raw/table.csv")
ENVIRONMENT = """\
data: {{fraction: {fraction}}}
gate:
  on_failure: {on_failure}
  bounds:
    accuracy: {{min: 0.6}}
  max_drop: {{}}
deploy: {{max_milliseconds: 10000, max_megabytes: 100, max_memory_megabytes: 1000}}
serve: {{api_key_required: false, max_rows: 1000, max_body_megabytes: 1, max_seconds: 5}}
"""
ENVIRONMENTS = {
    "dev": ENVIRONMENT.format(fraction=0.7, on_failure="report"),
    "staging": ENVIRONMENT.format(fraction=1.0, on_failure="stop"),
    "prod": ENVIRONMENT.format(fraction=1.0, on_failure="stop"),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a small project of which nothing was run."""
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    make(folder)
    with contextlib.chdir(folder):
        for stage in (prepare, train, evaluate, gate, deploy):
            stage.main()
    return folder


@pytest.fixture
def trained(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a small project of which every stage was run."""
    shutil.copytree(finished, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(folder: Path) -> None:
    """Nothing is run; the environment is dev."""
    for name in ("pipeline", "serving", "requirements"):
        (folder / name).symlink_to(PROJECT / name)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(PROJECT / name, folder)
    for directory in ("environments", "data/raw"):
        (folder / directory).mkdir(parents=True)
    for name, text in ENVIRONMENTS.items():
        (folder / f"environments/{name}.yaml").write_text(text)
    (folder / "environment.yaml").write_text("environment: dev\n")
    table().to_csv(folder / TABLE, index=False)


def table(rows: int = ROWS) -> pd.DataFrame:
    """Text as it stands in a CSV file: every column hints at the class, some cells are missing."""
    random = np.random.default_rng(7)
    declared = params.load(PROJECT).params.prepare
    class_score = random.normal(size=rows)

    def hint() -> NDArray[np.float64]:
        return class_score + random.normal(size=rows)

    columns, letters = declared.columns, np.array(list("abcdefgh"))
    inputs = {
        **{name: (50 + 10 * hint()).round().astype(int) for name in columns.integer},
        **{name: hint().round(3) for name in columns.number},
        **{name: letters[np.digitize(hint(), range(-3, 4))] for name in columns.category},
    }
    table = pd.DataFrame(inputs, dtype=str)
    for marker in declared.missing:
        table = table.mask(random.random(table.shape) < 0.03, marker)
    for name in columns.ignored:
        table[name] = [f"row {number}" for number in range(rows)]
    table[declared.target] = np.where(class_score > 0.5, declared.positive, "other")
    return table


def use(table: pd.DataFrame, **columns: list[str]) -> None:
    """Make `table` the raw table of the current directory, its columns by type as given."""
    table.to_csv(TABLE, index=False)
    none: dict[str, list[str]] = {"integer": [], "number": [], "category": [], "ignored": []}
    change("params.yaml", "evaluate.subgroups", [])
    change("params.yaml", "prepare.columns", none | columns)


def change(file: str, key: str, value: object) -> None:
    """Set `key`, a path with dots, in a YAML file of the current directory."""
    content = YAML(typ="safe", pure=True).load(Path(file))
    *path, last = key.split(".")
    block = content
    for name in path:
        block = block[name]
    block[last] = value
    YAML().dump(content, Path(file))


def contents(folder: str) -> dict[str, bytes]:
    """Every file of a folder of the current directory, by name."""
    return {file.name: file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()}
