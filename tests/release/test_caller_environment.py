"""Tests that each command of `mlops` does the same under variables of the caller that could lead it astray.

Git sets some of these variables for what it starts, and others are in the profile of a shell. A few pairs of
command and variables are tested here; `make soak` tests all of them.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

import instant_project
import soak
import tiny_pipeline
from fault import mlops
from instant_project import promote, set_quality
from machinery import MLOPS
from mlops.release.data import dvc
from mlops.release.history.git import Git

TRAIN = "mkdir -p models && grep quality params.yaml > models/model.onnx && cp schema.json models"
TRAINING = """\
import shutil
from pathlib import Path
CODE = "committed"
quality = Path("params.yaml").read_text().strip()
Path("models").mkdir(exist_ok=True)
Path("models/model.onnx").write_text(f"code: {CODE}\\n{quality}\\n")
shutil.copy("schema.json", "models")
"""
PIPELINE = instant_project.PIPELINE.replace(TRAIN, "python -m mlops.train").replace(
    "deps: [data/prepared/train.parquet, schema.json]",
    "deps: [data/prepared/train.parquet, schema.json, mlops/train/__main__.py]",
)
INSTALL = """\
import sys, sysconfig, venv
from pathlib import Path
venv.create(sys.argv[2])
[packages] = Path(sys.argv[2]).glob("lib/python*/site-packages")
(packages / "these.pth").write_text(sysconfig.get_path("purelib"))
"""
FILES = {
    **instant_project.FILES,
    "dvc.yaml": PIPELINE,
    "install.py": INSTALL,
    "mlops/__init__.py": "",
    "mlops/train/__main__.py": TRAINING,
    "mlops/predict/__init__.py": "",
    "mlops/service/ask.py": "print('answered by the code of the release')\n",
    "notes.txt": "",
}
DATE = "2026-01-01T00:00:00+00:00"
"""Of each commit, so that those of two runs are equal."""

COMMANDS = {
    "repro": ("repro",),
    "repro --force": ("repro", "--force"),
    "check": ("check",),
    "promote --dry-run": ("promote", "staging", "--dry-run"),
    "promote": ("promote", "staging"),
    "rollback": ("rollback", "staging"),
    "status": ("status",),
    "tracker": ("tracker",),
    "compare": ("compare", "staging", "dev"),
    "show": ("show", "v1.0.0"),
    "predict": ("predict", "--environment", "staging"),
    "clean": ("clean", "--yes"),
    "reproduce": ("reproduce", "staging"),
}
EXIT_CODES = {"check": 3}
"""Of what does not end with 0: the code of the working tree is not what was run."""

HOSTILE = """\
import pathlib, sys
if sys.orig_argv[1:2] != ["-c"]:  # not `mlops` itself
    with pathlib.Path({mark!r}).open("a") as mark:
        mark.write(f"{{sys.orig_argv}} loaded {{__name__}}\\n")
"""
TRAPS = (
    *("sitecustomize", "mlops/__init__", "mlops/train/__main__", "mlops/service/ask"),
    *("mlops/contract/measure", "mlops/compare/compare", "mlops/release/promote/challenger"),
    *("science/__init__", "science/features"),
)
"""Modules of the names of the project's, and what every Python loads."""
FOREIGN_PYTHON = """\
#!/bin/sh
echo "$0 $*" >> {mark}
exit 7
"""


@dataclass(frozen=True)
class Place:
    """A copy of the project, and hostile files beside it."""

    project: Path

    @property
    def mark(self) -> Path:
        """A file that hostile code writes when it runs."""
        return self.project.parent / "mark"

    @property
    def other(self) -> Path:
        """Another repository."""
        return self.project.parent / "other"

    @property
    def hostile(self) -> Path:
        """Modules with the names of the modules of the project, and those that every Python loads."""
        return self.project.parent / "hostile"

    @property
    def foreign(self) -> Path:
        """A `python` and a `python3` that do not belong to the project."""
        return self.project.parent / "foreign"

    def set_traps(self) -> None:
        Git(self.project.parent).run("init", "--quiet", str(self.other))
        for module in TRAPS:
            self.write_trap(self.hostile / f"{module}.py", HOSTILE)
        for program in ("python", "python3"):
            self.write_trap(self.foreign / program, FOREIGN_PYTHON)

    def write_trap(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(mark=str(self.mark)))
        file.chmod(0o755)


