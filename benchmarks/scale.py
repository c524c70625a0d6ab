"""Measures the way from a CSV file to a model on large tables, beside scripts written by hand, in one run.

    make install && .venv/bin/python benchmarks/scale.py

writes benchmarks/scale.md. Every time and peak is that of whole processes, from their start to their end, as
the median of rounds in which the contestants take turns. The benchmark needs an otherwise idle machine with
16 GB of memory and 20 GB of disk. --rows names the sizes, and --prepare those for prepare alone;
--environments DIR keeps the installed environments for the next run.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
from pyarrow import csv

import environments  # the modules that follow are of benchmarks/
import page
import pipeline
from environments import Environment
from processes import Cost, cost
from project import PEERS, SAME_MODEL

ROUNDS = 3
AT_ONCE = 100_000
OURS = "this template, `mlops repro`"
BY_HAND, POLARS = "by hand: pandas, scikit-learn", "by hand: Polars, LightGBM"
STAGES = ("prepare", "train", "evaluate", "gate", "deploy")


@dataclass(frozen=True)
class Contestant:
    """What is measured: its name, its command for a table, and the folder in which it runs."""

    name: str
    command: Sequence[str | Path]
    folder: Path


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        parent = options.environments or scratch / "environments"
        libraries = [*SAME_MODEL, f"lightgbm=={version('lightgbm')}", "polars", "joblib"]
        by_hand = environments.make_environment(parent, "scale", *libraries, "pyarrow")
        project = baked(scratch)
        sections = [
            *(
                whole_section(rows, project, by_hand, scratch, options.rounds)
                for rows in options.rows
            ),
            prepare_section(options.prepare, project),
            *shape_sections(project),
        ]
        text = "\n\n".join([*head(by_hand), *sections])
    Path(__file__).with_suffix(".md").write_text(text + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure training on large tables.")
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument(
        "--prepare", type=int, nargs="*", default=[1_000_000, 10_000_000, 30_000_000]
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--environments", type=Path, metavar="DIR", help="kept for the next run")
    return parser.parse_args()


def head(by_hand: Environment) -> list[str]:
    peers = by_hand.versions("pandas", "scikit-learn", "polars", "lightgbm")
    return [
        "# From a table to a model, by the size of the table",
        page.paragraph(
            f"{page.machine()} {peers}; dvc {version('dvc')}, onnxruntime {version('onnxruntime')}, pyarrow "
            f"{version('pyarrow')}. The rows are those of the census, drawn with other weights (fnlwgt). All "
            "contestants compute the two derived columns, split in 60, 20 and 20 %, train 150 iterations of "
            "31 leaves on native categories, and measure on validation and test rows. This template also "
            "stores data and models in DVC's cache, exports to ONNX, compares the exported model with the "
            "estimator, writes plots, subgroups and the profile, and tests the bundle."
        ),
        "    make install && .venv/bin/python benchmarks/scale.py",
    ]


def baked(scratch: Path) -> Path:
    """Returns a project whose environment dev sees all rows."""
    project = pipeline.cookiecutter(pipeline.TEMPLATE, scratch)
    environment = project / "environments/dev.yaml"
    lines = environment.read_text().splitlines()
    all_rows = ["data: {fraction: 1.0}" if line.startswith("data:") else line for line in lines]
    environment.write_text("\n".join(all_rows) + "\n")
    shutil.copy(project / "data/raw/adult.csv", scratch / "adult.csv")
    return project


def write_table(rows: int, project: Path) -> Path:
    """Makes the table of the project one with as many rows, and returns its file."""
    file = project / "data/raw/adult.csv"
    census = csv.read_csv(project.parents[1] / "adult.csv")
    random = np.random.default_rng(1)
    position = census.schema.get_field_index("fnlwgt")
    with csv.CSVWriter(
        file, census.schema, write_options=csv.WriteOptions(quoting_style="none")
    ) as out:
        for start in range(0, rows, AT_ONCE):
            count = min(AT_ONCE, rows - start)
            weights = pa.array(random.integers(12_285, 1_484_705, count))
            drawn = census.take(random.integers(0, len(census), count))
            out.write_table(drawn.set_column(position, "fnlwgt", weights))
    return file


def whole_section(
    rows: int, project: Path, by_hand: Environment, scratch: Path, rounds: int
) -> str:
    table = write_table(rows, project)
    contestants = [
        Contestant(BY_HAND, [by_hand.python, PEERS / "train_by_hand.py", table], scratch),
        Contestant(POLARS, [by_hand.python, PEERS / "train_polars.py", table], scratch),
        Contestant(OURS, [sys.executable, "-m", "mlops.cli", "repro"], project),
    ]
    costs: dict[str, list[Cost]] = {each.name: [] for each in contestants}
    for number in range(rounds):
        for each in contestants:
            print(f"{rows:,} rows, round {number + 1}: {each.name}", flush=True)
            forget(project)
            costs[each.name].append(cost(each.command, each.folder, pipeline.ENVIRONMENT))
    stages = stage_costs(project)
    return "\n\n".join(
        [
            f"## {rows:,} rows ({table.stat().st_size / 1e6:,.0f} MB)",
            whole_table(costs),
            page.table(["stage", "seconds", "peak MB"], stage_rows(stages, costs[OURS])),
        ]
    )


def forget(project: Path) -> None:
    """Removes what earlier runs have made, so that a run begins from nothing."""
    for made in (
        "dvc.lock",
        "data/prepared",
        "models",
        "deploy",
        "reports",
        ".dvc/cache",
        ".dvc/tmp",
    ):
        path = project / made
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def whole_table(costs: Mapping[str, Sequence[Cost]]) -> str:
    seconds = {name: median(each.seconds for each in runs) for name, runs in costs.items()}
    peaks = {name: median(each.megabytes for each in runs) for name, runs in costs.items()}
    rows = [
        [
            name,
            f"{seconds[name]:.1f}",
            f"{seconds[name] / seconds[BY_HAND]:.2f}",
            f"{peaks[name]:,.0f}",
            f"{peaks[name] / peaks[BY_HAND]:.2f}",
        ]
        for name in costs
    ]
    return page.table(["", "seconds", "ratio", "peak MB", "ratio"], rows)


def stage_costs(project: Path) -> dict[str, Cost]:
    return {
        stage: cost([sys.executable, "-m", f"mlops.{stage}"], project, pipeline.ENVIRONMENT)
        for stage in STAGES
    }


def stage_rows(stages: Mapping[str, Cost], whole: Sequence[Cost]) -> Iterator[list[str]]:
    for name, each in stages.items():
        yield [name, f"{each.seconds:.1f}", f"{each.megabytes:,.0f}"]
    others = median(each.seconds for each in whole) - sum(each.seconds for each in stages.values())
    yield ["outside the stages: DVC's start, hashes, cache", f"{others:.1f}", ""]


def prepare_section(sizes: Sequence[int], project: Path) -> str:
    rows = []
    for size in sizes:
        print(f"prepare alone, {size:,} rows", flush=True)
        write_table(size, project)
        found = cost([sys.executable, "-m", "mlops.prepare"], project, pipeline.ENVIRONMENT)
        rows.append([f"{size:,}", f"{found.seconds:.1f}", f"{found.megabytes:,.0f}"])
    return "\n\n".join(
        ["## prepare alone", page.table(["rows", "seconds, start-up included", "peak MB"], rows)]
    )


def shape_sections(project: Path) -> Iterator[str]:
    """Yields the time of each stage for a wide table, and for one with a category of 100,000 values."""
    random = np.random.default_rng(1)
    wide = {f"n{number}": random.normal(size=100_000).round(4) for number in range(1000)}
    yield shape_section("1,000 columns, 100,000 rows", project, wide, [*wide], [])
    zips = random.integers(0, 100_000, 1_000_000).astype(str)
    many = {"size": random.normal(size=1_000_000).round(4), "zip": np.char.add("z", zips)}
    yield shape_section(
        "a category of 100,000 values, 1,000,000 rows", project, many, ["size"], ["zip"]
    )


def shape_section(
    title: str,
    project: Path,
    columns: Mapping[str, np.ndarray],
    numbers: Sequence[str],
    categories: Sequence[str],
) -> str:
    print(title, flush=True)
    parameters = project / "params.yaml"
    before = parameters.read_text()
    features = project / "science/features.py"
    declared = features.read_text()
    first = columns[numbers[0]]
    income = np.where(first + np.random.default_rng(2).normal(size=len(first)) > 0, ">50K", "<=50K")
    csv.write_csv(pa.table({**columns, "income": income}), project / "data/raw/adult.csv")
    content = pipeline_yaml(before, numbers, categories)
    parameters.write_text(content)
    features.write_text('"""No derived columns."""\n')
    stages = stage_costs(project)
    parameters.write_text(before)
    features.write_text(declared)
    rows = [
        [name, f"{each.seconds:.1f}", f"{each.megabytes:,.0f}"] for name, each in stages.items()
    ]
    return "\n\n".join([f"## {title}", page.table(["stage", "seconds", "peak MB"], rows)])


def pipeline_yaml(text: str, numbers: Sequence[str], categories: Sequence[str]) -> str:
    """Returns params.yaml with other columns."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    content = yaml.load(text)
    content["prepare"]["columns"] = {
        "integer": [],
        "number": list(numbers),
        "boolean": [],
        "date": [],
        "category": list(categories),
        "ignored": [],
    }
    content["evaluate"]["subgroups"] = []
    stream = StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()


if __name__ == "__main__":
    main()
