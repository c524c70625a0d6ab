"""Batches of the small project: what it deployed, laid out as `mlops score` would, and its rows."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import small_project
from pyarrow import csv, parquet

from batch import score
from batch.order import Order
from serving import schema

ROWS = 200
DATABASE = "predictions.db"


@pytest.fixture(scope="session")
def released(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a deployment."""
    return release(finished / "deploy", tmp_path_factory.mktemp("release"))


@pytest.fixture
def arrived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, where rows.csv has arrived."""
    monkeypatch.chdir(tmp_path)
    table().to_csv("rows.csv", index=False)
    return tmp_path


def release(bundle: Path, folder: Path, version: str = "v1.0.0") -> Path:
    shutil.copytree(bundle, folder / "deploy", dirs_exist_ok=True)
    for room in ("serving", "batch"):
        (folder / room).symlink_to(small_project.PROJECT / room)
    files = {
        file.name: hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        for file in (folder / "deploy").iterdir()
    }
    content = {
        "environment": "prod",
        "version": version,
        "commit": "c" * 40,
        "bundle": f"{hashlib.sha256(repr(files).encode()).hexdigest()[:32]}.dir",
        "files": files,
    }
    (folder / "release.json").write_text(json.dumps(content))
    return folder


def table(rows: int = ROWS) -> pd.DataFrame:
    """Text as in a CSV file, with an identifier that the model does not know."""
    table = small_project.table(rows)
    table.insert(0, "id", [f"person {number}" for number in range(rows)])
    return table


def write_parquet(release: Path) -> None:
    """rows.csv, as rows.parquet of the types that the model knows."""
    model = schema.read(release / "deploy/schema.json")
    text = csv.ConvertOptions(
        column_types=dict.fromkeys(model.names("category"), "string"),
        null_values=model.missing,
        strings_can_be_null=True,
    )
    parquet.write_table(csv.read_csv("rows.csv", convert_options=text), "rows.parquet")


def order(release: Path, *inputs: str, **others: Any) -> Order:
    return Order([*inputs] or ["rows.csv"], f"sqlite:///{DATABASE}", str(release), **others)


def run(release: Path, *inputs: str, **others: Any) -> str:
    """What is said of a batch that is scored in this process."""
    said: list[str] = []
    score.score(order(release, *inputs, **others), said.append)
    return "\n".join(said)


def command(release: Path, **fields: Any) -> list[str]:
    asked = {"inputs": ["rows.csv"], "to": f"sqlite:///{DATABASE}", "release": str(release)}
    return [sys.executable, "-m", "batch.score", json.dumps(asked | fields)]


def variables(release: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(release), "PYTHONSAFEPATH": "1"}


def process(release: Path, **fields: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(release, **fields),
        env=variables(release),
        capture_output=True,
        text=True,
        check=False,
    )


def stored(sql: str) -> list[Any]:
    """The rows of a query; of one column, its values."""
    connection = sqlite3.connect(DATABASE)
    found = connection.execute(sql).fetchall()
    connection.close()
    return [row[0] for row in found] if found and len(found[0]) == 1 else found
