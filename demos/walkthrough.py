"""Bakes a project and runs commands in it, in numbered steps that show each command and its output."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[1]
sys.path.append(str(TEMPLATE / "hooks"))

import pre_gen_project  # noqa: E402

NAME = "adult-income"
FALLBACK_IDENTITY = {"NAME": "Demo", "EMAIL": "demo@example.com"}


@dataclass(frozen=True)
class Step:
    """A step of a walk. `change` makes a change that a user makes by hand before the commands, and returns
    its description; `installs` says whether its time counts as time of installing."""

    title: str
    directory: Path
    commands: list[list[str]]
    installs: bool = False
    change: Callable[[], str] | None = None


@dataclass(frozen=True)
class Walk:
    """The steps of `make WORD` in a new project. `show_result` is the command that shows the result."""

    word: str
    project: Path
    steps: list[Step]
    show_result: list[str]
    afterwards: str

    def begin(self) -> None:
        try:
            if self.project.exists():
                self.show()
            else:
                self.run()
        except KeyboardInterrupt:
            sys.exit(f"\nStopped.\n{self.again()}")

    def run(self) -> None:
        refuse_place(self.project)
        hide_from_git(self.project.parent)
        variables = environment(self.project)
        if not pre_gen_project.has_identity():
            print(
                f"Git does not know who you are: commits here are by {FALLBACK_IDENTITY['EMAIL']}."
            )
            variables |= {
                f"GIT_{who}_{key}": FALLBACK_IDENTITY[key]
                for who in ("AUTHOR", "COMMITTER")
                for key in FALLBACK_IDENTITY
            }
        seconds = {True: 0.0, False: 0.0}
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            variables["TMPDIR"] = scratch  # cookiecutter leaves a copy of each hook there
            for number, step in enumerate(self.steps, 1):
                print(f"\n[{number}/{len(self.steps)}] {step.title}", flush=True)
                try:
                    seconds[step.installs] += perform(step, variables)
                except subprocess.CalledProcessError as error:
                    status = f"failed with exit code {error.returncode}; it says why above"
                    sys.exit(f"\nStep {number}, {step.title!r}, {status}.\n{self.again()}")
        self.finished.touch()
        print(f"\nDone in {seconds[False]:.0f} s, beside {seconds[True]:.0f} s of installing.")
        print(f"{self.afterwards}\n{self.again()}")

    def show(self) -> None:
        """Shows the result of an earlier walk, and how to begin again."""
        if not self.finished.exists():
            sys.exit(
                f"{self.project} exists, but the {self.word} in it has not finished.\n{self.again()}"
            )
        print(f"{self.project} exists from an earlier {self.word}:\n", flush=True)
        subprocess.run(
            self.show_result, cwd=self.project, env=environment(self.project), check=False
        )
        print(f"{self.afterwards}\n{self.again()}")

    @property
    def finished(self) -> Path:
        return self.project / ".git" / f"{self.word}-finished"

    def again(self) -> str:
        """Returns the commands with which the walk begins again."""
        home = self.project.parent
        folders = [str(self.project), str(home / f"{NAME}-storage")]
        remove = f"  rm -rf {shlex.join(folders)}\n" if self.project.exists() else ""
        is_default = home == TEMPLATE / self.word
        variable = "" if is_default else f" {self.word.upper()}={shlex.quote(str(home))}"
        return f"To begin again:\n{remove}  make {self.word}{variable}"


def perform(step: Step, variables: dict[str, str]) -> float:
    """Runs the commands of a step, shows them and their output, and returns how many seconds they took."""
    started = time.monotonic()
    if step.change:
        print(f"  {step.change()}", flush=True)
    for command in step.commands:
        print(f"  $ {shlex.join([Path(command[0]).name, *command[1:]])}", flush=True)
        subprocess.run(command, cwd=step.directory, env=variables, check=True)
    took = time.monotonic() - started
    print(f"  ({took:.1f} s)", flush=True)
    return took


def environment(project: Path) -> dict[str, str]:
    """Returns the user's environment variables, with the commands of the project first on PATH."""
    inherited = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    path = f"{project / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**inherited, "PATH": path}


def refuse_place(project: Path) -> None:
    """Ends the walk, before anything is installed, where a hook would refuse the project's place."""
    if not project.parent.exists():
        return
    try:
        pre_gen_project.check_place(project)
    except pre_gen_project.RefusedError as refusal:
        sys.exit(f"{refusal}")


def hide_from_git(home: Path) -> None:
    """Makes the directory; a repository around it then ignores all that is in it."""
    if not home.exists():
        home.mkdir(parents=True)
        (home / ".gitignore").write_text("*\n")


def to_a_project(project: Path, tool: list[str]) -> list[Step]:
    """Returns the steps that bake a project and install its libraries."""
    venv = TEMPLATE / ".venv"
    installer = str(TEMPLATE / "{{cookiecutter.project}}" / "install.py")
    lock = str(TEMPLATE / "requirements" / "cookiecutter.txt")
    cookiecutter = [str(venv / "bin" / "cookiecutter"), "--default-config", "--no-input"]
    bake = [*cookiecutter, "--output-dir", str(project.parent), str(TEMPLATE), f"project={NAME}"]
    install = [sys.executable, installer, "--venv", str(venv), "--no-project", *tool, lock]
    configure = ["git", "-C", str(project), "config"]
    names = [[*configure, f"user.{key.lower()}", name] for key, name in FALLBACK_IDENTITY.items()]
    libraries = [sys.executable, "install.py", *tool]
    return [
        Step("Install cookiecutter", TEMPLATE, [install], installs=True),
        Step(
            "Bake the project", TEMPLATE, [bake, *([] if pre_gen_project.has_identity() else names)]
        ),
        Step("Install the libraries of the project", project, [libraries], installs=True),
    ]


def commit(message: str) -> list[list[str]]:
    """Returns the commands that commit all changes."""
    command = ["git", "-c", "commit.gpgsign=false", "commit", "--quiet", "-m", message]
    return [["git", "add", "--all"], command]


def main(description: str | None, walk: Callable[[Path, list[str]], Walk]) -> None:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("directory", type=Path, help="the directory in which the project is made")
    parser.add_argument("--with", choices=["pip", "uv"], dest="tool", help="default: uv if on PATH")
    arguments = parser.parse_args()
    if not shutil.which("git"):
        sys.exit("git is not on PATH. On Debian: sudo apt-get install git")
    project = Path(os.path.abspath(arguments.directory)) / NAME  # noqa: PTH100 - without ..
    walk(project, ["--with", arguments.tool] if arguments.tool else []).begin()
