"""Measures the tracker beside DVC's own table of metrics, and how its time and that of the site grow with the
number of versions.

    make install && .venv/bin/python benchmarks/tracker.py

writes benchmarks/tracker.md. The repositories hold the record of a real run, varied from version to version.
Each version is a commit on dev, a commit on staging and a tag.
"""

import hashlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[1]
NAME = "adult-income"
BRANCHES = ("dev", "staging")
SIZES = (200, 1000, 5000)
RUNS = 7
TARGET = 30

ANSWERS = {**dict.fromkeys(("model", "schema", "serving", "libraries"), "0" * 40), "contract": {}}
WHO = "Benchmark <benchmark@example.com>"
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
    **{f"GIT_{who}_NAME": "Benchmark" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "benchmark@example.com" for who in ("AUTHOR", "COMMITTER")},
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    "DVC_NO_ANALYTICS": "1",
}
TRACKER = (sys.executable, "-m", "mlops.cli", "tracker")
SITE = (sys.executable, "-m", "mlops.cli", "site")
DVC = ("dvc", "metrics", "show", "-T")


def run(*command: str | Path, cwd: Path, input_bytes: bytes = b"") -> str:
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, env=ENVIRONMENT, input=input_bytes, capture_output=True, check=False
    )
    if done.returncode:
        sys.exit(f"{words} ended with {done.returncode}\n{done.stderr.decode()}")
    return done.stdout.decode()


def median(*command: str, cwd: Path, runs: int = RUNS) -> float:
    run(*command, cwd=cwd)
    return statistics.median(seconds(*command, cwd=cwd) for _ in range(runs))


def seconds(*command: str, cwd: Path) -> float:
    start = time.perf_counter()
    run(*command, cwd=cwd)
    return time.perf_counter() - start


def project(parent: Path) -> Path:
    """Returns a project that was run once, on dev."""
    run(sys.executable, "-m", "cookiecutter", "--no-input", "-o", parent, TEMPLATE, cwd=parent)
    root = parent / NAME
    run(sys.executable, "-m", "mlops.cli", "repro", cwd=root)
    run("git", "add", "--all", cwd=root)
    run("git", "commit", "--quiet", "--message", "First run", cwd=root)
    return root


def with_versions(root: Path, parent: Path, number: int) -> Path:
    copy = parent / f"{number}-versions"
    run("git", "clone", "--quiet", root, copy, cwd=parent)
    run("git", "branch", "staging", "origin/staging", cwd=copy)
    stream = b"".join(releases(copy, number))
    run("git", "fast-import", "--quiet", "--force", cwd=copy, input_bytes=stream)
    run("git", "reset", "--quiet", "--hard", cwd=copy)
    return copy


def releases(root: Path, number: int) -> Iterator[bytes]:
    """Yields the input of `git fast-import`: versions that differ in model, parameters, data and metrics."""
    lock, report = (Path(root, name).read_text() for name in ("dvc.lock", "reports/metrics.json"))
    tips = {branch: run("git", "rev-parse", branch, cwd=root).strip() for branch in BRANCHES}
    for minor in range(number):
        dev, staging = 2 * minor + 1, 2 * minor + 2
        for branch, mark in zip(BRANCHES, (dev, staging), strict=True):
            yield from commit(branch, mark, tips[branch], merged=None if mark == dev else dev)
            yield from files(lock, report, mark)
            tips[branch] = f":{mark}"
        version = f"v1.{minor}.0"
        yield f"tag model@{version}\nfrom :{staging}\ntagger {WHO} {10**9 + staging} +0000\n".encode()
        content = {"version": version, "reason": "another model", "answers": ANSWERS}
        yield data(f"another model\n\n{json.dumps(content)}")


def commit(branch: str, mark: int, after: str, merged: int | None) -> Iterator[bytes]:
    yield f"commit refs/heads/{branch}\nmark :{mark}\ncommitter {WHO} {10**9 + mark} +0000\n".encode()
    yield data(f"State {mark}")
    yield f"from {after}\n".encode()
    if merged:
        yield f"merge :{merged}\n".encode()


def files(lock: str, report: str, mark: int) -> Iterator[bytes]:
    def other_hash(match: re.Match[str]) -> str:
        text = f"{mark} {match[0]}".encode()
        return hashlib.md5(text, usedforsecurity=False).hexdigest()

    changed = re.sub(r"\b[0-9a-f]{32}\b", other_hash, lock)
    changed = changed.replace("iterations: 150", f"iterations: {mark}")
    yield b"M 100644 inline dvc.lock\n" + data(changed)
    yield b"M 100644 inline reports/metrics.json\n"
    yield data(report.replace('accuracy": 0.', f'accuracy": 0.{mark % 90 + 10}'))


def data(text: str) -> bytes:
    return f"data {len(text.encode())}\n{text}\n".encode()


def measure(parent: Path) -> Iterator[str]:
    root = project(parent)
    small = median(*TRACKER, cwd=root)
    repositories = {number: with_versions(root, parent, number) for number in SIZES}
    ours = {number: median(*TRACKER, cwd=copy) for number, copy in repositories.items()}
    sites = {number: median(*SITE, cwd=copy, runs=3) for number, copy in repositories.items()}
    theirs = median(*DVC, cwd=repositories[SIZES[0]], runs=3)
    ratio = theirs / ours[SIZES[0]]
    yield "| | seconds |\n|---|---:|"
    yield f"| `mlops tracker`, one model: its start-up | {small:.2f} |"
    yield from (f"| `mlops tracker`, {n:,} versions | {ours[n]:.2f} |" for n in SIZES)
    for number, copy in repositories.items():
        sizes = [file.stat().st_size for file in (copy / "site").rglob("*.*")]
        what = (
            f"`mlops site`, {number:,} versions: {sum(sizes) / 1e6:.1f} MB in {len(sizes):,} files"
        )
        yield f"| {what} | {sites[number]:.2f} |"
    yield f"| `dvc metrics show -T`, {SIZES[0]} versions | {theirs:.2f} |"
    yield ""
    yield f"With {SIZES[0]} versions the tracker is {ratio:.0f} times as fast (wanted: {TARGET})."
    each = [1000 * (ours[n] - small) / n for n in SIZES]
    costs = [f"{cost:.2f} ms among {n:,}" for cost, n in zip(each, SIZES, strict=True)]
    yield f"Beyond its start-up, a version costs it {', '.join(costs)}."


def main() -> None:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("dvc", "typer", "pyyaml", "rich"))
    git = run("git", "--version", cwd=TEMPLATE).strip()
    with tempfile.TemporaryDirectory() as folder:
        text = [
            "# The tracker",
            "",
            f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}, {git}, "
            f"{libraries}. Medians of whole processes; repeat with",
            "",
            "    make install && .venv/bin/python benchmarks/tracker.py",
            "",
            *measure(Path(folder)),
            "",
        ]
    Path(__file__).with_suffix(".md").write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()
