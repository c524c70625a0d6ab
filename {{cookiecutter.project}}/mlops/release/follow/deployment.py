"""Prepares what a commit deployed in a folder, to be run with the commit's own code and libraries.

`.dvc/tmp/deployments/<commit>/` holds the code of the service and of batches, the locks of their
libraries, the bundle in deploy/, and release.json, which describes the release. It is prepared once;
release.json is written last, so that a folder that has one is complete. A lock protects it while it is in
use.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from mlops import environments
from mlops.errors import MlopsError
from mlops.release import child_environment
from mlops.release.history import (
    arrivals,
    branches,
    lockfile,
    records,
    reports,
    revisions,
    versions,
)
from mlops.release.history.core_yaml import parse_yaml
from mlops.release.history.git import Git
from mlops.release.history.outputs import BUNDLE
from mlops.release.history.records import TaggedRecord
from mlops.release.places import scratch, venv

FOLDER = Path(".dvc/tmp/deployments")
RELEASE = "release.json"
SERVICE = (
    "mlops/__init__.py",
    "mlops/errors.py",
    "mlops/log_stream.py",
    "science/__init__.py",
    *versions.CODE,
)
BATCH = (
    *("mlops/file_lock.py", "mlops/process_group.py", "mlops/text_table.py"),
    *("mlops/tables", "mlops/batch"),
)
PARTS = (*SERVICE, *BATCH, venv.LOCKS, venv.INSTALL)
MEASURED = ("milliseconds", "megabytes", "memory_megabytes")

Room = Literal["serve", "batch"]
Say = Callable[[str], None]


class Deployment:
    """The folder of a commit, which is locked until `close`, and its interpreter.

    `room` names the lock of libraries that its code needs; `release` is the content of release.json.
    """

    def __init__(self, git: Git, commit: str, room: Room, say: Say, held: ExitStack) -> None:
        self.commit = commit
        self.folder = deployment_folder(git, commit)
        self._git = git
        self._lock = f"{venv.LOCKS}/{room}.txt"
        self._say = say
        self.release: dict[str, Any] = json.loads((self.folder / RELEASE).read_bytes())
        self._held = held.pop_all()

    @cached_property
    def python(self) -> Path:
        """Returns an interpreter with the commit's libraries, which are installed first if none has them."""
        locked = self._git.read_file(self.commit, self._lock)
        if locked is None:
            raise MlopsError(f"{self.commit[:7]} has no {self._lock}: its code can't be run")
        if is_installed(locked, self._git.root / self._lock):
            return Path(sys.executable)
        self._say(f"{self._lock} of {self.commit[:7]} is not installed here: installing it")
        own = venv.venv_of_commit(self._git, self.commit, self.folder, self._say)
        return self._held.enter_context(own) / "bin" / "python"

    @property
    def variables(self) -> dict[str, str]:
        """Returns the variables with which a process finds the code of the folder from any directory."""
        return {**child_environment.for_python(self.folder), "PYTHONSAFEPATH": "1"}

    @property
    def is_there(self) -> bool:
        """Returns whether nobody has removed the folder or a file of the bundle."""
        files = (self.folder / BUNDLE / name for name in self.release["files"])
        return (self.folder / RELEASE).exists() and all(file.exists() for file in files)

    @property
    def is_intact(self) -> bool:
        """Returns whether the files of the bundle have the hashes of the release."""
        return self.is_there and all(
            file_md5(self.folder / BUNDLE / name) == md5
            for name, md5 in self.release["files"].items()
        )

    def discard(self) -> None:
        """Ends the use of the folder, and lets the next use prepare it anew."""
        self.close()
        (self.folder / RELEASE).unlink(missing_ok=True)

    def run(self, module: str, *arguments: str) -> int:
        """Runs a module of the folder's code and returns its exit code."""
        command = [str(self.python), "-m", module, *arguments]
        return subprocess.run(command, env=self.variables, check=False).returncode

    def close(self) -> None:
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *how: object) -> None:
        self.close()


def open_deployment(
    git: Git, revision: str, *, room: Room = "serve", say: Say = lambda line: None
) -> Deployment:
    """Opens what an environment, version, record, branch or commit deployed; missing data are fetched.

    Raises MlopsError if nothing is deployed there or its data are lost.
    """
    commit = released_commit(git, deployed_commit(git, revision, say))
    with hold_folder(git, commit, revision) as stack:
        refresh_release_file(git, commit)
        return Deployment(git, commit, room, say, stack)


def deployed_commit(git: Git, revision: str, say: Say) -> str:
    """Returns the commit of a revision; a version is looked for in the environment furthest downstream."""
    if revision in environments.CHAIN:
        branches.fetch_if_in_reach(git, say)
        return branches.tip_of(git, revision)
    try:
        return known_commit(git, revision)
    except MlopsError:
        branches.fetch_if_in_reach(git, say)
    return known_commit(git, revision)


def known_commit(git: Git, revision: str) -> str:
    if released := latest_release_of(git, revision):
        return released
    found = revisions.find_revision(git, revision)
    return latest_release_of(git, found.name) or found.commit


