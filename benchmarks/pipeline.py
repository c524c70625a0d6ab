"""Measures what a newcomer waits for: baking, the first run, a run with nothing to do.

    make install && .venv/bin/python benchmarks/pipeline.py

writes benchmarks/pipeline.md. Every figure is the median of its runs on an otherwise idle machine.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[1]
NAME = "adult-income"
STAGES = ("prepare", "train", "evaluate", "gate", "deploy")
RUNS = 5

IDENTITY = {
    f"GIT_{who}_{key}": value
    for who in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Benchmark"), ("EMAIL", "benchmark@example.com"))
}
ENVIRONMENT = {
    **os.environ,
    **IDENTITY,
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    "DVC_NO_ANALYTICS": "1",
}


def run(*command: str | Path, cwd: Path) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def median(action: Callable[[], object], runs: int = RUNS) -> float:
    action()
    return statistics.median(seconds(action) for _ in range(runs))


def cookiecutter(template: Path, parent: Path) -> Path:
    folder = Path(tempfile.mkdtemp(dir=parent))
    run(sys.executable, "-m", "cookiecutter", "--no-input", "-o", folder, template, cwd=parent)
    return folder / NAME


def empty_template(parent: Path) -> Path:
    root = parent / "empty"
    (root / "{{cookiecutter.project}}").mkdir(parents=True)
    (root / "{{cookiecutter.project}}" / "README.md").write_text("\n")
    (root / "cookiecutter.json").write_text(f'{{"project": "{NAME}"}}')
    return root


def clone(project: Path, parent: Path, name: str) -> Path:
    copy = parent / name
    run("git", "clone", "--quiet", project, copy, cwd=parent)
    run("cp", "-r", project / "data" / "raw", copy / "data" / "raw", cwd=parent)
    return copy


def tiny_pipeline(parent: Path) -> Path:
    """Returns a pipeline of one stage with one output, whose run takes no longer than DVC itself."""
    root = parent / "tiny"
    root.mkdir()
    run("git", "init", "--quiet", cwd=root)
    run("dvc", "init", "--quiet", cwd=root)
    run("dvc", "stage", "add", "-n", "one", "-o", "out", "echo 1 > out", cwd=root)
    run("dvc", "repro", cwd=root)
    return root


def bake_rows(parent: Path) -> Iterable[tuple[str, float]]:
    empty = empty_template(parent)
    floor = median(lambda: cookiecutter(empty, parent))
    ours = median(lambda: cookiecutter(TEMPLATE, parent))
    yield "cookiecutter, an empty template", floor
    yield "cookiecutter, this template", ours
    yield "**the bake beyond cookiecutter's own start-up**", ours - floor


def first_run_rows(project: Path) -> Iterable[tuple[str, float]]:
    whole = seconds(lambda: run("dvc", "repro", cwd=project))
    imports = {name: median(lambda name=name: import_stage(project, name), 3) for name in STAGES}
    stages = {name: median(lambda name=name: run_stage(project, name), 3) for name in STAGES}
    fitting = float(run(sys.executable, "-c", FIT, cwd=project))
    work = {name: stages[name] - imports[name] for name in STAGES}
    yield "**`dvc repro` on dev from nothing**", whole
    yield "DVC: start-up, hashing, cache", whole - sum(stages.values())
    yield "Python and libraries starting, five stages", sum(imports.values())
    yield "fitting", fitting
    for name in STAGES:
        yield f"work of {name}", work[name] - (fitting if name == "train" else 0)


def import_stage(project: Path, stage: str) -> None:
    run(sys.executable, "-c", f"import mlops.{stage}.{stage}", cwd=project)


def run_stage(project: Path, stage: str) -> None:
    run(sys.executable, "-m", f"mlops.{stage}", cwd=project)


FIT = """
import time
from mlops import params
from mlops.tables import splits
from mlops.train import train
from mlops.predict import schema
train_params, input_schema = params.load_configuration().params.train, schema.read_schema(splits.SCHEMA)
rows = train.read_training_rows(input_schema)
start = time.perf_counter()
train.fit_estimator(train_params, *rows, input_schema)
print(time.perf_counter() - start)
"""


def no_op_rows(project: Path, tiny: Path) -> Iterable[tuple[str, float]]:
    yield (
        "`dvc repro`, one stage that does nothing: the floor",
        median(lambda: run("dvc", "repro", cwd=tiny)),
    )
    yield "`dvc repro`, this project", median(lambda: run("dvc", "repro", cwd=project))
    yield (
        "`mlops repro`, this project",
        median(lambda: run(sys.executable, "-m", "mlops.cli", "repro", cwd=project)),
    )


def same_bytes(project: Path, parent: Path) -> str:
    clones = [clone(project, parent, name) for name in ("one", "two")]
    locks = []
    for copy in clones:
        run("dvc", "repro", cwd=copy)
        locks.append((copy / "dvc.lock").read_bytes())
    outputs = locks[0].decode().count("- path:")
    return f"{'equal' if locks[0] == locks[1] else 'DIFFERENT'} (dvc.lock, {outputs} hashes)"


def about(*packages: str) -> str:
    """Returns a sentence with the machine and the versions."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    cores = f"{platform.system()}, {os.cpu_count()} cores"
    return f"{cores}, Python {platform.python_version()}, {versions}. Medians; repeat with"


def table(title: str, rows: Iterable[tuple[str, float]]) -> str:
    lines = [f"| {name} | {value:.2f} |" for name, value in rows]
    return "\n".join([f"## {title}", "", "| | seconds |", "|---|---:|", *lines, ""])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        parent = Path(folder)
        project = cookiecutter(TEMPLATE, parent)
        text = [
            "# What a newcomer waits for",
            "",
            about("cookiecutter", "dvc", "scikit-learn", "pandas"),
            "",
            "    make install && .venv/bin/python benchmarks/pipeline.py",
            "",
            table("Baking", bake_rows(parent)),
            table("The first run: 32,561 rows, of which dev sees 30 %", first_run_rows(project)),
            table("A run with nothing to do", no_op_rows(project, tiny_pipeline(parent))),
            f"Two clean clones, each run from nothing: every hash {same_bytes(project, parent)}.\n",
        ]
    Path(__file__).with_suffix(".md").write_text("\n".join(text))


if __name__ == "__main__":
    main()
