"""Runs commands in a new project, in steps, and keeps what each of them has shown."""

from __future__ import annotations

import argparse
import codecs
import json
import os
import pty
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[1]
sys.path.append(str(TEMPLATE / "hooks"))

import pre_gen_project  # noqa: E402

NAME = "adult-income"
FALLBACK_IDENTITY = {"NAME": "Demo", "EMAIL": "demo@example.com"}
CLEAR = "\r\x1b[K"
"""Empties the line of a terminal."""


@dataclass(frozen=True)
class Command:
    """A command that a user could type. It fails unless it ends with one of the exit codes `expected`. If
    `lines` is not 0, only as many of its last lines are shown, unless it fails. A command in the background
    ends with its step."""

    words: list[str]
    expected: tuple[int, ...] = (0,)
    lines: int = 0
    in_background: bool = False

    @property
    def text(self) -> str:
        return shlex.join([Path(self.words[0]).name, *self.words[1:]]) + " &" * self.in_background


@dataclass(frozen=True)
class Step:
    """A step of a walk. `sentence` says before it what it is about. Each of `changes` makes a change that a
    user makes by hand before the commands, and returns its description; `picture` returns what is shown after
    them. `installs` says whether its time counts as time of installing, and `each_time` whether the step is
    done each time instead of being shown again."""

    name: str
    title: str
    directory: Path
    commands: list[Command]
    sentence: str = ""
    changes: tuple[Callable[[], str], ...] = ()
    picture: Callable[[Mapping[str, str]], str] | None = None
    installs: bool = False
    each_time: bool = False


class Screen:
    """Prints, and keeps what it has printed."""

    def __init__(self) -> None:
        self.printed = ""

    def show(self, text: str) -> None:
        self.printed += text
        sys.stdout.write(text)
        sys.stdout.flush()


