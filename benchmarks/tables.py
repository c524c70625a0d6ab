"""From a stranger's file to an answer on prod with `mlops adopt --yes`, for many tables.

    make install && .venv/bin/python benchmarks/tables.py [--rows N] [--tables FOLDER] [--log FILE] [NAME...]

writes benchmarks/tables.md. FOLDER has tables of others; without a NAME, every table is tried. With the same
FILE, tables that were tried are not tried again.
"""

import argparse
import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

import page
import strange_tables
from page import Target
from pipeline import ENVIRONMENT, NAME, TEMPLATE, cookiecutter
from strange_tables import KINDS, Strange

KEY = "benchmark"
PATIENCE = 60
FIRST = {"binary": "accuracy", "multiclass": "accuracy", "regression": "mae"}
STEPS = ("adopt", "repro", "staging", "prod", "score", "answer")


@dataclass(frozen=True)
class Result:
    """What became of a table: seconds by step, `failed` with the last line of the step that failed, the
    columns whose type is wrong, the leaks that were not named, and the metric of the test rows with its 95 %
    interval, beside those of a guess and of a pipeline by hand."""

    table: Strange
    seconds: Mapping[str, float]
    failed: str
    wrong: Sequence[str]
    unnamed: Sequence[str]
    metric: float | None = None
    interval: Sequence[float] = ()
    baseline: float | None = None
    by_hand: float | None = None

    @property
    def behind(self) -> float:
        """Returns how far the score is behind the one by hand, in percent of that."""
        if self.metric is None or not self.by_hand:
            return 0.0
        return max(0.0, self.sign * (self.by_hand - self.metric) / self.by_hand * 100)

    @property
    def is_worse(self) -> bool:
        """Returns whether the score is behind the one by hand by more than chance explains: that one is
        beyond the interval."""
        if not self.interval or self.by_hand is None:
            return False
        end = self.interval[1] if self.sign > 0 else self.interval[0]
        return self.sign * (self.by_hand - end) > 0

    @property
    def sign(self) -> int:
        return -1 if FIRST[self.table.task] == "mae" else 1


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def measure(table: Strange, baked: Path, folder: Path) -> Result:
    project = folder / NAME
    shutil.copytree(baked, project)
    (folder / f"{NAME}-storage").mkdir()
    given = [*table.write(folder)]
    mlops = (sys.executable, "-m", "mlops.cli")
    commit = ("sh", "-c", "git add --all && git commit --quiet --message 'First model'")
    source = given[given.index("--target") - 1]
    scored = (
        source if not given[0].startswith("--") and is_read(source) else str(project / "data/raw")
    )
    commands = {
        "adopt": (*mlops, "adopt", *given, "--yes"),
        "repro": (*mlops, "repro"),
        "commit": commit,
        "staging": (*mlops, "promote", "staging"),
        "prod": (*mlops, "promote", "prod"),
        "score": (*mlops, "score", scored, "--to", "sqlite:///scores.db", "--max-rejects", "0"),
    }
    seconds: dict[str, float] = {}
    said, failed = "", ""
    for step, command in commands.items():
        started = time.perf_counter()
        done = run(*command, cwd=project)
        seconds[step] = time.perf_counter() - started
        if step == "adopt":
            said = done.stdout
        if done.returncode:
            failed = f"{step}: {(done.stderr or done.stdout).strip().splitlines()[-1]}"
            break
    else:
        started = time.perf_counter()
        failed = ask_prod(project)
        seconds["answer"] = time.perf_counter() - started
    wrong = wrong_types(table, project) if "repro" in seconds else ["all"]
    leaks = " ".join(line for line in said.splitlines() if line.startswith("perhaps a leak"))
    unnamed = [name for name in table.leaks if name not in leaks]
    return Result(
        table, seconds, failed, wrong, unnamed, *(scores(table, project) if not failed else ())
    )


def is_read(path: str) -> bool:
    return Path(path).is_dir() or path.endswith((".csv", ".tsv", ".data", ".csv.gz", ".parquet"))


def wrong_types(table: Strange, project: Path) -> list[str]:
    """Returns the columns whose type is not the right one; the task counts as one."""
    prepare = YAML(typ="safe").load(project / "params.yaml")["prepare"]
    found = {name: kind for kind in prepare["columns"] for name in prepare["columns"][kind]}
    (stored, *_) = sorted((project / "data/raw").iterdir())
    names = [name for name in table_names(stored, prepare["source"]) if name != prepare["target"]]
    wrong = [
        f"{name}: {found.get(name)}, not {KINDS[kind]}"
        for name, kind in zip(names, table.types, strict=True)
        if found.get(name) != KINDS[kind]
    ]
    return wrong + ([f"task {prepare['task']}"] if prepare["task"] != table.task else [])


def table_names(stored: Path, source: Mapping[str, Any]) -> Sequence[str]:
    if stored.suffix == ".parquet":
        return [*pd.read_parquet(stored).columns]
    if source["names"]:
        return [*source["names"]]
    options = {
        "sep": r"\s+" if source["delimiter"] == " " else source["delimiter"],
        "encoding": source["encoding"],
        "skiprows": source["skip"],
    }
    return [*pd.read_csv(stored, nrows=0, **options).columns]


