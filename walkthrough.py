"""A project baked for the occasion, and commands run in it before the reader's eyes."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent
NAME = "adult-income"
ITS_OWN = {"NAME": "Demo", "EMAIL": "demo@example.com"}


@dataclass(frozen=True)
class Step:
    """`change` is what is done by hand before the commands: it does it, and says what."""

    title: str
    directory: Path
    commands: list[list[str]]
    installs: bool = False
    change: Callable[[], str] | None = None


@dataclass(frozen=True)
class Walk:
    """What `make WORD` does in a new project; `look` is the command that shows what came of it."""

    word: str
    project: Path
    steps: list[Step]
    look: list[str]
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
        variables = {**environment(self.project), **identity(self.word)}
        seconds = {True: 0.0, False: 0.0}
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
        """What an earlier walk left, and how to begin again."""
        if not self.finished.exists():
            sys.exit(
                f"{self.project} is there, but no {self.word} came to its end in it.\n{self.again()}"
            )
        print(f"{self.project} is there from an earlier {self.word}:\n", flush=True)
        subprocess.run(self.look, cwd=self.project, env=environment(self.project), check=False)
        print(f"{self.afterwards}\n{self.again()}")

    @property
    def finished(self) -> Path:
        return self.project / ".git" / f"{self.word}-finished"

    def again(self) -> str:
        home = self.project.parent
        made = [str(self.project), str(home / f"{NAME}-storage")]
        remove = f"  rm -rf {shlex.join(made)}\n" if self.project.exists() else ""
        usual = home == TEMPLATE / self.word
        where = "" if usual else f" {self.word.upper()}={shlex.quote(str(home))}"
        return f"To begin again:\n{remove}  make {self.word}{where}"


def perform(step: Step, variables: dict[str, str]) -> float:
    """Run the commands of a step, showing them and what they print; how long it took."""
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
    """The user's own, with the project's commands first."""
    inherited = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    path = f"{project / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**inherited, "PATH": path}


def identity(word: str) -> dict[str, str]:
    """Nothing where Git knows who the user is, otherwise an identity of the walk's own."""
    question = ["git", "-c", "user.useConfigOnly=true", "var"]
    answers = [
        subprocess.run([*question, f"GIT_{who}_IDENT"], cwd="/", capture_output=True, check=False)
        for who in ("AUTHOR", "COMMITTER")
    ]
    if not any(answer.returncode for answer in answers):
        return {}
    print(f"Git does not know who you are: this {word} alone commits as {ITS_OWN['EMAIL']}.")
    return {f"GIT_{who}_{key}": ITS_OWN[key] for who in ("AUTHOR", "COMMITTER") for key in ITS_OWN}


def to_a_project(project: Path, tool: list[str]) -> list[Step]:
    """From nothing but this template to a project in which nothing was run."""
    venv = TEMPLATE / ".venv"
    installer = str(TEMPLATE / "{{cookiecutter.project}}" / "install.py")
    lock = str(TEMPLATE / "requirements" / "template.txt")
    cookiecutter = [str(venv / "bin" / "cookiecutter"), "--default-config", "--no-input"]
    bake = [*cookiecutter, "--output-dir", str(project.parent), str(TEMPLATE), f"project={NAME}"]
    install = [sys.executable, installer, "--venv", str(venv), "--no-project", *tool, lock]
    libraries = [sys.executable, "install.py", *tool]
    return [
        Step("Install cookiecutter", TEMPLATE, [install], installs=True),
        Step("Bake the project", TEMPLATE, [bake]),
        Step("Install the libraries of the project", project, [libraries], installs=True),
    ]


def commit(message: str) -> list[list[str]]:
    """The commands that commit all there is."""
    made = ["git", "-c", "commit.gpgsign=false", "commit", "--quiet", "-m", message]
    return [["git", "add", "--all"], made]


def main(what: str | None, walk: Callable[[Path, list[str]], Walk]) -> None:
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("directory", type=Path, help="the project is made in here")
    parser.add_argument("--with", choices=["pip", "uv"], dest="tool", help="default: uv if on PATH")
    chosen = parser.parse_args()
    if not shutil.which("git"):
        sys.exit("git is not on PATH. On Debian: sudo apt-get install git")
    project = Path(os.path.abspath(chosen.directory)) / NAME  # noqa: PTH100 - without ..
    walk(project, ["--with", chosen.tool] if chosen.tool else []).begin()