@dataclass(frozen=True)
class Memory:
    """What the steps of a walk have shown, a file for each in a folder, and the refs of the project before
    each step, to which it returns if the step is done again."""

    folder: Path
    project: Path

    def file(self, step: Step) -> Path:
        return self.folder / f"{step.name}.json"

    def of(self, step: Step) -> dict[str, object]:
        """Returns `output` and `seconds` of a step that was finished, and its `refs`; all may be missing."""
        try:
            found = json.loads(self.file(step).read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def has_finished(self, step: Step) -> bool:
        return "output" in self.of(step)

    def begin(self, step: Step, variables: Mapping[str, str]) -> bool:
        """Notes the state of the project before the step. If the step was begun before and has changed
        something, restores that state, and returns True."""
        now, refs = self.refs(), self.of(step).get("refs")
        if not isinstance(refs, list):
            self.write(step, {"refs": now})
            return False
        self.write(step, {"refs": refs})
        changed = refs != now or self.has_changes()
        if changed:
            self.restore(refs, variables)
        return changed

    def refs(self) -> list[str]:
        if not (self.project / ".git").exists():
            return []
        found = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return [line for line in found if not line.startswith("refs/stash ")]

    def has_changes(self) -> bool:
        return bool(
            self.project.exists() and (not self.refs() or self.git("status", "--porcelain"))
        )

    def restore(self, refs: list[str], variables: Mapping[str, str]) -> None:
        """Returns the project to branches and tags of before, or removes it if there was none. Changes that
        were not committed go into Git's stash."""
        if not refs:
            for folder in made_folders(self.project):
                shutil.rmtree(folder, ignore_errors=True)
            return
        kept = {line.split()[0] for line in refs}
        changes = [f"update {line}" for line in refs]
        changes += [
            f"delete {ref}" for ref in (each.split()[0] for each in self.refs()) if ref not in kept
        ]
        if self.git("status", "--porcelain"):
            stash = ["git", "stash", "push", "--quiet", "--include-untracked"]
            subprocess.run(stash, cwd=self.project, env=variables, check=True)
        self.git("update-ref", "--no-deref", "--stdin", text="\n".join(changes) + "\n")
        self.git("symbolic-ref", "HEAD", "refs/heads/dev")
        self.git("reset", "--quiet", "--hard")
        checkout = ["dvc", "checkout", "--quiet", "--force"]
        subprocess.run(checkout, cwd=self.project, env=variables, check=False)

    def git(self, *arguments: str, text: str | None = None) -> str:
        command = ["git", "-C", str(self.project), *arguments]
        return subprocess.run(
            command, input=text, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def write(self, step: Step, content: Mapping[str, object]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.file(step).with_suffix(".new")
        new.write_text(json.dumps(content, indent=1))
        new.replace(self.file(step))


@dataclass(frozen=True)
class Walk:
    """The steps of `make WORD` in a new project, and what is said after them.

    A step that was finished earlier is shown again, as it was. One that was interrupted begins again.
    """

    word: str
    project: Path
    steps: list[Step]
    afterwards: str

    @property
    def memory(self) -> Memory:
        return Memory(self.project.parent / ".steps", self.project)

    def begin(self, first: int = 1, *, live: bool = False, pause: bool = False) -> None:
        """Walks from a step on, counted from 1. With `live`, no step is shown as it was: it is done again."""
        self.refuse_others_project()
        missing = [step for step in self.steps[: first - 1] if not self.memory.has_finished(step)]
        if missing:
            sys.exit(
                f"The step {missing[0].name!r} was not finished, and later ones need it: leave out --from"
            )
        if live:
            self.forget(first)
        try:
            self.walk(first, pause=pause)
        except KeyboardInterrupt:
            sys.exit(f"\nStopped.\n{self.again()}")

    def list(self) -> str:
        """Returns a line for each step: its number, name and title, and whether it was finished."""
        width = max(len(step.name) for step in self.steps)
        return "\n".join(
            f"{number:3}  {step.name:{width}}  {step.title}"
            + " (done)" * self.memory.has_finished(step)
            for number, step in enumerate(self.steps, 1)
        )

    def forget(self, first: int) -> None:
        """Makes a step the first that was not finished; the refs of later ones are no longer true."""
        for step in self.steps[first:]:
            self.memory.file(step).unlink(missing_ok=True)
        known = self.memory.of(self.steps[first - 1])
        if "refs" in known:
            self.memory.write(self.steps[first - 1], {"refs": known["refs"]})

    def walk(self, first: int, *, pause: bool) -> None:
        hide_from_git(self.project.parent)
        variables = environment(self.project)
        if not pre_gen_project.has_identity():
            print(
                f"Git does not know who you are: commits here are by {FALLBACK_IDENTITY['EMAIL']}."
            )
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            variables["TMPDIR"] = scratch  # cookiecutter leaves a copy of each hook there
            for number, step in enumerate(self.steps[first - 1 :], first):
                print(f"\n[{number}/{len(self.steps)}] {step.title}", flush=True)
                if step.sentence:
                    print(textwrap.indent(textwrap.fill(step.sentence, 76), "  "))
                if pause:
                    wait_for_enter()
                self.take(number, step, variables)
        seconds = {kind: self.seconds(installs=kind) for kind in (False, True)}
        print(f"\nDone in {seconds[False]:.0f} s, beside {seconds[True]:.0f} s of installing.")
        print(f"{self.afterwards}\n{self.again()}")

    def take(self, number: int, step: Step, variables: dict[str, str]) -> None:
        """Does a step and keeps what it showed, or shows it again."""
        if self.memory.has_finished(step) and not step.each_time:
            print(self.memory.of(step)["output"], end="", flush=True)
            return
        screen, started = Screen(), time.monotonic()
        try:
            if not step.each_time and self.memory.begin(step, variables):
                print(
                    "  The project is again as it was before this step; `git reflog` and `git stash list` "
                    "have what was there."
                )
            perform(step, variables, screen)
        except subprocess.CalledProcessError as error:
            status = f"failed with exit code {error.returncode}; it says why above"
            sys.exit(f"\nStep {number}, {step.title!r}, {status}.\n{self.again()}")
        took = time.monotonic() - started
        screen.show(f"  ({took:.1f} s)\n")
        self.memory.write(step, {**self.memory.of(step), "seconds": took, "output": screen.printed})

    def seconds(self, *, installs: bool) -> float:
        """Returns how long the steps took, of those that install or of the others."""
        found = (
            self.memory.of(step).get("seconds") for step in self.steps if step.installs == installs
        )
        return sum(each for each in found if isinstance(each, float))

    def refuse_others_project(self) -> None:
        if self.memory.folder.exists():
            return
        if self.project.exists():
            sys.exit(
                f"{self.project} exists, and no `make {self.word}` has made it: name another directory"
            )
        refuse_place(self.project)

    def again(self) -> str:
        """Returns the commands with which the walk goes on, or begins again."""
        home = self.project.parent
        is_default = home == TEMPLATE / self.word
        variable = "" if is_default else f" {self.word.upper()}={shlex.quote(str(home))}"
        remove = shlex.join(
            str(folder) for folder in (*made_folders(self.project), self.memory.folder)
        )
        go_on = "show it again" if all(map(self.memory.has_finished, self.steps)) else "go on"
        return (
            f"To {go_on}: make {self.word}{variable}\nTo begin again, do so after: rm -rf {remove}"
        )


def made_folders(project: Path) -> list[Path]:
    """Returns the folders that bakes make."""
    return [project, project.with_name(f"{NAME}-storage")]


def perform(step: Step, variables: Mapping[str, str], screen: Screen) -> None:
    """Does a step, and shows its commands and their output."""
    for change in step.changes:
        screen.show(textwrap.indent(change(), "  ") + "\n")
    with ended_at_exit() as background:
        for command in step.commands:
            screen.show(f"  $ {command.text}\n")
            if command.in_background:
                background.append(
                    subprocess.Popen(
                        command.words,
                        cwd=step.directory,
                        env=variables,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                )
            else:
                run_command(command, step.directory, variables, screen)
    if step.picture:
        screen.show(step.picture(variables))


@contextmanager
def ended_at_exit() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Yields a list, and ends the processes in it."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        yield running
    finally:
        for process in running:
            process.terminate()
            process.wait()


def run_command(
    command: Command, directory: Path, variables: Mapping[str, str], screen: Screen
) -> None:
    """Runs a command and shows its output. Raises CalledProcessError for another exit code than expected.

    Where this is shown on a terminal, the command has one too, so that it prints colours and fits the width.
    """
    at_terminal = sys.stdout.isatty()
    reader, writer = pty.openpty() if at_terminal and not command.lines else os.pipe()
    width = str(shutil.get_terminal_size().columns)
    process = subprocess.Popen(
        command.words,
        cwd=directory,
        env={**variables, "COLUMNS": width} if at_terminal else variables,
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
    )
    os.close(writer)
    decoder, output = codecs.getincrementaldecoder("utf-8")("replace"), ""
    try:
        while piece := read_piece(reader):
            text = decoder.decode(piece)
            output += text
            if not command.lines:
                screen.show(text)
            elif at_terminal:
                latest = output.rstrip().rpartition("\n")[2]
                print(f"{CLEAR}  {latest[: int(width) - 3]}", end="", flush=True)
    finally:
        os.close(reader)
        code = process.wait()
    if command.lines:
        print(CLEAR if at_terminal else "", end="")
        shown = 0 if code not in command.expected else -command.lines
        screen.show("".join(output.splitlines(keepends=True)[shown:]))
    if code not in command.expected:
        raise subprocess.CalledProcessError(code, command.words)


def read_piece(reader: int) -> bytes:
    """Returns what is printed next, and nothing at the end."""
    try:
        return os.read(reader, 4096)
    except OSError:  # a terminal of which the other end is closed
        return b""


def wait_for_enter() -> None:
    try:
        input("  Enter: go on; Ctrl-C: stop ")
    except EOFError:
        print()


def environment(project: Path) -> dict[str, str]:
    """Returns the user's environment variables, with the commands of the project first on PATH."""
    inherited = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    path = f"{project / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    identity = {} if pre_gen_project.has_identity() else fallback_identity()
    return {**inherited, **identity, "PATH": path}


def fallback_identity() -> dict[str, str]:
    return {
        f"GIT_{who}_{key}": value
        for who in ("AUTHOR", "COMMITTER")
        for key, value in FALLBACK_IDENTITY.items()
    }


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
    bakes = [bake, *([] if pre_gen_project.has_identity() else names)]
    return [
        Step("cookiecutter", "Install cookiecutter", TEMPLATE, [Command(install)], installs=True),
        Step("bake", "Bake the project", TEMPLATE, [*map(Command, bakes)]),
        Step(
            "libraries",
            "Install the libraries of the project",
            project,
            [Command(libraries)],
            installs=True,
        ),
    ]


def commit(message: str) -> list[Command]:
    """Returns the commands that commit all changes."""
    command = ["git", "-c", "commit.gpgsign=false", "commit", "--quiet", "-m", message]
    return [Command(["git", "add", "--all"]), Command(command)]


def main(description: str | None, walk: Callable[[Path, list[str]], Walk]) -> None:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("directory", type=Path, help="the directory in which the project is made")
    parser.add_argument("--with", choices=["pip", "uv"], dest="tool", help="default: uv if on PATH")
    parser.add_argument("--pause", action="store_true", help="wait for Enter before each step")
    parser.add_argument(
        "--from",
        metavar="STEP",
        dest="first",
        default="1",
        help="begin at this step: its name or number",
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="do the steps again instead of showing what they printed",
    )
    parser.add_argument("--list", action="store_true", help="list the steps, and do none")
    arguments = parser.parse_args()
    if not shutil.which("git"):
        sys.exit("git is not on PATH. On Debian: sudo apt-get install git")
    project = Path(os.path.abspath(arguments.directory)) / NAME  # noqa: PTH100 - without ..
    walked = walk(project, ["--with", arguments.tool] if arguments.tool else [])
    if arguments.list:
        print(walked.list())
        return
    names = [step.name for step in walked.steps]
    known = [*names, *(str(number) for number in range(1, len(names) + 1))]
    if arguments.first not in known:
        parser.error(f"--from {arguments.first}: no such step; --list shows them")
    first = known.index(arguments.first) % len(names) + 1
    walked.begin(first, live=arguments.live, pause=arguments.pause)
