"""`mlops reproduce`: runs a commit's stages again and compares every file with its record.

The stages run in a new working tree, with the commit's own locked libraries, data fetched by hash and an
empty cache, so that every stage runs. The user's working tree, cache and settings are not changed, and
nothing is left but the libraries (mlops/release/places/venv.py).
"""

import json
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlops.errors import MlopsError
from mlops.release import child_environment
from mlops.release.data import private_store
from mlops.release.data.private_store import PrivateStore
from mlops.release.errors import StageFailed
from mlops.release.history import lockfile, revisions
from mlops.release.history.git import Git
from mlops.release.history.lockfile import Lock
from mlops.release.history.outputs import BUNDLE, TESTING, TRAINING
from mlops.release.places import process, venv, worktree

HERE = Path(__file__).parents[3]
RUNNING = re.compile(r"Running stage '(.+)':")

Say = Callable[[str], None]
Verdict = Literal["identical", "equivalent", "different"]


@dataclass(frozen=True)
class File:
    """The MD5 of a file as recorded and as made again, each None if the file is absent."""

    path: str
    recorded: str | None
    made: str | None

    @property
    def same(self) -> bool:
        return self.recorded == self.made


@dataclass(frozen=True)
class Reproduction:
    """The result. `reason` explains the verdict, and `where` names the Python and the system that ran."""

    commit: str
    files: list[File]
    verdict: Verdict
    reason: str
    where: str


@dataclass(frozen=True)
class Workshop:
    """A working tree at a commit, and the variables under which its own libraries are found."""

    tree: Git
    variables: Mapping[str, str]

    def run(self, *command: str | Path, on_line: Say = lambda line: None) -> str:
        return process.run_watched(command, self.tree.root, self.variables, on_line)

    def outputs(self) -> Mapping[str, str]:
        """Returns the MD5 of each output, by path, that the dvc.lock in the tree has recorded."""
        return Lock.parse((self.tree.root / lockfile.LOCK).read_bytes()).outputs


def reproduce_commit(
    git: Git, revision: str, say: Say, may_run: Callable[[str], bool] = lambda question: False
) -> Reproduction:
    """Runs the commit again and returns the comparison.

    `may_run` is asked before the code of a commit is run that no environment's branch holds. Raises Refused
    if it may not, StageFailed if a stage fails, and MlopsError if data or libraries are not available.
    """
    commit = revisions.commit_of(git, revision)
    revisions.refuse_to_run(git, revision, commit, may_run, f"mlops reproduce {revision}")
    recorded = lockfile.read_lock(git, commit)
    if not recorded.outputs:
        raise MlopsError(
            f"{revision} has no dvc.lock: no stage was run there, and none can be run again"
        )
    with ExitStack() as stack:
        with timed_step(say, f"a working tree of {commit[:7]}"):
            tree = stack.enter_context(worktree.private_worktree(git, commit))
        own_cache = private_store.use_private_cache(tree.root)
        with (
            timed_step(say, "its data"),
            private_store.open_private_store(tree.root, git.root) as store,
        ):
            bring_data(store, tree, recorded.outputs)
        with timed_step(
            say, "its libraries"
        ):  # which take minutes, and are in vain without the data
            libraries = stack.enter_context(venv.venv_of_commit(git, commit, tree.root, say))
        workshop = Workshop(tree, venv.venv_variables(libraries, tree.root) | own_cache)
        run_stages(workshop, say)
        with (
            timed_step(say, "comparing"),
            private_store.open_private_store(tree.root, git.root) as store,
        ):
            files = list(compare_files(store, recorded.outputs, workshop.outputs()))
            verdict, reason = judge_files(store, workshop, commit, files)
    where = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return Reproduction(commit, files, verdict, reason, where)


@contextmanager
def timed_step(say: Say, what: str) -> Iterator[None]:
    say(f"{what} ...")
    started = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - started:.1f} s")


