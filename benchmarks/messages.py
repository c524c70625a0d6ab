"""Writes messages.md: what a person sees at a terminal of 80 columns when a bake fails, by real runs."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[1]
sys.path.append(str(TEMPLATE / "tests/fixtures"))

import terminal  # noqa: E402

PAGE = Path(__file__).with_suffix(".md")
SHOWN = "/tmp/work"  # noqa: S108 - what the page says
COOKIECUTTER = (sys.executable, "-m", "cookiecutter")
ON_ARM = (
    sys.executable,
    "-c",
    "import platform; platform.machine = lambda: 'armv7l'; import runpy; "
    "runpy.run_module('cookiecutter', run_name='__main__')",
)
ME = {
    f"GIT_{who}_{key}": value
    for who in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Me"), ("EMAIL", "me@example.com"))
}
HEAD = """\
# Every message of a failed bake

What a person sees at a terminal of 80 columns, by real runs; `python benchmarks/messages.py` writes this
page. A bad answer is asked for again: such a run is cut where the question comes the second time.
"""


@dataclass(frozen=True)
class Scene:
    """What is typed in a directory that `prepare` has filled, under these variables."""

    title: str
    answers: Sequence[str] = ()
    options: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=lambda: ME)
    prepare: Callable[[Path], object] = lambda place: None
    command: Sequence[str] = COOKIECUTTER


def no_git(place: Path) -> None:
    (place / "bin").mkdir()


def old_git(place: Path) -> None:
    no_git(place)
    (place / "bin/git").write_text("#!/bin/sh\necho git version 2.20.1\n")
    (place / "bin/git").chmod(0o755)


def repository(place: Path) -> None:
    subprocess.run(["git", "init", "--quiet", place], check=True)


def directory_in_use(place: Path) -> None:
    (place / "adult-income").mkdir()
    (place / "adult-income/notes.txt").touch()


def file_for_storage(place: Path) -> None:
    (place / "adult-income-storage").touch()


def locked_index(place: Path) -> None:
    (place / "skeleton").mkdir()
    (place / "skeleton/index.lock").touch()


FIRST = ["", "", "", ""]
SCENES = [
    Scene("git is not installed", prepare=no_git, variables={**ME, "PATH": f"{SHOWN}/bin"}),
    Scene("git is too old", prepare=old_git, variables={**ME, "PATH": f"{SHOWN}/bin"}),
    Scene("Git does not know who commits", variables={}),
    Scene("A title of two hundred characters", ["long " * 40]),
    Scene("A title of spaces", ["   "]),
    Scene("A name that cannot be one", ["", "Adult Income"]),
    Scene("A directory in use", ["", ""], prepare=directory_in_use),
    Scene("Inside a repository that does not ignore it", ["", ""], prepare=repository),
    Scene("An unprintable description", ["", "", "bell\x7f\u202e"]),
    Scene("A mistyped directory", [*FIRST, "../mistyped"]),
    Scene("A password in an address", [*FIRST, "s3://me:secret@bucket"]),
    Scene("An address that DVC does not know", [*FIRST, "ftp://example.com/store"]),
    Scene("Signs for which .dvc/config has no place", [*FIRST, "../o'store"]),
    Scene("A file where the storage would go", [*FIRST, ""], prepare=file_for_storage),
    Scene("A system without wheels: a warning", command=ON_ARM),
    Scene("A bad answer with --no-input", options=["--no-input", "project=Adult Income"]),
    Scene(
        "Git fails while the repository is made",
        options=["--no-input"],
        prepare=locked_index,
        variables={**ME, "GIT_TEMPLATE_DIR": f"{SHOWN}/skeleton"},
    ),
]


def play(scene: Scene) -> str:
    """Returns what the terminal showed, with the place that the page names."""
    with tempfile.TemporaryDirectory(prefix="work", dir="/tmp") as folder:
        place = Path(folder)
        scene.prepare(place)
        variables = {name: v for name, v in os.environ.items() if not name.startswith("GIT_")}
        variables |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": folder}
        variables["TMPDIR"] = folder  # cookiecutter leaves a copy of each hook there
        variables |= {name: v.replace(SHOWN, folder) for name, v in scene.variables.items()}
        command = [*scene.command, str(TEMPLATE), *scene.options]
        _, shown = terminal.converse(command, place, variables, scene.answers, patience=10)
        return shown.replace(folder, SHOWN)


def main() -> None:
    parts = [HEAD]
    for scene in SCENES:
        lines = "\n".join(line.rstrip() for line in play(scene).strip("\n").splitlines())
        parts.append(f"## {scene.title}\n\n```text\n{lines}\n```\n")
    PAGE.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
