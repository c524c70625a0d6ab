"""Make .venv: the locked libraries of every room, then this project, then Git's merge driver.

Needs nothing but Python. It does nothing where .venv holds what the locks say, and never removes what you
have added to it.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent
LOCKS = [PROJECT / "requirements" / f"{room}.txt" for room in ("train", "serve", "batch", "tools")]
NOTEBOOK = PROJECT / "requirements" / "notebook.txt"
OLDEST_PYTHON = (3, 11)
OLDEST_GLIBC = (2, 28)
OLDEST_MACOS = (14,)
MERGE_DRIVER = {
    "merge.binary.name": "merge dvc.lock entry by entry",
    "merge.binary.driver": "python3 -I mlops/release/history/lock_merge.py %O %A %B %P",
    "core.splitIndex": "false",  # DVC cannot read a split index
}
NOTEBOOK_STEPS = """\
The kernel is {python}. Begin with notebooks/explore.ipynb:
  VS Code     with its extensions Python and Jupyter, open it and choose this kernel
  PyCharm     make this Python the interpreter of the project, then open it
  JupyterLab  that you have: {python} -m ipykernel install --user --name {name}
              or a new one:  {python} -m pip install jupyterlab && {jupyter} lab"""


OF_PYTHON = ("PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV")
"""Variables that lead a Python to other libraries, which pip would take for installed."""


class InstallError(Exception):
    """The message says what is missing or broken, and what to do now."""


class Environment:
    """A virtual environment, and the record of what this script installed into it.

    The record, `installed.json`, holds `directory`, where the environment was made; `locks` and `project`,
    digests by path; `libraries`, the versions that the locks brought; and `added`, the names that
    were there before them. What a person adds is never removed as long as Python stays the same.
    """

    def __init__(self, directory: Path, tool: str) -> None:
        self.directory = directory
        self.python = directory / "bin" / "python"
        self.tool = tool
        self.stamp = directory / "installed.json"
        self.record = self.read_record()

    def read_record(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"locks": {}, "project": {}, "libraries": {}, "added": []}
        try:
            return {**empty, **json.loads(self.stamp.read_text(encoding="utf-8"))}
        except OSError:
            return empty
        except (ValueError, TypeError):
            return {**empty, "unfinished": True}

    def write_record(self, **changed: Any) -> None:
        self.record = {**self.record, "directory": str(self.directory), **changed}
        self.stamp.write_text(json.dumps(self.record, indent=1), encoding="utf-8", newline="\n")

    def install(self, locks: list[Path], project: Path | None) -> None:
        if not self.is_usable():
            self.make()
        earlier = [Path(lock) for lock in self.record["locks"] if Path(lock).exists()]
        digests = {str(lock): digest(lock) for lock in [*locks, *earlier]}
        present = self.present()
        altered = any(present.get(name) != v for name, v in self.record["libraries"].items())
        if altered or self.record.get("unfinished") or digests != self.record["locks"]:
            self.install_libraries(digests)
        if project:
            self.install_project(project)

    def is_usable(self) -> bool:
        """Returns whether it was made in this place for this Python, up to the patch version."""
        try:
            made = (self.directory / "pyvenv.cfg").read_text(encoding="utf-8")
        except OSError:
            return False
        found = re.search(r"^version(?:_info)? *= *(\d+\.\d+)", made, re.MULTILINE)
        here = self.record.get("directory", str(self.directory)) == str(self.directory)
        same = found and found[1] == "{}.{}".format(*sys.version_info)
        return bool(here and same and self.python.exists())

    def make(self) -> None:
        ours = {"pip", "setuptools", "wheel", "mlops-project", *self.record["libraries"]}
        lost = sorted(self.present().keys() - ours)
        python = os.path.realpath(sys.executable)  # `python3` may be that of the .venv to clear
        self.clear()
        uv = ["uv", "venv", "--quiet", "--no-project", "--python", python]
        command = uv if self.tool == "uv" else [python, "-m", "venv"]
        run(f"{self.directory.name} with Python {interpreter()}", [*command, str(self.directory)])
        self.record = self.read_record()
        if lost:
            print(f"  Made for another Python or place before: install {', '.join(lost)} again.")

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

    def present(self) -> dict[str, str]:
        """Returns the version of each installed library, by normal name."""
        entries = self.directory.glob("lib/python*/site-packages/*.dist-info")
        found = (re.fullmatch(r"([^~].*)-([^-]+)\.dist-info", entry.name) for entry in entries)
        return {normal_name(each[1]): each[2] for each in found if each}

    def install_libraries(self, digests: dict[str, str]) -> None:
        """Installs what the locks say over what is there, and removes what only an earlier lock asked for."""
        before = self.record["libraries"]
        added = {*self.record["added"], *(self.present().keys() - before.keys())}
        reinstall = self.record.get("unfinished", False)
        self.write_record(added=sorted(added), unfinished=True)
        if reinstall:
            self.remove_halves()
        names = {name for lock in digests for name in locked_names(Path(lock))}
        rooms = ", ".join(Path(lock).stem for lock in digests)
        files = [part for lock in digests for part in ("--requirement", lock)]
        self.pip(f"libraries of {rooms}", "--require-hashes", *files, reinstall=reinstall)
        self.remove_libraries(before.keys() - names - added)
        libraries = {name: v for name, v in self.present().items() if name in names}
        self.write_record(locks=digests, libraries=libraries, unfinished=False)

    def remove_halves(self) -> None:
        """Forgets libraries whose installation was cut short: no tool could uninstall them."""
        for entry in self.directory.glob("lib/python*/site-packages/*.dist-info"):
            if not (entry / "RECORD").exists():
                shutil.rmtree(entry)

    def remove_libraries(self, names: AbstractSet[str]) -> None:
        """Removes the libraries, except for those that something else in the environment requires."""
        places = [str(place) for place in self.directory.glob("lib/python*/site-packages")]
        needs = {
            normal_name(each.metadata["Name"]): {
                normal_name(re.split(r"[^\w.-]", text.strip())[0])
                for text in each.requires or ()
                if "extra ==" not in text
            }
            for each in distributions(path=places)
        }
        removed = set(names) & needs.keys()
        while kept := removed & set().union(*(needs[name] for name in needs.keys() - removed)):
            removed -= kept
        if removed:
            uv = ["uv", "pip", "uninstall", "--quiet", "--python", str(self.python)]
            pip = [str(self.python), "-m", "pip", "uninstall", "--quiet", "--yes"]
            what = f"removed, since no lock names them now: {', '.join(sorted(removed))}"
            run(what, [*(uv if self.tool == "uv" else pip), *sorted(removed)])

    def install_project(self, project: Path) -> None:
        description = {str(project): digest(project / "pyproject.toml")}
        if self.record["project"] != description:
            self.pip(
                f"{project.name} itself",
                *("--no-deps", "--no-index", "--no-build-isolation", "--editable", str(project)),
            )
            self.write_record(project=description)

    def pip(self, what: str, *arguments: str, reinstall: bool = False) -> None:
        python = str(self.python)
        if self.tool == "uv":
            command = ["uv", "pip", "install", "--python", python, "--compile-bytecode"]
        else:
            if "pip" not in self.present():
                run("pip", [python, "-m", "ensurepip"])
            command = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        if reinstall:
            command.append("--reinstall" if self.tool == "uv" else "--force-reinstall")
        run(f"{what}, with {self.tool}", [*command, *arguments], self.directory)


def interpreter() -> str:
    return ".".join(str(number) for number in sys.version_info[:3])


def normal_name(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def read_requirements(path: Path) -> str:
    """Returns the text of a file without comments; raises InstallError if it does not exist."""
    try:
        return re.sub(r"(?m)(^|\s)#.*", "", path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InstallError(f"there is no {path}; bring it back with git.") from None


def locked_names(lock: Path) -> set[str]:
    return set(map(normal_name, re.findall(r"(?m)^\w[\w.-]*", read_requirements(lock))))


def digest(path: Path) -> str:
    """Returns a hash of what a file says, whatever its comments and line breaks."""
    words = read_requirements(path).replace("\\\n", " ").split()
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def run(what: str, command: list[str], fills: Path | None = None) -> None:
    """Runs a command and shows that it lives; what it printed is shown only if it fails.

    With `fills`, a directory, lines meanwhile also say how large it is. What pip downloads is put there
    first, so that it counts too.
    """
    started = measured = time.monotonic()
    scratch = fills / "tmp" if fills else None
    environment = variables()
    if scratch:
        scratch.mkdir(exist_ok=True)
        environment["TMPDIR"] = str(scratch)
    size = ""

    def line() -> str:
        return f"  {what:<52} {time.monotonic() - started:6.1f} s"

    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace", newline=None) as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        live = sys.stdout.isatty()
        while True:
            try:
                process.wait(1 if live else 10)
                break
            except subprocess.TimeoutExpired:
                if fills and time.monotonic() - measured > 5:
                    size, measured = f"{megabytes(fills):6,.0f} MB", time.monotonic()
                print(f"{line()}{size}", end="\r" if live else " ...\n", flush=True)
        if process.returncode:
            output.seek(0)
            tail = "".join(output.readlines()[-15:])
            raise InstallError(f"{what}: `{' '.join(command[:4])} ...` failed:\n{tail}")
    if scratch:
        shutil.rmtree(scratch)
    print(f"{line()}{' ' * len(size) if live else ''}", flush=True)


def megabytes(directory: Path) -> float:
    """Returns the size of all files, of which some may vanish meanwhile."""
    total = 0
    for folder, _, files in os.walk(directory):
        for file in files:
            with suppress(FileNotFoundError):
                total += os.lstat(f"{folder}/{file}").st_size
    return total / 1e6


def variables() -> dict[str, str]:
    """For a Python, and for uv, that install into the environment that they are told.

    uv trusts the certificates that the system trusts, as pip does: a proxy may have one of its own.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in OF_PYTHON}
    return {"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true", **inherited}  # new and old name


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


