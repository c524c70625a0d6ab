"""Measures what a release costs beyond DVC itself: a promotion with nothing to train, and a rollback.

    make install && .venv/bin/python benchmarks/release.py

writes benchmarks/release.md. The pairs run in turn, on an otherwise idle machine; figures are medians.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from pipeline import TEMPLATE, about, cookiecutter, run, seconds  # benchmarks/pipeline.py

RUNS = 7


def mlops(project: Path, *arguments: str) -> None:
    run("python", "-m", "mlops.cli", *arguments, cwd=project)


def commit(project: Path, message: str) -> None:
    run("git", "add", "--all", cwd=project)
    run("git", "commit", "--quiet", "--message", message, cwd=project)


def commit_note(project: Path, number: int) -> None:
    """Commits a change that no stage depends on."""
    (project / "NOTES.md").write_text(f"{number}\n")
    commit(project, f"Note {number}")


def timed_promotion(project: Path, number: int) -> float:
    commit_note(project, number)
    duration = seconds(lambda: mlops(project, "promote", "staging"))
    mlops(project, "promote", "prod")
    return duration


def timed_rollback(project: Path) -> float:
    return seconds(lambda: mlops(project, "rollback", "staging", "--to", "staging/0001"))


def timed_checkout(project: Path) -> float:
    """Times `dvc checkout` of the outputs of the pipeline and the raw table, which a rollback checks too."""
    outputs = ["models", "deploy", "data", "reports"]
    run("git", "clean", "-fdXq", "--", *outputs, cwd=project)
    return seconds(lambda: run("dvc", "checkout", cwd=project))


def row(name: str, ours: list[float], floor: str, theirs: list[float]) -> str:
    ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
    return f"| {name} | {median(ours):.2f} | {floor} | {median(theirs):.2f} | **{ratio:.2f}** |"


def interleaved(*actions: Callable[[int], float]) -> list[list[float]]:
    rounds = [[action(number) for action in actions] for number in range(RUNS + 1)]
    return [list(column) for column in zip(*rounds[1:], strict=True)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = cookiecutter(TEMPLATE, Path(folder))
        mlops(project, "repro")
        commit(project, "First model")
        mlops(project, "promote", "staging")
        mlops(project, "promote", "prod")
        promotions, noops = interleaved(
            lambda number: timed_promotion(project, number),
            lambda _: seconds(lambda: run("dvc", "repro", cwd=project)),
        )
        rollbacks, checkouts = [], []
        for number in range(RUNS):
            rollbacks.append(timed_rollback(project))
            checkouts.append(timed_checkout(project))
            timed_promotion(project, RUNS + 2 + number)
    text = [
        "# What a release costs beyond DVC",
        "",
        about("dvc", "scikit-learn"),
        "",
        "    make install && .venv/bin/python benchmarks/release.py",
        "",
        "| | seconds | against | seconds | ratio |",
        "|---|---:|---|---:|---:|",
        row("`mlops promote staging`, nothing to train", promotions, "no-op `dvc repro`", noops),
        row("`mlops rollback staging`", rollbacks, "`dvc checkout`", checkouts),
        "",
        "The promotion proves, in a working tree of its own, that the source is reproduced and attested",
        "and that every object it names is whole, measures the bundle, and sends data and run records to",
        "the remote. The rollback hashes every output of the record.",
        "",
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join(text))


if __name__ == "__main__":
    main()
