"""Tests install.py with real pip and real uv, on a small library that the test makes."""

import json
import os
import platform
import re
import shutil
import sys
import sysconfig
from pathlib import Path

import install
import pytest

from baking import TEMPLATE, UNBAKED, Process, Run
from mlops.release.places import venv
from wheels import wheel

TOOLS = ["pip", "uv"]


class Shop:
    """A directory of wheels, the only place where libraries come from, and a .venv to fill."""

    def __init__(self, run: Run, directory: Path) -> None:
        self.run = run
        self.directory = directory
        self.venv = directory / ".venv"
        self.one = wheel(directory, "one", "1.0")
        self.newer = wheel(directory, "one", "2.0")
        self.two = wheel(directory, "two", "1.0")
        self.base = wheel(directory, "base", "1.0")
        self.old = wheel(directory, "old", "1.0")
        wheel(directory, "hers", "1.0", requires="base")

    def lock(self, name: str, *lines: str) -> Path:
        path = self.directory / f"{name}.txt"
        path.write_text("".join(lines))
        return path

    def install(self, *arguments: str | Path, check: bool = True, **variables: str) -> Process:
        installer = UNBAKED / "install.py"
        return self.run_installer(installer, "--no-project", *arguments, check=check, **variables)

    def run_installer(
        self, installer: Path, *arguments: str | Path, check: bool = True, **variables: str
    ) -> Process:
        python = variables.pop("python", sys.executable)
        command = [python, str(installer), "--venv", str(self.venv), *arguments]
        return self.run(*command, cwd=self.directory, check=check, **self.offline(), **variables)

    def add(self, *libraries: str) -> None:
        """What a person does in her environment."""
        uv = ["uv", "pip", "install", "--python", str(self.venv / "bin/python")]
        self.run(*uv, *libraries, cwd=self.directory, check=True, **self.offline())

    def offline(self) -> dict[str, str]:
        return {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.directory),
            "UV_NO_CONFIG": "1",
            "UV_OFFLINE": "1",
            "UV_NO_INDEX": "1",
            "UV_FIND_LINKS": str(self.directory),
        }

    def version(self, library: str) -> str:
        program = f"import {library}; print({library}.version)"
        done = self.run(self.venv / "bin/python", "-c", program, cwd=self.directory, check=False)
        return done.stdout.strip()


@pytest.fixture
def shop(run: Run, tmp_path: Path) -> Shop:
    return Shop(run, tmp_path)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_library_of_another_or_no_hash_is_refused(shop: Shop, tool: str) -> None:
    for line in (re.sub("[0-9a-f]{64}", "0" * 64, shop.one), "one==1.0\n"):
        done = shop.install("--with", tool, shop.lock("serve", line), check=False)
        assert done.returncode == 1
        assert "hash" in done.stderr.lower()
        assert "Traceback" not in done.stderr
        assert shop.version("one") == ""
    shop.install("--with", tool, shop.lock("serve", shop.one))
    assert shop.version("one") == "1.0"


def test_a_missing_lock_is_named(shop: Shop) -> None:
    done = shop.install(shop.directory / "nothing.txt", check=False)
    assert done.returncode == 1
    assert "nothing.txt" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_that_is_no_environment_is_kept(shop: Shop) -> None:
    (shop.directory / "mine").mkdir()
    (shop.directory / "mine" / "letter").write_text("dear")
    lock = shop.lock("serve", shop.one)
    done = shop.install("--venv", shop.directory / "mine", lock, check=False)
    assert done.returncode == 1
    assert "Name another directory" in done.stderr
    assert (shop.directory / "mine" / "letter").read_text() == "dear"


def test_uv_that_is_not_there(shop: Shop) -> None:
    done = shop.install("--with", "uv", shop.lock("a", shop.one), check=False, PATH="/nowhere")
    assert done.returncode == 1
    assert "uv is not on PATH" in done.stderr


def test_python_without_ensurepip(shop: Shop) -> None:
    """Debian without python3-venv has such a Python."""
    program = (
        "import importlib.util, runpy, sys;"
        "found = importlib.util.find_spec;"
        "importlib.util.find_spec = lambda name: None if name == 'ensurepip' else found(name);"
        "sys.argv = ['install.py', '--no-project', '--with', 'pip', 'a.txt'];"
        f"runpy.run_path({str(UNBAKED / 'install.py')!r}, run_name='__main__')"
    )
    shop.lock("a", shop.one)
    done = shop.run(sys.executable, "-c", program, cwd=shop.directory, check=False)
    assert done.returncode == 1
    assert f"sudo apt-get install python3.{sys.version_info[1]}-venv" in done.stderr


def test_old_python(shop: Shop) -> None:
    program = (
        "import runpy, sys; sys.version_info = (3, 9, 2);"
        "sys.argv = ['install.py', '--no-project'];"
        f"runpy.run_path({str(UNBAKED / 'install.py')!r}, run_name='__main__')"
    )
    done = shop.run(sys.executable, "-c", program, cwd=shop.directory, check=False)
    assert done.returncode == 1
    assert "Python 3.11 or later is needed" in done.stderr
    assert "3.9.2" in done.stderr


