"""`mlops doctor`: what this machine and this clone lack, a line for each subject, with a remedy.

Each check stands alone: one that fails is a finding, and the others are made all the same.
"""

import ctypes
import importlib.util
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from mlops import libraries
from mlops.errors import MlopsError, Refused
from mlops.process_group import end_group
from mlops.release import child_environment
from mlops.release.errors import GitError
from mlops.release.follow import running
from mlops.release.history import branches, core_yaml, lockfile, obstacles, shared_refs
from mlops.release.history.git import Git, words_of_part
from mlops.release.history.settings import is_on, read_settings, unreadable_by_dvc
from mlops.release.places import engines
from mlops.release.prove import hook

LOCKS = tuple(f"requirements/{room}.txt" for room in ("train", "serve", "batch", "tools"))
NOTEBOOK = "requirements/notebook.txt"
BOOSTERS = {"lightgbm": "lib/lib_lightgbm.*", "xgboost": "lib/libxgboost.*"}
"""The compiled library, which may need OpenMP of the system, of each architecture that has one."""

OLDEST_GIT = (2, 34)
OLDEST_GLIBC = (2, 28)
OLDEST_MACOS = 14
NEWEST_PYTHON = (3, 14)
NEEDED_GIGABYTES = 1.1  # the libraries, a run and a release of the census table
PATIENCE = 10  # seconds that the storage, or origin, may take to answer
PROBE = "mlops.release.data.storage_probe"


@dataclass(frozen=True)
class Finding:
    """What was found about a subject; `remedy` is a command or a sentence, or empty."""

    verdict: Literal["ok", "warning", "wrong"]
    words: str
    remedy: str = ""


Check = Callable[[], Finding]


