"""Make .venv: the locked libraries of every room, then this project, then Git's merge driver.

Needs nothing but Python. Where .venv already holds what the locks say, it does nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parent
LOCKS = [PROJECT / "requirements" / f"{room}.txt" for room in ("train", "serve", "batch", "tools")]
OLDEST_PYTHON = (3, 11)
MERGE_DRIVER = {
    "merge.binary.name": "merge dvc.lock entry by entry",
    "merge.binary.driver": "python3 -I mlops/release/history/lock_merge.py %O %A %B %P",
}


OF_PYTHON = ("PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV")
"""Variables that lead a Python to other libraries, which pip would take for installed."""


class InstallError(Exception):
    """The message says what is missing or broken, and what to do now."""


class Environment:
    """A virtual environment that remembers, by hash, what was installed into it."""

    def __init__(self, directory: Path, tool: str) -> None:
        self.directory = directory
        self.python = directory / "bin" / "python"
        self.tool = tool
        self.stamp = directory / "installed.json"
        self.installed = self.recorded()

    def recorded(self) -> dict[str, str]:
        try:
            stamp = json.loads(self.stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return dict(stamp) if self.python.exists() else {}

    def install(self, locks: list[Path], project: Path | None) -> None:
        ground = {"python": "{}.{}".format(*sys.version_info), "directory": str(self.directory)}
        libraries = {str(lock): digest(lock) for lock in locks}
        if self.contradicts({**ground, **libraries}):
            self.make()
            self.installed = ground
        if self.lacks(libraries):
            self.add_libraries(locks)
            self.remember(libraries)
        if project:
            self.install_project(project)

    def install_project(self, project: Path) -> None:
        description = {str(project): digest(project / "pyproject.toml")}
        if self.lacks(description):
            self.pip(
                f"{project.name} itself",
                *("--no-deps", "--no-index", "--no-build-isolation", "--editable", str(project)),
            )
            self.remember(description)

    def contradicts(self, wanted: dict[str, str]) -> bool:
        """Whether there is nothing to build upon: no environment, or one for something else."""
        return not self.installed or any(
            self.installed.get(name, value) != value for name, value in wanted.items()
        )

    def lacks(self, wanted: dict[str, str]) -> bool:
        return any(self.installed.get(name) != value for name, value in wanted.items())

    def remember(self, what: dict[str, str]) -> None:
        self.installed.update(what)
        self.stamp.write_text(json.dumps(self.installed, indent=2), encoding="utf-8")

    def make(self) -> None:
        python = os.path.realpath(sys.executable)  # `python3` may be that of the .venv to clear
        self.clear()
        uv = ["uv", "venv", "--quiet", "--no-project", "--python", python]
        command = uv if self.tool == "uv" else [python, "-m", "venv"]
        run(f"{self.directory.name} with Python {interpreter()}", [*command, str(self.directory)])

    def clear(self) -> None:
        if not self.directory.exists():
            return
        ours = self.directory.name == ".venv" or (self.directory / "pyvenv.cfg").exists()
        if not ours and any(self.directory.iterdir()):
            raise InstallError(
                f"{self.directory} is no virtual environment, and is not empty. "
                "Name another directory."
            )
        shutil.rmtree(self.directory)

    def add_libraries(self, locks: list[Path]) -> None:
        files = [part for lock in locks for part in ("--requirement", str(lock))]
        rooms = ", ".join(lock.stem for lock in locks)
        self.pip(f"libraries of {rooms}", "--require-hashes", *files)

    def pip(self, what: str, *arguments: str) -> None:
        self.stamp.unlink(missing_ok=True)  # so that what is cut short is made anew
        python = str(self.python)
        uv = ["uv", "pip", "install", "--python", python, "--compile-bytecode"]
        pip = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        run(f"{what}, with {self.tool}", [*(uv if self.tool == "uv" else pip), *arguments])


def interpreter() -> str:
    return ".".join(str(number) for number in sys.version_info[:3])


def digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise InstallError(f"there is no {path}; bring it back with git.") from None


def run(what: str, command: list[str]) -> None:
    """Run a command, showing that it lives; what it printed is shown only if it fails."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            command, env=variables(), stdout=output, stderr=subprocess.STDOUT
        )
        live = sys.stdout.isatty()
        while True:
            try:
                process.wait(1 if live else 10)
                break
            except subprocess.TimeoutExpired:
                report(what, started, end="\r" if live else " ...\n")
        if process.returncode:
            output.seek(0)
            tail = "".join(output.readlines()[-15:])
            raise InstallError(f"{what}: `{' '.join(command[:4])} ...` failed:\n{tail}")
    report(what, started)