@pytest.mark.parametrize("tool", TOOLS)
def test_locks_that_share_a_library(shop: Shop, tool: str) -> None:
    locks = [shop.lock("serve", shop.one), shop.lock("train", shop.one, shop.two)]
    done = shop.install("--with", tool, *locks)
    assert (shop.version("one"), shop.version("two")) == ("1.0", "1.0")
    assert re.search(r"libraries of serve, train, with \w+ +\d+\.\d s", done.stdout)


def test_a_second_run_does_nothing(shop: Shop) -> None:
    lock = shop.lock("serve", shop.one)
    shop.install(lock)
    before = {path: path.stat().st_mtime_ns for path in shop.venv.rglob("*")}
    assert shop.install(lock).stdout == ""
    assert {path: path.stat().st_mtime_ns for path in shop.venv.rglob("*")} == before


def test_a_further_lock_is_added(shop: Shop) -> None:
    shop.install(shop.lock("serve", shop.one))
    (shop.venv / "kept").touch()
    shop.install(shop.lock("serve", shop.one), shop.lock("train", shop.two))
    assert (shop.version("one"), shop.version("two")) == ("1.0", "1.0")
    assert (shop.venv / "kept").exists()
    assert shop.install(shop.directory / "serve.txt").stdout == ""


def test_a_comment_in_a_lock_changes_nothing(shop: Shop) -> None:
    name, pin = shop.one.split(" ")
    shop.install(shop.lock("serve", shop.one, shop.two))
    commented = shop.lock("serve", "# ours\n", f"{name} \\\n    {pin}", "    # via us\n", shop.two)
    assert shop.install(commented).stdout == ""
    assert install.digest(commented) == venv.lock_digest(commented.read_text())


@pytest.mark.parametrize("tool", TOOLS)
def test_a_changed_lock_leaves_no_old_library_and_all_that_a_person_added(
    shop: Shop, tool: str
) -> None:
    """`hers` requires `base`, which only an earlier lock named; she also had `two` before the lock had it."""
    shop.install("--with", tool, shop.lock("serve", shop.one))
    shop.add("hers", "two")
    shop.install("--with", tool, shop.lock("serve", shop.one, shop.two, shop.old, shop.base))
    done = shop.install("--with", tool, shop.lock("serve", shop.newer))
    assert "removed, since no lock names them now: old " in done.stdout
    found = {name: shop.version(name) for name in ("one", "two", "hers", "base", "old")}
    assert found == {"one": "2.0", "two": "1.0", "hers": "1.0", "base": "1.0", "old": ""}


def test_what_a_person_changed_becomes_what_the_lock_says(shop: Shop) -> None:
    lock = shop.lock("serve", shop.one)
    shop.install(lock)
    shop.add("one==2.0")
    assert shop.version("one") == "2.0"
    shop.install(lock)
    assert shop.version("one") == "1.0"


@pytest.mark.parametrize(
    ("tool", "torn"),
    [("pip", "the record of its files"), ("uv", "a module"), ("uv", "a stamp")],
)
def test_what_was_cut_short_is_installed_again_over_what_is_there(
    shop: Shop, tool: str, torn: str
) -> None:
    lock = shop.lock("serve", shop.one)
    shop.install("--with", tool, lock)
    shop.add("two")
    stamp = shop.venv / "installed.json"
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "unfinished": True}))
    (module,) = shop.venv.glob("lib/*/site-packages/one.py")
    if torn == "a stamp":
        stamp.write_text('{"locks": {')
    elif torn == "a module":
        module.unlink()  # which uv shares with its cache
        module.write_text("version =")
    else:
        module.unlink()
        shutil.rmtree(module.parent / "__pycache__")
        (module.parent / "one-1.0.dist-info/RECORD").unlink()
    shop.install("--with", tool, lock)
    assert (shop.version("one"), shop.version("two")) == ("1.0", "1.0")
    assert shop.install("--with", tool, lock).stdout == ""


def test_an_environment_that_a_person_made_is_installed_into(shop: Shop) -> None:
    shop.run("uv", "venv", "--python", sys.executable, shop.venv, cwd=shop.directory)
    (shop.venv / "kept").touch()
    shop.install("--with", "pip", shop.lock("serve", shop.one))
    assert shop.version("one") == "1.0"
    assert (shop.venv / "kept").exists()


@pytest.mark.parametrize("damage", ["no python", "another python", "moved"])
def test_another_python_or_place_makes_it_anew_and_names_what_is_lost(
    shop: Shop, damage: str
) -> None:
    lock = shop.lock("serve", shop.one)
    shop.install(lock)
    shop.add("two")
    settings = shop.venv / "pyvenv.cfg"
    if damage == "no python":
        (shop.venv / "bin" / "python").unlink()
    elif damage == "another python":
        settings.write_text(settings.read_text().replace(f"= 3.{sys.version_info[1]}", "= 3.8"))
    else:
        shop.venv.rename(shop.directory / "elsewhere")
        shop.venv = shop.directory / "elsewhere"
    (shop.venv / "left over").touch()
    assert "install two again" in shop.install(lock).stdout
    assert (shop.version("one"), shop.version("two")) == ("1.0", "")
    assert not (shop.venv / "left over").exists()


