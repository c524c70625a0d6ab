"""Measures the way from a CSV file to a model on large tables, beside scripts written by hand, in one run.

    make install && .venv/bin/python benchmarks/scale.py

writes benchmarks/scale.md. Every time and peak is that of whole processes, from their start to their end. The
contestants take turns in rounds, whose medians count; prepare alone and the stages of other tables are
measured once. The benchmark needs an otherwise idle machine with 16 GB of memory and 20 GB of disk. --rows
names the sizes, and --prepare those for prepare alone; --environments DIR keeps the installed environments
for the next run.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
from pyarrow import csv
from ruamel.yaml import YAML

import environments  # the modules that follow are of benchmarks/
import page
import pipeline
from environments import Environment
from processes import Cost, Part, cost
from project import PEERS, SAME_MODEL

ROUNDS = 3
AT_ONCE = 100_000
OURS = "this template, `mlops repro`"
LIGHTGBM = "this template, `architecture: lightgbm`"
BY_HAND, POLARS = "by hand: pandas, scikit-learn", "by hand: Polars, LightGBM"
TABLE = Path("data/raw/adult.csv")


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        parent = options.environments or scratch / "environments"
        libraries = [*SAME_MODEL, f"lightgbm=={version('lightgbm')}", "polars", "joblib"]
        by_hand = environments.make_environment(parent, "scale", *libraries, "pyarrow")
        project = baked(scratch)
        text = "\n\n".join(head(by_hand))
        for section in sections(options, project, by_hand):
            text += f"\n\n{section}"
            Path(__file__).with_suffix(".md").write_text(f"{text}\n")


def sections(options: argparse.Namespace, project: Path, by_hand: Environment) -> Iterator[str]:
    each = options.rounds or [ROUNDS] * len(options.rows)
    for rows, rounds in zip(options.rows, each, strict=True):
        yield whole_section(rows, project, by_hand, rounds)
    yield prepare_section(options.prepare, project)
    yield from shape_sections(project)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure training on large tables.")
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument(
        "--prepare", type=int, nargs="*", default=[1_000_000, 10_000_000, 30_000_000]
    )
    parser.add_argument("--rounds", type=int, nargs="*", help="of each size; 3 by default")
    parser.add_argument("--environments", type=Path, metavar="DIR", help="kept for the next run")
    return parser.parse_args()


def head(by_hand: Environment) -> list[str]:
    peers = by_hand.versions("pandas", "scikit-learn", "polars", "lightgbm", "pyarrow")
    return [
        "# From a table to a model, by the size of the table",
        page.paragraph(
            f"{page.machine()} {peers}; dvc {version('dvc')}, onnxruntime {version('onnxruntime')}, pyarrow "
            f"{version('pyarrow')}. The rows are those of the census, drawn with other weights (fnlwgt). All "
            "contestants compute the two derived columns, split in 60, 20 and 20 %, train 150 iterations of "
            "31 leaves on native categories, and measure on validation and test rows. This template also "
            "stores data and models in DVC's cache, exports to ONNX, compares the exported model with the "
            "estimator, writes plots, subgroups and the profile, and tests the bundle. Every process begins "
            "with the table in memory, and `mlops repro` with no cache, lock or earlier output. A peak is "
            "the sum over the processes of a contestant, each at its own. The seconds of the stages are "
            "those inside `mlops repro`. `mlops adopt` chooses LightGBM for a table of two million rows or "
            "more, and else gradient_boosting of scikit-learn. prepare alone and the stages of the other "
            "tables were measured "
            "once."
        ),
        "    make install && .venv/bin/python benchmarks/scale.py",
    ]


def baked(scratch: Path) -> Path:
    """Returns a project whose environment dev sees all rows, and copies its census to `scratch`."""
    project = pipeline.cookiecutter(pipeline.TEMPLATE, scratch)
    environment = project / "environments/dev.yaml"
    lines = environment.read_text().splitlines()
    all_rows = ["data: {fraction: 1.0}" if line.startswith("data:") else line for line in lines]
    environment.write_text("\n".join(all_rows) + "\n")
    pipeline.run("git", "commit", "--all", "--quiet", "--message", "All rows", cwd=project)
    shutil.copy(project / TABLE, scratch / TABLE.name)
    return project


def write_table(rows: int, project: Path) -> None:
    """Makes the table of the project one with as many rows."""
    census = csv.read_csv(project.parents[1] / TABLE.name)
    random = np.random.default_rng(1)
    position = census.schema.get_field_index("fnlwgt")
    with csv.CSVWriter(
        project / TABLE, census.schema, write_options=csv.WriteOptions(quoting_style="none")
    ) as out:
        for start in range(0, rows, AT_ONCE):
            count = min(AT_ONCE, rows - start)
            weights = pa.array(random.integers(12_285, 1_484_705, count))
            drawn = census.take(random.integers(0, len(census), count))
            out.write_table(drawn.set_column(position, "fnlwgt", weights))


def whole_section(rows: int, project: Path, by_hand: Environment, rounds: int) -> str:
    write_table(rows, project)
    commands: dict[str, Sequence[str | Path]] = {
        BY_HAND: [by_hand.python, PEERS / "train_by_hand.py", TABLE],
        POLARS: [by_hand.python, PEERS / "train_polars.py", TABLE],
        OURS: [sys.executable, "-m", "mlops.cli", "repro"],
    }
    commands[LIGHTGBM] = commands[OURS]
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            print(f"{rows:,} rows, round {number + 1}: {name}", flush=True)
            restore(project)
            if name == LIGHTGBM:
                choose_lightgbm(project)
            costs[name].append(measured(command, project))
    return "\n\n".join(
        [
            f"## {rows:,} rows ({(project / TABLE).stat().st_size / 1e6:,.0f} MB), "
            f"{rounds} round{'s' * (rounds > 1)}",
            whole_table(costs),
            parts_table(costs),
        ]
    )


def choose_lightgbm(project: Path) -> None:
    file = project / "params.yaml"
    text = file.read_text()
    file.write_text(text.replace("architecture: gradient_boosting", "architecture: lightgbm"))


def parts_table(costs: Mapping[str, Sequence[Cost]]) -> str:
    """Returns the seconds and the peak of each stage inside `mlops repro`, and the seconds outside them, with
    both architectures."""
    columns = [column for name in (OURS, LIGHTGBM) for column in parts_columns(costs[name])]
    names = [*pipeline.STAGES, "outside the stages: DVC, and the guard of deploy"]
    heads = ["stage", "seconds", "peak MB", "with lightgbm", "peak MB"]
    return page.table(heads, [[*row] for row in zip(names, *columns, strict=True)])


def parts_columns(runs: Sequence[Cost]) -> tuple[list[str], list[str]]:
    stages = [[stage_parts(run, stage) for run in runs] for stage in pipeline.STAGES]
    inside = [median(sum(each.seconds for each in parts) for parts in found) for found in stages]
    peaks = [median(max(each.megabytes for each in parts) for parts in found) for found in stages]
    others = median(run.seconds for run in runs) - sum(inside)
    return [f"{each:.1f}" for each in (*inside, others)], [*(f"{each:,.0f}" for each in peaks), ""]


def stage_parts(run: Cost, stage: str) -> list[Part]:
    return [part for part in run.parts if [*part.command[-2:]] == ["-m", f"mlops.{stage}"]]


def restore(project: Path) -> None:
    """Makes the project what it was when it was committed, except for its table: without lock, cache and
    outputs, so that a run begins from nothing."""
    kept = ("--exclude", f"/{TABLE.parent}", "--exclude", "__pycache__")
    pipeline.run("git", "reset", "--quiet", "--hard", cwd=project)
    pipeline.run("git", "clean", "-ffdxq", *kept, cwd=project)


def measured(command: Sequence[str | Path], project: Path) -> Cost:
    """Returns the cost of a command that begins with the table in memory, and with nothing left to be written
    to disk by earlier ones."""
    os.sync()
    pipeline.run("md5sum", TABLE, cwd=project)  # reads the table
    hashes = str(project / ".dvc/tmp/site")  # anywhere else they would outlive `restore`
    return cost(command, project, {**pipeline.ENVIRONMENT, "DVC_SITE_CACHE_DIR": hashes})


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
    heads = ["", "seconds", "times those of pandas", "peak MB", "times those of pandas"]
    return page.table(heads, rows)


def stage_costs(project: Path) -> dict[str, Cost]:
    return {
        stage: measured([sys.executable, "-m", f"mlops.{stage}"], project)
        for stage in pipeline.STAGES
    }


def cost_table(of: str, costs: Mapping[str, Cost]) -> str:
    rows = [[name, f"{each.seconds:.1f}", f"{each.megabytes:,.0f}"] for name, each in costs.items()]
    return page.table([of, "seconds", "peak MB"], rows)


def prepare_section(sizes: Sequence[int], project: Path) -> str:
    start_up = [sys.executable, "-c", "import mlops.prepare.prepare"]
    costs = {"none: start-up alone": measured(start_up, project)}
    for size in sizes:
        print(f"prepare alone, {size:,} rows", flush=True)
        restore(project)
        write_table(size, project)
        costs[f"{size:,}"] = measured([sys.executable, "-m", "mlops.prepare"], project)
    return "\n\n".join(["## prepare alone", cost_table("rows", costs)])


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
    restore(project)
    first = columns[numbers[0]]
    income = np.where(first + np.random.default_rng(2).normal(size=len(first)) > 0, ">50K", "<=50K")
    csv.write_csv(pa.table({**columns, "income": income}), project / TABLE)
    declare_columns(project, numbers, categories)
    (project / "science/features.py").write_text('"""No derived columns."""\n')
    return "\n\n".join([f"## {title}", cost_table("stage", stage_costs(project))])


def declare_columns(project: Path, numbers: Sequence[str], categories: Sequence[str]) -> None:
    """Changes a project so that it declares these columns and no others, and bounds no subgroups."""
    yaml = YAML(typ="safe", pure=True)
    params = yaml.load(project / "params.yaml")
    none: dict[str, list[str]] = {kind: [] for kind in params["prepare"]["columns"]}
    used = {"number": [*numbers], "category": [*categories]}
    params["prepare"]["columns"] = none | used
    params["evaluate"]["subgroups"] = []
    yaml.dump(params, project / "params.yaml")
    for file in (project / "environments").iterdir():
        environment = yaml.load(file)
        environment["gate"]["subgroups"] |= {"bounds": {}, "max_drop": {}}
        yaml.dump(environment, file)


if __name__ == "__main__":
    main()