def project_root() -> Path:
    """Returns the project that holds the current directory, with or without Git. Raises MlopsError."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").exists():
            return folder
    raise MlopsError(f"there is no dvc.yaml in {here} or above it: `cd` into your project")


def examine(root: Path) -> Iterator[tuple[str, Finding]]:
    """Yields each subject with what was found about it. Storage and origin have until the end to answer."""
    git = Git(root)
    storage, origin = start_probe(root), start_asking(git)
    checks: dict[str, Check] = {
        "system": check_system,
        "Python": partial(check_python, root),
        "libraries": partial(check_libraries, root),
        "architecture": partial(check_architecture, root),
        "disk": partial(check_disk, root),
        "Git": partial(check_git, git),
        "repository": partial(check_repository, git),
        "dvc.lock": partial(check_lock, root),
        "identity": partial(check_identity, git),
        "Git's settings": partial(check_settings, git),
        "merge driver": partial(check_merge_driver, git),
        "pre-push hook": partial(check_hook, git),
        "port": check_port,
        "containers": check_containers,
        "storage": storage,
        "origin": origin,
    }
    for subject, check in checks.items():
        yield subject, finding_of(check)


def finding_of(check: Check) -> Finding:
    try:
        return check()
    except MlopsError as error:
        return Finding("wrong", f"cannot be checked: {error}")
    except Exception as error:  # a fault of the check, which must not hide what the others find
        return Finding("wrong", f"cannot be checked: {type(error).__name__}: {error}")


def check_system() -> Finding:
    system, machine = platform.system(), platform.machine()
    library, release = platform.libc_ver()
    words = " ".join(filter(None, (system, platform.mac_ver()[0], machine, library, release)))
    supported = {
        "Linux": machine in ("x86_64", "aarch64") and numbers(release) >= OLDEST_GLIBC,
        "Darwin": machine == "arm64" and numbers(platform.mac_ver()[0]) >= (OLDEST_MACOS,),
    }
    if supported.get(system):
        return Finding("ok", words)
    return Finding(
        "warning",
        f"{words} is not supported: some libraries are not built for it",
        "use Linux on x86-64 or ARM with glibc 2.28, macOS 14 on Apple silicon, WSL, or a dev container",
    )


def check_python(root: Path) -> Finding:
    venv = root / ".venv"
    words = f"{platform.python_version()}, {sys.executable.removeprefix(f'{root}/')}"
    if not (venv / "bin/python").exists():
        return Finding("warning", f"{words}; the project has no .venv", "python3 install.py")
    if Path(sys.prefix).resolve() != venv.resolve():
        return Finding("warning", f"{words}; it is not that of .venv", ". .venv/bin/activate")
    if sys.version_info[:2] > NEWEST_PYTHON:
        return Finding("warning", f"{words}; versions after 3.14 were not tried")
    return Finding("ok", words)


def check_libraries(root: Path) -> Finding:
    found, pinned = libraries.installed_versions(), dict[str, str]()
    for lock in (*LOCKS, *([NOTEBOOK] if has_notebook(root) else [])):
        try:
            pinned |= libraries.pinned_versions((root / lock).read_text(encoding="utf-8"))
        except OSError as error:
            return Finding("wrong", f"{lock}: {error.strerror}", f"git checkout HEAD -- {lock}")
    differing = [
        f"{name} {found.get(name, 'is missing')} (locked: {version})"
        for name, version in pinned.items()
        if found.get(name) != version and libraries.describe_difference(name, version)
    ]
    if not differing:
        return Finding("ok", f"all {len(pinned)} are as locked in requirements/")
    rest = f", and {len(differing) - 3} more" if len(differing) > 3 else ""
    return Finding("wrong", f"not as locked: {', '.join(differing[:3])}{rest}", "make install")


def has_notebook(root: Path) -> bool:
    """Returns whether install.py has installed the lock of the notebook, by its record in the environment."""
    lock = root.resolve() / NOTEBOOK
    try:
        record = json.loads(Path(sys.prefix, "installed.json").read_text(encoding="utf-8"))
        return str(lock) in record["locks"] and lock.exists()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def check_architecture(root: Path) -> Finding:
    """Loads the compiled library of the architecture that params.yaml names, without importing it."""
    try:
        params = core_yaml.parse_yaml((root / "params.yaml").read_bytes(), "params.yaml")
        name = str(params["train"]["architecture"])
    except (MlopsError, OSError, KeyError, TypeError) as error:
        return Finding("warning", f"params.yaml names none that can be read: {error}")
    package = importlib.util.find_spec(name) if name in BOOSTERS else None
    if package is None or package.origin is None:
        return Finding("ok", name)
    for library in Path(package.origin).parent.glob(BOOSTERS[name]):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            cure = (
                "on Debian and Ubuntu: sudo apt-get install libgomp1; on macOS: brew install libomp"
            )
            return Finding("wrong", f"{name} can't be loaded: {error}", cure)
    return Finding("ok", f"{name} can be loaded")


def check_disk(root: Path) -> Finding:
    gigabytes = shutil.disk_usage(root).free / 1e9
    words = f"{gigabytes:.1f} GB free"
    if gigabytes >= NEEDED_GIGABYTES:
        return Finding("ok", words)
    need = f"{words}; a release with other libraries needs {NEEDED_GIGABYTES} GB"
    verdict: Literal["warning", "wrong"] = "warning" if gigabytes > 0.1 else "wrong"
    return Finding(verdict, need, "mlops clean")


def check_git(git: Git) -> Finding:
    try:
        version = git.run("version").removeprefix("git version ")
    except GitError as error:
        return Finding("wrong", f"{error}", "install it; on Debian: sudo apt-get install git")
    if numbers(version) < OLDEST_GIT:
        return Finding("wrong", f"{version} is too old", "install Git 2.34 or later")
    return Finding("ok", version)


def check_repository(git: Git) -> Finding:
    place = git.root / ".git"
    if git.succeeds("rev-parse", "--show-toplevel"):
        return check_clone(git)
    if not place.exists():
        return Finding(
            "wrong", f"{git.root} is not a Git repository", "git clone your project again"
        )
    if hasattr(os, "getuid") and git.root.stat().st_uid != os.getuid():
        return Finding(
            "wrong",
            f"{git.root} belongs to another user, so that Git does not trust it",
            f"git config --global --add safe.directory '{git.root}'",
        )
    return Finding("wrong", words_of(git, "rev-parse", "--show-toplevel"), "git fsck")


def check_clone(git: Git) -> Finding:
    """What Git holds or lacks, where it can read the repository."""
    repository = Path(git.run("rev-parse", "--show-toplevel"))
    if not repository.samefile(git.root):
        words, _, remedy = words_of_part(git.root, repository).partition(": ")
        return Finding("wrong", words, remedy)
    for refuse in (obstacles.refuse_locked_index, obstacles.refuse_submodules):
        try:
            refuse(git)
        except Refused as refusal:
            words, _, remedy = str(refusal).partition(": ")
            return Finding("wrong", words, remedy)
    if left := obstacles.unfinished(git):
        return Finding("warning", *left)
    for gap in branches.gaps(git):
        words, _, remedy = gap.partition(": ")
        return Finding("warning", words, remedy.strip("`"))
    return Finding("ok", f"{git.root}, on {git.branch() or 'no branch'}")


def check_lock(root: Path) -> Finding:
    lock = root / lockfile.LOCK
    if not lock.exists():
        return Finding("ok", "there is none: no stage was run yet")
    try:
        lockfile.refuse_damaged(lock.read_bytes())
        count = len(lockfile.Lock.parse(lock.read_bytes()).outputs)
    except MlopsError as error:
        words = str(error).removesuffix(f": {lockfile.CURE}").removesuffix(f"; {lockfile.CURE}")
        return Finding("wrong", words, lockfile.CURE)
    return Finding("ok", f"{count} outputs of stages")


def words_of(git: Git, *arguments: str) -> str:
    """Returns why the command fails, in Git's words."""
    try:
        return git.run(*arguments)
    except GitError as error:
        return str(error)


