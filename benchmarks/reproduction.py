"""Tests what `mlops reproduce` finds after something about the machine has changed.

    make install && .venv/bin/python benchmarks/reproduction.py

writes benchmarks/reproduction.md. Each architecture is trained on the default data with one configuration of
the machine, and reproduced with others, each time in another directory: also on another day if `faketime` is
on PATH, and with other versions of Python if they are on PATH.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[1]
NAME = "adult-income"
ARCHITECTURES = ("linear", "random_forest", "gradient_boosting", "lightgbm", "xgboost")
PYTHONS = ("python3.12", "python3.13", "python3.14")
RECORDED = {"OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
CHANGED = {
    "nothing but the directory": "",
    "the hash seed": "PYTHONHASHSEED=4711",
    "1 thread": "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1",
    "4 threads": "OMP_NUM_THREADS=4 OPENBLAS_NUM_THREADS=4",
    "time zone and language": "TZ=Pacific/Auckland LC_ALL=C",
    "five years later": "faketime '2031-05-06 07:08:09'",
}
IDENTITY = {
    f"GIT_{who}_{key}": value
    for who in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Benchmark"), ("EMAIL", "benchmark@example.com"))
}
INHERITED = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
ENVIRONMENT = {**INHERITED, **IDENTITY, **RECORDED, "DVC_NO_ANALYTICS": "1"}
VERDICT = re.compile(r" is (identical|equivalent|different): (.*)", re.DOTALL)


def shell(command: str, cwd: Path, *, check: bool = True) -> str:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if check and done.returncode:
        sys.exit(f"{command} ended with {done.returncode}\n{done.stdout}")
    return done.stdout


def bake_project(parent: Path) -> Path:
    """Returns a project with a branch for each architecture, on which its model is committed."""
    shell(f"{sys.executable} -m cookiecutter --no-input '{TEMPLATE}' project={NAME}", parent)
    project = parent / NAME
    shell(f"{sys.executable} install.py", project)
    for architecture in ARCHITECTURES:
        shell(
            f"git switch --quiet -c {architecture} dev && . .venv/bin/activate && "
            f"sed -i 's/architecture: [a-z_]* /architecture: {architecture} /' params.yaml && "
            "sed -i 's/fraction: .*}/fraction: 1.0}/' environments/dev.yaml && "
            f"mlops repro && git add --all && git commit --quiet -m {architecture}",
            project,
        )
    return project


def changes(project: Path) -> Iterator[tuple[str, str]]:
    """Yields the name of each change, and the command that reproduces with it."""
    for change, prefix in CHANGED.items():
        if not prefix.startswith("faketime") or shutil.which("faketime"):
            yield change, f"{prefix} .venv/bin/mlops reproduce --run"
    for python in filter(shutil.which, PYTHONS):
        venv = project.parent / python
        shell(f"{python} install.py --venv {venv} --no-project", project)
        yield python, f"{venv}/bin/python -m mlops.cli reproduce --run"


def rows(project: Path) -> Iterator[str]:
    for change, command in changes(project):
        for architecture in ARCHITECTURES:
            start = time.perf_counter()
            printed = shell(f"{command} {architecture}", project, check=False)
            verdict = VERDICT.search(printed)
            if not verdict:
                sys.exit(printed)
            reason = " ".join(verdict[2].split())
            seconds = time.perf_counter() - start
            print(f"{seconds:6.1f} s  {change}, {architecture}: {verdict[1]}: {reason}", flush=True)
            yield f"| {change} | {architecture} | **{verdict[1]}** | {reason} | {seconds:.0f} |"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = bake_project(Path(folder))
        libraries = ", ".join(
            f"{name} {version(name)}" for name in ("scikit-learn", "pandas", "skl2onnx", "dvc")
        )
        recorded = ", ".join(f"{name}={value}" for name, value in RECORDED.items())
        text = [
            "# What a reproduction finds when the machine has changed",
            "",
            f"Recorded with {recorded}, Python {platform.python_version()} on {platform.system()} "
            f"{platform.machine()}, {os.cpu_count()} cores; {libraries}. All of the default data. "
            "The first with a version of Python installs its libraries. Repeat with",
            "",
            "    make install && .venv/bin/python benchmarks/reproduction.py",
            "",
            "| changed | architecture | verdict | why | seconds |",
            "|---|---|---|---|---:|",
            *rows(project),
            "",
        ]
    Path(__file__).with_suffix(".md").write_text("\n".join(text))


if __name__ == "__main__":
    main()