VARIABLES: dict[str, Callable[[Place], dict[str, str]]] = {
    "GIT_DIR": lambda place: {"GIT_DIR": str(place.project / ".git")},
    "GIT_DIR of another repository": lambda place: {"GIT_DIR": str(place.other / ".git")},
    "GIT_INDEX_FILE": lambda place: {"GIT_INDEX_FILE": str(place.project / ".git/index")},
    "GIT_WORK_TREE": lambda place: {"GIT_WORK_TREE": str(place.project)},
    "GIT_DIR, GIT_WORK_TREE, GIT_PREFIX": lambda place: {
        "GIT_DIR": str(place.project / ".git"),
        "GIT_WORK_TREE": str(place.project),
        "GIT_PREFIX": "data/",
    },
    "GIT_OBJECT_DIRECTORY": lambda place: {"GIT_OBJECT_DIRECTORY": str(place.other / "objects")},
    "PYTHONSAFEPATH": lambda place: {"PYTHONSAFEPATH": "1"},
    "PYTHONPATH": lambda place: {"PYTHONPATH": str(place.hostile)},
    "PYTHONSAFEPATH, PYTHONPATH": lambda place: {
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": str(
            place.project
        ),  # as the installed project is, whose code is not committed
    },
    "another python first on PATH": lambda place: {
        "PATH": f"{place.foreign}{os.pathsep}{os.environ['PATH']}"
    },
    "this python not on PATH": lambda place: {"PATH": f"{place.foreign}{os.pathsep}{os.defpath}"},
}

IN_CI = [
    ("repro", "GIT_DIR"),
    ("repro", "PYTHONPATH"),
    ("repro", "another python first on PATH"),
    ("check", "GIT_DIR of another repository"),
    ("promote --dry-run", "GIT_DIR"),
    ("promote --dry-run", "GIT_INDEX_FILE"),
    ("promote", "GIT_DIR, GIT_WORK_TREE, GIT_PREFIX"),
    ("promote", "PYTHONSAFEPATH, PYTHONPATH"),
    ("promote", "PYTHONPATH"),
    ("rollback", "GIT_WORK_TREE"),
    ("predict", "PYTHONPATH"),
    ("reproduce", "another python first on PATH"),
]
PAIRS = [(command, name) for command in COMMANDS for name in VARIABLES] if soak.LOG else IN_CI


@pytest.fixture(scope="module", autouse=True)
def tester() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        instant_project.speak_as_tester(monkeypatch)
        for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
            monkeypatch.setenv(name, DATE)
        yield