def variables() -> dict[str, str]:
    """For a Python, and for uv, that install into the environment that they are told."""
    return {name: value for name, value in os.environ.items() if name not in OF_PYTHON}


def report(what: str, started: float, end: str = "\n") -> None:
    print(f"  {what:<64} {time.monotonic() - started:5.1f} s", end=end, flush=True)


def configure_merge_driver() -> None:
    """Without it, a merge of dvc.lock is a conflict: .gitattributes names a driver Git lacks."""
    if not (PROJECT / ".git").exists():
        return
    if not shutil.which("git"):
        raise InstallError("git is not on PATH. On Debian: sudo apt-get install git")
    # A hook or an alias of another repository may run this: Git's own variables would lead there.
    local = git("rev-parse", "--local-env-vars", env=os.environ).split()
    env = {name: value for name, value in os.environ.items() if name not in local}
    for name, value in MERGE_DRIVER.items():
        if git("config", "--local", "--default", "", "--get", name, env=env).rstrip("\n") != value:
            git("config", "--local", name, value, env=env)


def git(*words: str, env: Mapping[str, str]) -> str:
    """What the command printed; CalledProcessError if it fails."""
    command = ["git", *words]
    return subprocess.run(
        command, cwd=PROJECT, env=env, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def choose_tool(wish: str | None) -> str:
    uv = shutil.which("uv")
    if wish == "uv" and not uv:
        raise InstallError("uv is not on PATH. Install it, or leave --with out to use pip.")
    if uv and wish != "pip":
        return "uv"
    ensurepip = importlib.util.find_spec("ensurepip")
    if not ensurepip or not ensurepip.origin:  # an empty directory may be left of it
        package = f"python3.{sys.version_info[1]}-venv"
        raise InstallError(
            "this Python has no ensurepip, which makes virtual environments. "
            f"On Debian: sudo apt-get install {package}"
        )
    return "pip"


def check_python() -> None:
    if sys.version_info < OLDEST_PYTHON:
        raise InstallError(
            f"Python 3.11 or later is needed, and {sys.executable} is {interpreter()}. Name a "
            "later one: python3.11 install.py, or make PYTHON=python3.11"
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("locks", nargs="*", type=Path, default=LOCKS, metavar="LOCK")
    parser.add_argument("--venv", type=Path, default=PROJECT / ".venv", metavar="DIR")
    parser.add_argument("--with", choices=["pip", "uv"], dest="tool", help="default: uv if on PATH")
    parser.add_argument("--no-project", action="store_true", help="libraries alone")
    parser.add_argument("--merge-driver", action="store_true", help="configure Git, nothing else")
    return parser.parse_args()


def main() -> None:
    chosen = arguments()
    try:
        if not chosen.no_project:
            configure_merge_driver()
        if chosen.merge_driver:
            return
        check_python()
        environment = Environment(chosen.venv.absolute(), choose_tool(chosen.tool))
        locks = [lock.absolute() for lock in chosen.locks]
        environment.install(locks, None if chosen.no_project else PROJECT)
    except (InstallError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"install.py: {error}")
    except KeyboardInterrupt:
        sys.exit("\ninstall.py: stopped. Run it again to begin anew.")


if __name__ == "__main__":
    main()