def bring_data(store: PrivateStore, tree: Git, recorded: Mapping[str, str]) -> None:
    """Writes the data that no stage makes into the tree."""
    for path, md5 in lockfile.carried_hashes(tree, "HEAD").items():
        if path not in recorded:
            store.copy(md5, tree.root / path, path=path, commit="HEAD")


def run_stages(workshop: Workshop, say: Say) -> None:
    (workshop.tree.root / lockfile.LOCK).unlink()  # so that it will hold what was run, and no more
    with ExitStack() as current:

        def on_line(line: str) -> None:
            if found := RUNNING.match(line):
                current.close()
                current.enter_context(timed_step(say, f"running {found[1]}"))

        dvc = ("python", "-m", "dvc", "repro", "--force", "--no-run-cache")
        try:
            workshop.run(*dvc, on_line=on_line)
        except subprocess.CalledProcessError as error:
            raise StageFailed(
                f"the stages can't be run again:\n{process.last_lines(error)}"
            ) from error


def compare_files(
    store: PrivateStore, recorded: Mapping[str, str], made: Mapping[str, str]
) -> Iterator[File]:
    """Yields every file of every output; a directory counts as one file if the list of its files is lost."""
    for path in sorted(recorded.keys() | made.keys()):
        yield from differing_files(store, path, recorded.get(path), made.get(path))


def differing_files(
    store: PrivateStore, path: str, recorded: str | None, made: str | None
) -> Iterator[File]:
    before, after = files_of_output(store, path, recorded), files_of_output(store, path, made)
    if before is None or after is None:
        yield File(path, recorded, made)
        return
    for name in sorted(before.keys() | after.keys()):
        yield File(name, before.get(name), after.get(name))


def files_of_output(store: PrivateStore, path: str, md5: str | None) -> dict[str, str] | None:
    if md5 is None or not md5.endswith(".dir"):
        return {path: md5} if md5 else {}
    listed = store.files(md5)
    return listed and {f"{path}/{name}": value for name, value in listed.items()}


def judge_files(
    store: PrivateStore, workshop: Workshop, commit: str, files: list[File]
) -> tuple[Verdict, str]:
    differing = [file.path for file in files if not file.same]
    if not differing:
        return "identical", f"all {len(files)} files are, byte for byte, those of the record"
    difference = f"{len(differing)} of {len(files)} files differ ({', '.join(differing)})"
    tree = workshop.tree
    lock, pipeline = (tree.read_file(commit, name) or b"" for name in (lockfile.LOCK, "dvc.yaml"))
    if doubtful := store.unattested(lock, pipeline):
        return "different", f"{difference}, and no run attests the record of {', '.join(doubtful)}"
    try:
        found = compare_answers(store, workshop, lockfile.read_lock(tree, commit))
    except MlopsError as error:
        return "different", f"{difference}, and the predictions can't be compared: {error}"
    return (
        "equivalent" if found["agree"] else "different",
        f"{difference}; of the {found['rows']} test rows, {found['flipped']} {found['words']}, where "
        f"{found['tolerance']} is allowed",
    )


def compare_answers(store: PrivateStore, workshop: Workshop, recorded: Lock) -> dict[str, Any]:
    """Returns what mlops.compare.agreement finds for the recorded bundle and the one made again."""
    place = workshop.tree.root / ".dvc/tmp/recorded"
    for path in (BUNDLE, TRAINING, TESTING):
        store.copy(recorded.required_hash(path), place / path, path=path, commit="HEAD")
    scores = {place / BUNDLE: place / "recorded.npz", Path(BUNDLE): place / "made.npz"}
    try:
        for folder, file in scores.items():
            rows = (place / TRAINING, place / TESTING)
            workshop.run("python", "-m", "mlops.compare.answer_rows", folder, *rows, file)
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "mlops.compare.agreement",
            *scores.values(),
        ]
        printed = process.run_watched(command, HERE, child_environment.for_python(HERE))
    except subprocess.CalledProcessError as error:
        raise MlopsError(process.last_lines(error, lines=1)) from error
    found: dict[str, Any] = json.loads(printed)
    return found