def scores(table: Strange, project: Path) -> tuple[float, Sequence[float], float, float]:
    """Returns the first metric of dev's test rows: of the model, its interval, of a guess, and of histogram
    gradient boosting on the same rows, by hand."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    metrics = json.loads((project / "reports/metrics.json").read_text())
    target = YAML(typ="safe").load(project / "params.yaml")["prepare"]["target"]
    schema = json.loads((project / "data/prepared/schema.json").read_text())
    names = [column["name"] for column in schema["columns"]]
    train, test = (
        pd.read_parquet(project / f"data/prepared/{name}.parquet") for name in ("train", "test")
    )

    def inputs(rows: pd.DataFrame) -> pd.DataFrame:
        columns = {}
        for column in schema["columns"]:
            values = rows[column["name"]]
            if column["type"] == "category":
                known = values.isin(column["categories"])
                columns[column["name"]] = values.where(known).astype(object)
            elif column["type"] == "date":
                columns[column["name"]] = pd.to_datetime(values).astype("int64") / 8.64e13
            else:
                columns[column["name"]] = values.astype(float)
        return pd.DataFrame(columns)[names]

    encode = make_column_transformer(
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
            make_column_selector(dtype_include=object),
        ),
        remainder="passthrough",
    )
    model = (
        HistGradientBoostingRegressor
        if table.task == "regression"
        else HistGradientBoostingClassifier
    )
    leaf = max(2, min(20, len(train) // 20))
    fitted = make_pipeline(
        encode, model(max_iter=150, early_stopping=False, min_samples_leaf=leaf, random_state=20)
    ).fit(inputs(train), train[target])
    predicted = fitted.predict(inputs(test))
    if table.task == "regression":
        by_hand = float(abs(predicted - test[target]).mean())
    else:
        by_hand = float((predicted == test[target]).mean())
    first = FIRST[table.task]
    interval = metrics["interval"][first] or ()
    return metrics["test"][first], interval, metrics["baseline"][first], by_hand


@contextmanager
def serving(project: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlops.cli", "serve", "--port", str(port)]
    variables = {**ENVIRONMENT, "API_KEY": KEY}
    with subprocess.Popen(
        command, cwd=project, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield port
        finally:
            process.terminate()


def ask_prod(project: Path) -> str:
    """Returns "" if the service of prod answers the example of its schema over HTTP, and else why not."""
    schema = json.loads((project / "models/schema.json").read_text())
    row = {column["name"]: column["example"] for column in schema["columns"]}
    said = "no answer"
    with serving(project) as port:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                headers = {"Content-Type": "application/json", "X-API-Key": KEY}
                connection.request("POST", "/predict", json.dumps(row), headers)
                answer = connection.getresponse()
                said = answer.read().decode()
                return "" if answer.status == 200 else f"answer: {answer.status} {said}"
            except OSError:
                time.sleep(0.1)
    return f"answer: {said}"


def rows_of(results: Sequence[Result]) -> Iterator[list[str]]:
    for result in results:
        numbers = [
            f"{result.seconds[step]:.1f}" if step in result.seconds else "-" for step in STEPS
        ]
        values = (result.metric, result.baseline, result.by_hand)
        shown = ["-" if value is None else f"{value:.4g}" for value in values]
        shown.insert(1, " to ".join(f"{end:.4g}" for end in result.interval) or "-")
        types = "; ".join(result.wrong[:2]) or "right"
        yield [result.table.name, result.failed or "yes", types, *numbers, *shown]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--tables", type=Path, default=Path("none"))
    parser.add_argument("--log", type=Path, default=Path(tempfile.mkdtemp(), "tables.jsonl"))
    chosen = parser.parse_args()
    every = [
        *strange_tables.learnt(),
        *strange_tables.shared(chosen.tables),
        *strange_tables.strange(chosen.rows),
    ]
    lines = chosen.log.read_text().splitlines() if chosen.log.exists() else []
    tried = {entry["table"]: entry for entry in map(json.loads, lines)}
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        baked = cookiecutter(TEMPLATE, Path(scratch))
        for table in every:
            if chosen.names and table.name not in chosen.names:
                continue
            if table.name in tried:
                results.append(Result(**{**tried[table.name], "table": table}))
                continue
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                results.append(measure(table, baked, Path(folder)))
            with chosen.log.open("a") as log:
                facts = {**vars(results[-1]), "table": table.name}
                log.write(json.dumps(facts, default=float) + "\n")
            print(*next(rows_of(results[-1:])), sep=" | ", flush=True)
    Path(__file__).with_suffix(".md").write_text(report(results))


def report(results: Sequence[Result]) -> str:
    columns = sum(len(result.table.types) + 1 for result in results)
    wrong = sum(len(result.wrong) for result in results)
    reached = sum(not result.failed for result in results)
    targets = [
        Target(
            "tables that reach an answer on prod", 100 * reached / len(results), " %", least=100
        ),
        Target("right types and tasks", 100 * (1 - wrong / columns), " %", least=99),
        Target("planted leaks not named", sum(len(r.unnamed) for r in results), most=0),
        Target(
            "scores more than 1 % behind the pipeline by hand",
            sum(r.behind > 1 for r in results),
            most=0,
        ),
        Target(
            "of these, with the one by hand beyond the 95 % interval",
            sum(r.behind > 1 and r.is_worse for r in results),
            most=0,
        ),
    ]
    heads = [
        "table",
        "prod",
        "types",
        *(f"{step}, s" for step in STEPS),
        "test",
        "95 % interval",
        "guess",
        "by hand",
    ]
    return "\n\n".join(
        [
            "# Tables of strangers: from a file to an answer on prod",
            page.paragraph(
                f"{page.machine()} One run each, beside other work of the machine. `mlops adopt --yes`, "
                "`mlops repro`, a commit and two promotions, with nothing edited; then `mlops score` on the "
                "original file, or on the table if it is not of text or Parquet, and an answer of `mlops "
                "serve`. The metric is accuracy or the mean absolute error of dev's test rows; by hand is "
                "histogram gradient boosting of scikit-learn on the same rows."
            ),
            "    make install && .venv/bin/python benchmarks/tables.py --tables FOLDER",
            page.target_table(targets),
            page.table(heads, rows_of(results)),
        ]
    )


if __name__ == "__main__":
    main()