def test_run_by_the_python_of_the_environment_that_it_replaces(shop: Shop) -> None:
    lock = shop.lock("serve", shop.one)
    shop.install(lock)
    settings = shop.venv / "pyvenv.cfg"
    settings.write_text(settings.read_text().replace(f"= 3.{sys.version_info[1]}", "= 3.8"))
    assert "with Python" in shop.install(lock, python=str(shop.venv / "bin" / "python")).stdout
    assert shop.version("one") == "1.0"


SYSTEMS = {
    "Linux on ARM": ("linux", "aarch64", ("glibc", "2.28"), "", None),
    "Linux": ("linux", "x86_64", ("glibc", "2.41"), "", None),
    "Apple silicon": ("darwin", "arm64", ("", ""), "14.0", None),
    "old glibc": ("linux", "x86_64", ("glibc", "2.17"), "", "Linux with glibc 2.17"),
    "musl": ("linux", "x86_64", ("", ""), "", "Linux with musl"),
    "Raspberry Pi": ("linux", "armv7l", ("glibc", "2.36"), "", "Linux on armv7l"),
    "old macOS": ("darwin", "arm64", ("", ""), "13.6", "macOS 13.6 on Apple silicon"),
    "Intel Mac": ("darwin", "x86_64", ("", ""), "15.1", "macOS 15.1 on Intel"),
    "Windows": ("win32", "AMD64", ("", ""), "", "Windows on AMD64"),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_without_wheels_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    system, machine, libc, macos, refused = SYSTEMS[name]
    named = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[system]
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "system", lambda: named)
    monkeypatch.setattr(platform, "libc_ver", lambda: libc)
    monkeypatch.setattr(platform, "mac_ver", lambda: (macos, ("", "", ""), machine))
    if refused is None:
        install.check_system()
    else:
        with pytest.raises(install.InstallError, match=f"and others for {refused}"):
            install.check_system()


def test_a_clone_gets_the_merge_driver(run: Run, project: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", project, clone, cwd=tmp_path)
    assert run("git", "config", "merge.binary.driver", cwd=clone, check=False).returncode == 1
    run(sys.executable, "install.py", "--merge-driver", cwd=clone)
    driver = run.git("config", "merge.binary.driver", cwd=clone)
    assert driver == run.git("config", "merge.binary.driver", cwd=project)


def test_without_git_there_is_no_merge_driver_to_configure(run: Run, project: Path) -> None:
    shutil.rmtree(project / ".git")
    run(sys.executable, "install.py", "--merge-driver", cwd=project)
    assert not (project / ".git").exists()


def test_the_project_becomes_a_command(shop: Shop, project: Path) -> None:
    """The .venv sees the libraries of this one, so that they are not installed again."""
    shop.venv = project / ".venv"
    lock = shop.lock("serve", shop.one)
    shop.install("--with", "uv", lock)
    see = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"
    next(shop.venv.glob("lib/*/site-packages")).joinpath("see.pth").write_text(see)
    done = shop.run_installer(project / "install.py", "--with", "uv", lock)
    assert "itself" in done.stdout
    assert "libraries" not in done.stdout
    assert shop.run(shop.venv / "bin" / "mlops", "--help", cwd=project).returncode == 0
    assert shop.run_installer(project / "install.py", lock).stdout == ""
    assert shop.run.git("status", "--porcelain", cwd=project) == ""
    shutil.copy(lock, project / "requirements/notebook.txt")
    done = shop.run_installer(project / "install.py", "--notebook", lock)
    assert f"The kernel is {shop.venv}/bin/python." in done.stdout
    assert (
        f"{shop.venv}/bin/python -m pip install jupyterlab && {shop.venv}/bin/jupyter lab"
        in done.stdout
    )


PIN = re.compile("^([a-z0-9-]+)==([^ ;]+)", re.MULTILINE)


LOCKS = [*UNBAKED.glob("requirements/*.txt"), *TEMPLATE.glob("requirements/*.txt")]


def test_an_environment_has_a_pip_of_its_own() -> None:
    assert "pip" in install.locked_names(UNBAKED / "requirements/tools.txt")


def test_all_locks_agree() -> None:
    """A library may have a version per Python or platform, but the same ones in every lock."""
    choices: dict[str, set[frozenset[str]]] = {}
    for lock in LOCKS:
        pins = PIN.findall(lock.read_text(encoding="utf-8"))
        for name, _ in pins:
            versions = frozenset(version for other, version in pins if other == name)
            choices.setdefault(name, set()).add(versions)
    assert {name: found for name, found in choices.items() if len(found) > 1} == {}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_lock_names_no_host(lock: Path) -> None:
    assert "://" not in lock.read_text(encoding="utf-8")