def check_system() -> None:
    """Raises InstallError where onnxruntime and its like have no wheel."""
    machine = platform.machine()
    if sys.platform == "linux" and machine in ("x86_64", "aarch64"):
        library, version = platform.libc_ver()
        if library == "glibc" and numbers(version) >= OLDEST_GLIBC:
            return
        here = f"Linux with {f'{library} {version}' if library else 'musl'}"
    elif sys.platform == "darwin":
        version = platform.mac_ver()[0]
        if machine == "arm64" and numbers(version) >= OLDEST_MACOS:
            return
        here = f"macOS {version} on {'Apple silicon' if machine == 'arm64' else 'Intel'}"
    else:
        here = f"{platform.system()} on {machine}"
    raise InstallError(
        f"there are no wheels of onnxruntime and others for {here}. This project runs on Linux (x86_64 or "
        "aarch64, glibc 2.28 or later) and on macOS 14 or later on Apple silicon; elsewhere, in WSL or in "
        "the dev container."
    )


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("locks", nargs="*", type=Path, default=LOCKS, metavar="LOCK")
    parser.add_argument("--venv", type=Path, default=PROJECT / ".venv", metavar="DIR")
    parser.add_argument("--with", choices=["pip", "uv"], dest="tool", help="default: uv if on PATH")
    parser.add_argument("--notebook", action="store_true", help="a notebook's kernel, matplotlib")
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
        check_system()
        environment = Environment(chosen.venv.absolute(), choose_tool(chosen.tool))
        locks = [*chosen.locks, *([NOTEBOOK] if chosen.notebook else [])]
        environment.install(
            [lock.absolute() for lock in locks], None if chosen.no_project else PROJECT
        )
        if chosen.notebook:
            python, jupyter = (
                shlex.quote(str(environment.python.with_name(name)))
                for name in ("python", "jupyter")
            )
            print(NOTEBOOK_STEPS.format(python=python, jupyter=jupyter, name=PROJECT.name))
    except (InstallError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"install.py: {error}")
    except KeyboardInterrupt:
        sys.exit("\ninstall.py: stopped. Run it again to begin anew.")


if __name__ == "__main__":
    main()