def check_identity(git: Git) -> Finding:
    try:
        idents = [
            git.run("-c", "user.useConfigOnly=true", "var", f"GIT_{who}_IDENT")
            for who in ("AUTHOR", "COMMITTER")
        ]
    except GitError:
        return Finding(
            "wrong",
            "Git does not know who you are, and commits nothing",
            'git config --global user.name "Your Name"\n'
            "git config --global user.email you@example.com",
        )
    return Finding("ok", idents[0].rsplit(" ", 2)[0])  # without the time


def check_settings(git: Git) -> Finding:
    """What DVC's own reading of Git does not understand, and what changes the bytes that it hashes."""
    settings = read_settings(git)
    if unreadable := unreadable_by_dvc(settings):
        return Finding("wrong", *unreadable)
    unprotected = git.run("check-attr", "eol", "--", "dvc.yaml") != "dvc.yaml: eol: lf"
    if unprotected and is_on(settings, "core.autocrlf"):
        return Finding(
            "wrong",
            "core.autocrlf is on and changes the line ends of files that DVC hashes",
            'make "* text=auto eol=lf" the first line of .gitattributes',
        )
    return Finding("ok", "none of them disturbs DVC")


def check_merge_driver(git: Git) -> Finding:
    driver = git.run("config", "--default", "", "merge.binary.driver")
    install = "python3 install.py --merge-driver"
    if "lock_merge.py" not in driver:
        return Finding("wrong", "not configured: every merge of dvc.lock is a conflict", install)
    program = driver.split()[0]
    if not shutil.which(program):
        return Finding("wrong", f"{program}, which runs it, is not on PATH", f"install {program}")
    return Finding("ok", "configured: dvc.lock is merged entry by entry")


def check_hook(git: Git) -> Finding:
    install = "mlops check --install-hook"
    try:
        place = hook.hook_path(git)
    except Refused as refusal:
        words, _, remedy = str(refusal).partition(": ")
        return Finding("warning", f"not installed: {words}", f"{remedy}, then `{install}`")
    text = place.read_text(errors="replace", encoding="utf-8") if place.exists() else ""
    if hook.RUN in text:
        return Finding("ok", f"installed: `{hook.RUN.split('.')[-1]}` checks what is pushed")
    return Finding("warning", "not installed: untrue records can be pushed", install)