@pytest.fixture(scope="module")
def prepared(tester: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was released to staging twice, with a third model on dev. Another branch is checked out,
    with a staged change and code that is not committed."""
    project = tmp_path_factory.mktemp("caller") / "project"
    tiny_pipeline.make(project, FILES)
    instant_project.chain(project, "The project")
    instant_project.reproduce(project, "Reproduce")
    for quality in (0.91, 0.92):
        promote(project, "staging")
        set_quality(project, quality)
    promote(project, "staging")
    set_quality(project, 0.93)
    Git(project).run("switch", "--quiet", "--create", "work")
    (project / "notes.txt").write_text("staged\n")
    Git(project).run("add", "notes.txt")
    code = project / "mlops/train/__main__.py"
    code.write_text(code.read_text().replace("committed", "not committed"))
    return project


@dataclass(frozen=True)
class Outcome:
    """All that a command leaves and prints, except for the place where it ran and the time that it took."""

    code: int
    said: str
    git: list[str]
    files: dict[str, str]


def run(prepared: Path, folder: Path, command: str, name: str = "") -> Outcome:
    place = Place(instant_project.copied(prepared, folder))
    place.set_traps()
    before = files(place.other)
    variables = VARIABLES[name](place) if name else {}
    done = subprocess.run(
        [sys.executable, "-c", MLOPS, *COMMANDS[command]],
        cwd=place.project,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not place.mark.exists(), place.mark.read_text()
    assert files(place.other) == before
    said = re.sub(r"\d+\.\d s\b", "N s", f"{done.stdout}\n{done.stderr}")
    outcome = Outcome(
        done.returncode,
        said.replace(str(folder), ""),
        git_state(place.project),
        files(place.project),
    )
    shutil.rmtree(folder)
    return outcome


def git_state(project: Path) -> list[str]:
    """Returns refs, index, changed files, and the working trees without their place."""
    git = Git(project)
    asked = (
        "for-each-ref",
        "ls-files --stage",
        "status --porcelain --branch",
        "config --list --local",
    )
    trees = str(len(git.lines("worktree", "list")))
    return [git.run(*words.split()) for words in asked] + [trees]


def files(folder: Path) -> dict[str, str]:
    """Returns the hash of each file. Of the files that Git and DVC write for themselves it returns only the
    name, or nothing."""
    passing = (".git/", ".dvc/tmp/")
    return {
        name: "" if name.startswith(".dvc/cache/") else sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
        and not (name := path.relative_to(folder).as_posix()).startswith(passing)
        and "__pycache__" not in name
    }


@pytest.fixture(scope="module")
def undisturbed(
    prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Outcome]:
    """Returns what a command does without such variables; it is run once."""
    outcomes: dict[str, Outcome] = {}

    def outcome(command: str) -> Outcome:
        if command not in outcomes:
            outcomes[command] = run(prepared, tmp_path_factory.mktemp("run") / "copy", command)
        return outcomes[command]

    return outcome


@pytest.mark.parametrize(("command", "name"), PAIRS)
def test_the_caller_leads_no_command_astray(
    prepared: Path,
    undisturbed: Callable[[str], Outcome],
    tmp_path: Path,
    command: str,
    name: str,
) -> None:
    wanted = undisturbed(command)
    assert wanted.code == EXIT_CODES.get(command, 0), wanted.said
    assert run(prepared, tmp_path / "copy", command, name) == wanted
    soak.note("caller", command=command, variable=name)


@pytest.fixture
def linked(prepared: Path, tmp_path: Path) -> Path:
    """A linked working tree of dev, in which Git sets GIT_DIR for what it runs; the data are in the storage,
    and the program `../dry-run` tries a promotion."""
    project = instant_project.copied(prepared, tmp_path / "copy")
    with dvc.open_repo(project) as repo, dvc.quiet_dvc():
        repo.push(revs=["dev"], run_cache=True)
    tree = project.parent / "linked"
    Git(project).run("worktree", "add", "--quiet", str(tree), "dev")
    program = project.parent / "dry-run"
    program.write_text(f"#!/bin/sh\n{mlops(*COMMANDS['promote --dry-run'])}\n")
    program.chmod(0o755)
    return tree


@pytest.mark.parametrize(
    "words",
    [
        ("-c", "alias.try=!../dry-run", "try"),
        ("rebase", "--quiet", "--exec", "../dry-run", "HEAD~1"),
        (
            "-c",
            "core.hooksPath=../hooks",
            "commit",
            "--quiet",
            "--allow-empty",
            "--message",
            "Tried",
        ),
    ],
    ids=["alias", "rebase", "hook"],
)
def test_what_git_itself_starts_leaves_index_and_working_tree_alone(
    linked: Path, words: Sequence[str]
) -> None:
    git = Git(linked)
    hook = linked.parent / "hooks/pre-commit"
    hook.parent.mkdir()
    hook.symlink_to("../dry-run")
    asked = ("ls-files --stage", "status --porcelain", "for-each-ref refs/heads/staging refs/tags")
    before, unchanged = [git.run(*each.split()) for each in asked], without_cache(linked)
    done = subprocess.run(
        ["git", *words], cwd=linked, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gate: accuracy 0.93" in done.stdout + done.stderr
    assert [git.run(*each.split()) for each in asked] == before
    assert without_cache(linked) == unchanged
    assert git.read_file("HEAD", "branch.yaml") == b"environment: dev\n"


def without_cache(folder: Path) -> dict[str, str]:
    """Returns the hashes of the files without those of the cache, in which files stay that were fetched to be
    promoted."""
    return {name: digest for name, digest in files(folder).items() if digest}
