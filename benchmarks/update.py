"""What an update takes: the machinery replaced, an owner's changes merged, added libraries resolved again.

    make install && .venv/bin/python benchmarks/update.py

writes benchmarks/update.md. Each run is the whole command, in a fresh copy of the project; medians.
"""

import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from page import machine, paragraph, table  # benchmarks/page.py
from pipeline import ENVIRONMENT, NAME, TEMPLATE, run, seconds  # benchmarks/pipeline.py

sys.path[:0] = [str(TEMPLATE / "tests/fixtures"), str(TEMPLATE / "{{cookiecutter.project}}")]

import baking  # noqa: E402 - found on the path of the line above
import template_states  # noqa: E402

RUNS = 5
NOTE = (
    "The template is a repository on the same disk: over a network its clone comes on top. Reading the "
    "stages with DVC, to say which of them will run again, is 0.7 s of CPU of each figure. Libraries are "
    "resolved by `make lock`, which asks the package index about each of them."
)
MLOPS = "import sys; sys.path.insert(0, ''); from mlops.cli.app import main; main()"


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed_update(project: Path, folder: Path) -> tuple[float, float]:
    """Seconds, and seconds of CPU, of one update of a copy of the project."""
    copy = folder / "copy" / NAME
    shutil.rmtree(copy.parent, ignore_errors=True)
    shutil.copytree(project.parent, copy.parent, symlinks=True)
    before = children_cpu()
    took = seconds(lambda: run(sys.executable, "-c", MLOPS, "update", cwd=copy))
    return took, children_cpu() - before


def row(what: str, project: Path, folder: Path) -> list[str]:
    print(what, flush=True)
    timed_update(project, folder)
    rounds = [timed_update(project, folder) for _ in range(RUNS)]
    return [what, *(f"{median(column):.1f}" for column in zip(*rounds, strict=True))]


def main() -> None:
    runner = baking.Run(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        template = template_states.Template(runner, folder / "template")
        template.begin()
        fresh, edited = folder / "fresh" / NAME, folder / "edited" / NAME
        for project in (fresh, edited):
            project.parent.mkdir()
            done = runner.cookiecutter(project.parent, template=template.root)
            assert done.returncode == 0, done.stderr
        template_states.own(runner, edited)
        rows = []
        releases: list[tuple[Callable[[], None], str, Path]] = [
            (template.fix_machinery, "A fix in the machinery; nothing of it was changed", fresh),
            (template.move_files, "Files moved, a key in params.yaml; every file edited", edited),
            (template.add_library, "The same, and a library on both sides: locks resolved", edited),
        ]
        for release, what, project in releases:
            release()
            rows.append(row(what, project, folder))
    text = [
        "# What an update takes",
        "",
        paragraph(f"{machine()} Medians of {RUNS} runs; repeat with"),
        "",
        "    make install && .venv/bin/python benchmarks/update.py",
        "",
        table(["`mlops update`", "seconds", "seconds of CPU"], rows),
        paragraph(NOTE),
        "",
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join(text))


if __name__ == "__main__":
    main()