def released_commit(git: Git, tip: str) -> str:
    """Returns the last commit up to `tip` that changed anything but data/incoming.

    The history of a shallow clone may end after it: there it is the record with the same content.
    """
    commit = arrivals.release_commit(git, tip)
    if branches.is_shallow(git):
        for each in reversed(records.records_of(git, branches.environment_at(git, commit))):
            if git.succeeds("diff", "--quiet", each.commit, commit, "--", *arrivals.ALL_ELSE):
                return each.commit
    return commit


def latest_release_of(git: Git, version: str) -> str | None:
    wanted = versions.version_name(version)
    for environment in reversed(environments.CHAIN if wanted else ()):
        for tagged in reversed(records.records_of(git, environment)):
            if tagged.record.version == wanted:
                return tagged.commit
    return None


def deployment_folder(git: Git, commit: str) -> Path:
    return git.root / FOLDER / commit


def hold_folder(git: Git, commit: str, revision: str) -> ExitStack:
    """Prepares the folder unless it is there, and locks it until the returned stack is closed."""
    folder = deployment_folder(git, commit)
    while True:
        with ExitStack() as stack:
            stack.enter_context(scratch.hold_scratch(folder, shared=True))
            if (folder / RELEASE).exists():
                return stack.pop_all()
        remove_superseded_folders(git)
        with scratch.hold_scratch(folder):
            if not (folder / RELEASE).exists():
                prepare_folder(git, commit, revision)


def prepare_folder(git: Git, commit: str, revision: str) -> None:
    from mlops.release.data import dvc, store

    folder, md5 = deployment_folder(git, commit), bundle_of(git, commit, revision)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with dvc.open_repo(git.root) as repo:
            parts = git.lines("ls-tree", "--name-only", commit, "--", *PARTS)
            git.export(commit, parts, folder)
            store.copy_object(repo, md5, folder / BUNDLE, path=BUNDLE, commit=commit)
            files = store.files_in_directory(repo.cache.local, md5)
            replace_file(folder / RELEASE, release_facts(git, commit, md5, files))
    except MlopsError as error:
        raise type(error)(f"what {revision} deployed is not available: {error}") from error


def bundle_of(git: Git, commit: str, revision: str) -> str:
    md5 = lockfile.read_lock(git, commit).outputs.get(BUNDLE)
    if md5 is None:
        promoted = revision in environments.CHAIN[1:]
        cure = f"`mlops promote {revision}`" if promoted else "there, `mlops repro` and commit"
        raise MlopsError(f"{revision} has deployed nothing yet: {cure}")
    return md5


def release_facts(git: Git, commit: str, bundle: str, files: Mapping[str, str]) -> dict[str, Any]:
    """Returns the content of release.json; the fields of the record are null for an unreleased commit."""
    environment = branches.environment_at(git, commit)
    file = f"environments/{environment}.yaml"
    settings = parse_yaml(git.read_file(commit, file), file)
    latest = record_of_commit(git, environment, commit)
    record = asdict(latest.record) if latest else {}
    metrics: Mapping[str, Any] = {}
    with suppress(MlopsError):  # none can be read that a run has made
        metrics = reports.read_report(git, commit, reports.METRICS)
    return {
        "environment": environment,
        "version": record.get("version"),
        "commit": commit,
        "record": latest.record.name if latest else None,
        "released": latest.when if latest else None,
        "author": latest.author if latest else None,
        "bundle": bundle,
        "files": dict(files),
        "metrics": metrics,
        **{name: record.get(name) for name in MEASURED},
        "serve": settings.get("serve") or {},
    }


def record_of_commit(git: Git, environment: str, commit: str) -> TaggedRecord | None:
    made = [each for each in records.records_of(git, environment) if each.commit == commit]
    return made[-1] if made else None


def refresh_release_file(git: Git, commit: str) -> None:
    """Updates release.json: a record may be made or fetched after the folder of its commit was prepared."""
    file = deployment_folder(git, commit) / RELEASE
    content = json.loads(file.read_bytes())
    now = release_facts(git, commit, content["bundle"], content["files"])
    if now != content:
        replace_file(file, now)


def file_md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def replace_file(file: Path, content: Mapping[str, Any]) -> None:
    """Replaces the file in one step, since other processes may be reading it."""
    new = file.with_name(f"{file.name}.{os.getpid()}")
    new.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")
    new.replace(file)


def is_installed(locked: bytes, lock: Path) -> bool:
    """Returns whether the running interpreter has the libraries of a lock, whose file here is `lock`."""
    stamp = Path(sys.prefix, "installed.json")
    if not stamp.exists():
        return lock.exists() and lock.read_bytes() == locked
    record = json.loads(stamp.read_bytes())
    return not record.get("unfinished") and venv.lock_digest(locked.decode()) in (
        digest
        for path, digest in record.get("locks", {}).items()
        if path.endswith(f"/{venv.LOCKS}/{lock.name}")
    )


def superseded_folders(git: Git) -> list[Path]:
    """Returns the folders of commits that are not the last one of any branch, here or on origin."""
    tips = {*git.lines("for-each-ref", "--format=%(objectname)", "refs/heads", "refs/remotes")}
    folders = [each for each in sorted((git.root / FOLDER).glob("*/")) if each.name not in tips]
    current = {released_commit(git, tip) for tip in tips} if folders else ()
    return [folder for folder in folders if folder.name not in current]


def remove_superseded_folders(git: Git) -> None:
    """Removes the superseded folders that are not in use."""
    for folder in superseded_folders(git):
        scratch.remove_scratch_if_free(folder)
