"""What `make demo` takes, with pip and with uv, from an empty cache of downloads and from a full one.

    python3 benchmarks/demo.py

writes benchmarks/demo.md. It takes the committed template, needs what `make demo` needs, and a quiet machine.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import page

TEMPLATE = Path(__file__).resolve().parents[1]
NAME = "adult-income"
CACHES = {"pip": "PIP_CACHE_DIR", "uv": "UV_CACHE_DIR"}


@dataclass(frozen=True)
class Demo:
    """Seconds of the clock, of installing among them, and of processors; megabytes by what takes them."""

    seconds: float
    installing: float
    processor: float
    megabytes: dict[str, float]


def measure(tool: str, folder: Path, cache: Path) -> Demo:
    """Runs the demo in a new copy of the template, and removes the copy."""
    template = folder / "template"
    template.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=TEMPLATE, stdout=-1, check=True).stdout
    subprocess.run(["tar", "-x"], cwd=template, input=archive, check=True)
    before, started = children_seconds(), time.perf_counter()
    done = subprocess.run(
        ["make", "demo", f"WITH={tool}"],
        cwd=template,
        env={**os.environ, CACHES[tool]: str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    found = re.search(r"Done in \d+ s, beside (\d+) s of installing", done.stdout)
    if not found:
        sys.exit(f"{done.stdout}\n{done.stderr}")
    project = template / "demo" / NAME
    places = {
        "the template's .venv": template / ".venv",
        "the project's .venv": project / ".venv",
        "cache of downloads": cache,
        "everything": folder,
    }
    sizes = {what: megabytes(place) for what, place in places.items()}
    shutil.rmtree(template)
    return Demo(seconds, float(found[1]), children_seconds() - before, sizes)


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def megabytes(place: Path) -> float:
    """A file with several links, as uv makes them from its cache, counts once."""
    printed = subprocess.run(
        ["du", "-sk", place], capture_output=True, text=True, check=True
    ).stdout
    return int(printed.split()[0]) * 1024 / 1e6


def demos() -> Iterator[tuple[str, Demo]]:
    for tool in filter(shutil.which, CACHES):
        with tempfile.TemporaryDirectory() as folder:
            cache = Path(folder, "cache")
            yield f"{tool}, empty cache", measure(tool, Path(folder), cache)
            if cache.exists():
                yield f"{tool}, full cache", measure(tool, Path(folder), cache)


def main() -> None:
    found = dict(demos())
    times = [
        [
            what,
            *(
                f"{value:.0f}"
                for value in (d.seconds, d.installing, d.seconds - d.installing, d.processor)
            ),
        ]
        for what, d in found.items()
    ]
    kinds = next(iter(found.values())).megabytes
    sizes = [
        [what, *(f"{size:,.0f}" for size in d.megabytes.values())] for what, d in found.items()
    ]
    text = [
        "# `make demo`: time and disk",
        page.paragraph(
            f"{page.machine()} One run each, from a copy of the template to a model in production. A cache "
            "of downloads is that of pip or uv; pip keeps none of what it takes from an index of files. The "
            "index was a mirror nearby, so that downloads take longer elsewhere; seconds of processors do "
            "not depend on that."
        ),
        "    python3 benchmarks/demo.py",
        "## Seconds",
        page.table(["", "whole", "installing", "the rest", "processors"], times),
        "## Megabytes on disk afterwards",
        page.table(["", *kinds], sizes),
        page.paragraph(
            "uv links files from its cache into each .venv where both are on one disk, and a linked file "
            'counts once in "everything", which holds the cache too.'
        ),
    ]
    Path(__file__).with_suffix(".md").write_text("\n\n".join(text) + "\n")


if __name__ == "__main__":
    main()