def check_port() -> Finding:
    port, host = os.environ.get("SERVE_PORT", "8000"), os.environ.get("SERVE_HOST", "127.0.0.1")
    if not port.isdecimal() or int(port) > 65535:
        return Finding("wrong", f"SERVE_PORT is {port!r}, which is no port", "unset SERVE_PORT")
    try:
        with socket.create_server((host, int(port))):
            return Finding("ok", f"{port} is free for `mlops serve`")
    except OSError as error:
        reason = error.strerror
    answer = running.ask_service(running.service_url(host, int(port)))
    if answer:
        return Finding("ok", f"{port}: a service of a project answers with {answer['commit'][:7]}")
    return Finding(
        "warning",
        f"`mlops serve` cannot listen on {host}, port {port}: {reason}",
        "mlops serve --port 0, which takes a free one; or set SERVE_PORT",
    )


def check_containers() -> Finding:
    if not any(map(shutil.which, engines.ENGINES)):
        return Finding("ok", "no engine, which only `mlops image` needs")
    try:
        return Finding("ok", f"{engines.engine_at_hand()} answers")
    except MlopsError as error:
        words, _, remedy = str(error).rpartition(". ")
        return Finding("warning", words, remedy)


def start_probe(root: Path) -> Check:
    """Begins to ask the storage, and returns the check that waits for its answer."""
    try:
        probe = subprocess.Popen(
            [sys.executable, "-m", PROBE],
            cwd=root,
            env=child_environment.for_python(Path(__file__).parents[3]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            errors="replace",
            start_new_session=True,
        )
    except (GitError, OSError) as error:
        failure = Finding("wrong", f"cannot be checked: {error}")
        return lambda: failure
    return partial(check_storage, probe)


def check_storage(probe: subprocess.Popen[str]) -> Finding:
    try:
        place, reason = probe.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        end_group(probe.pid, at_once=True)
        probe.communicate()
        return Finding(
            "wrong",
            f"the DVC remote does not answer within {PATIENCE} s",
            "`dvc remote list` shows where it is expected",
        )
    if probe.returncode:
        last = reason.strip().rpartition("\n")[2] or f"exit code {probe.returncode}"
        words, colon, remedy = last.partition(": `")
        look = "`dvc remote list` shows where it is expected"
        return Finding("wrong", words, f"`{remedy}" if colon else look)
    if not place:
        return Finding(
            "warning",
            "no DVC remote: data and models are on this disk alone",
            "dvc remote add --default storage PATH_OR_URL",
        )
    return Finding("ok", f"{place.strip()} answers")


def start_asking(git: Git) -> Check:
    """Begins to ask origin for its branches, and returns the check that waits for its answer."""
    try:
        process = subprocess.Popen(
            ["git", *shared_refs.LIST],
            cwd=git.root,
            env={**git.process_variables, "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            errors="replace",
            start_new_session=True,
        )
    except (GitError, OSError) as error:
        failure = Finding("wrong", f"cannot be asked: {error}")
        return lambda: failure
    return partial(check_origin, git, process)


def check_origin(git: Git, process: subprocess.Popen[str]) -> Finding:
    try:
        _, words = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        end_group(process.pid, at_once=True)
        process.communicate()
        words = f"no answer within {PATIENCE} s"
    if not branches.has_origin(git):
        return Finding(
            "warning",
            "there is none: the history is in this clone alone",
            "git remote add origin URL",
        )
    if not process.returncode:
        return Finding("ok", "it answers")
    reason = " ".join(words.split()) or f"exit code {process.returncode}"
    return Finding(
        "wrong",
        f"it cannot be read: {reason}",
        "`git remote set-url origin URL` if it has moved; otherwise wait, or ask its owner for the right",
    )


def numbers(version: str) -> tuple[int, ...]:
    """Returns the first two numbers of a version, such as (2, 47) of 2.47.3; () where there is none."""
    return tuple(map(int, re.findall(r"\d+", version)[:2]))
