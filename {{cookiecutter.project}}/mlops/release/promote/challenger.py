"""Makes the challenger for a release, in a working tree of its own and by a process of its own.

promote/worker.py gives tasks, and promote/worker_process.py is the process that answers them.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mlops import environments
from mlops.errors import Away, MlopsError, Refused
from mlops.release.data import dvc, lacking, reach, repro, stage_code, store
from mlops.release.data.dvc import Repo
from mlops.release.data.dvc_settings import read_dvc_settings
from mlops.release.history import core_yaml, lock_merge, lockfile
from mlops.release.history.git import Git
from mlops.release.history.lockfile import Lock
from mlops.release.history.outputs import BUNDLE, TESTING
from mlops.release.promote import answers_at_commit
from mlops.release.promote.answers_at_commit import run_module


def answer_tasks(tree: Path, home: Path, connection: Connection) -> None:
    """Answers each task, until the connection is closed, with its result or an MlopsError.

    DVC is opened once, in the working tree `tree` with the cache and remotes of `home`.
    """
    with dvc.open_repo(tree, read_dvc_settings(home)) as repo:
        for task, arguments in received_tasks(connection):
            connection.send(answer_task(repo, task, arguments))


def received_tasks(connection: Connection) -> Iterator[tuple[str, dict[str, Any]]]:
    with suppress(EOFError):
        while True:
            yield connection.recv()


def answer_task(repo: Repo, task: str, arguments: Mapping[str, Any]) -> Any:
    try:
        return TASKS[task](repo, **arguments)
    except MlopsError as error:
        return error


def make_in_tree(repo: Repo, source: str, environment: str, target: str) -> list[str]:
    """Runs the stages that differ in `environment` from the branch `source`, and returns their names.

    Raises Refused if the source is not reproduced, and StageFailed if a stage fails.
    """
    tree = Path(repo.root_dir)
    if reach.has_remote(repo):
        reach.require_remote(repo, to_write=True)
    commit = Git(tree).run("rev-parse", "HEAD")
    try:
        restored = restore_outputs(repo, commit)
    except Away:
        raise
    except MlopsError as error:
        raise Refused(str(error)) from error
    refuse_unreproduced(repo, source)
    (tree / environments.FILE).write_text(
        f"environment: {environment}\n", encoding="utf-8", newline="\n"
    )
    begin_from_target(Git(tree), commit, target)
    done = repro.reproduce_stages(repo)
    whole = {*restored.values()}
    made = repro.made_by_stages(repo).items()
    store.refuse_damaged(repo, {path: md5 for path, md5 in made if md5 not in whole})
    return done


def begin_from_target(git: Git, source: str, target: str) -> None:
    """Takes the target's entry of dvc.lock for each stage whose entry the source has not changed since.

    Such an entry names the run in the target's environment, so that DVC need not restore it. DVC finds an
    entry that is out of date, as any other. A dvc.lock in a layout that the merge driver does not know, for
    instance with a comment, is left unchanged, and DVC restores each run.
    """
    if git.read_file(target, lockfile.LOCK) is None:
        return
    commits = (git.run("merge-base", source, target), target, source)
    try:
        before, ours, theirs = (
            lock_merge.split_lock((git.read_file(commit, lockfile.LOCK) or b"").decode())
            for commit in commits
        )
    except (lock_merge.UnknownLayoutError, UnicodeDecodeError):
        return
    taken = {
        name: ours[name] for name in ours if name in theirs and before.get(name) == theirs[name]
    }
    (git.root / lockfile.LOCK).write_text(
        lock_merge.render_lock({**theirs, **taken}), encoding="utf-8", newline="\n"
    )
    for path in Lock.parse(lock_merge.render_lock(taken).encode()).outputs:
        if (report := git.read_file(target, path)) is not None:
            (git.root / path).write_bytes(report)


def refuse_unreproduced(repo: Repo, source: str) -> None:
    cure = f"on {source}, `mlops repro` and commit, then again"
    if unsound := list(stage_code.code_findings(repo)):
        raise Refused("\n- ".join([f"{source}: problems to solve there: {len(unsound)}", *unsound]))
    if doubtful := dvc.unattested_entries(repo):
        lock = Path(repo.root_dir, lockfile.LOCK).read_bytes()
        found = lacking.unknown_runs(Git(Path(repo.root_dir)), lock, doubtful, "HEAD")
        head = f"{source}: no run attests dvc.lock's {', '.join(doubtful)}: {cure}"
        raise Refused("\n- ".join([head, *found]))
    if stale := repro.unreproduced(repo):
        raise Refused(f"{source} is not reproduced; not up to date: {', '.join(stale)}: {cure}")


def compare_with_champion(repo: Repo, champion: str) -> dict[str, Any]:
    """Compares the model of the tree with the one that the commit `champion` deployed."""
    tree = Path(repo.root_dir)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        try:
            answers_at_commit.export_commit(repo, champion, place)
            scores = answers_at_commit.answer_test_rows(place, tree / TESTING, group_column(tree))
            result: dict[str, Any] = json.loads(
                run_module("mlops.compare.compare", scores, cwd=tree)
            )
        except subprocess.CalledProcessError as error:
            return {"incomparable": answers_at_commit.failure_reason(error)}
        except Away:
            raise
        except MlopsError as lost:
            return {"incomparable": str(lost)}
        return result


def group_column(tree: Path) -> str | None:
    """Returns the column by which params.yaml keeps rows together in one split, or None."""
    content = core_yaml.parse_yaml((tree / "params.yaml").read_bytes(), "params.yaml")
    split = content.get("prepare", {}).get("split", {})
    return split["column"] if split.get("by") == "group" else None


def measure_bundle(repo: Repo) -> dict[str, float]:
    """Returns what the bundle costs: milliseconds for one row, megabytes of files and of memory."""
    measured: dict[str, float] = json.loads(
        run_module("mlops.contract.measure", BUNDLE, cwd=Path(repo.root_dir))
    )
    return measured


def push_data(repo: Repo, commits: list[str]) -> bool:
    """Sends the data that the dvc.lock of each commit names; returns False if there is no remote."""
    if not reach.has_remote(repo):
        return False
    git = Git(Path(repo.root_dir))
    for commit in commits:
        store.push_objects(
            repo,
            lockfile.carried_hashes(git, commit).values(),
            git.read_file(commit, lockfile.LOCK) or b"",
        )
    return True


def restore_outputs(repo: Repo, commit: str) -> dict[str, str]:
    """Fetches every output of `commit` into the cache, intact, and returns the hash of each by its path.

    Raises MlopsError if one is lost.
    """
    git = Git(Path(repo.root_dir))
    named = lockfile.carried_hashes(git, commit)
    if lost := {*store.mend_cache(repo, named.values())}:
        words = lacking.lost_data(git, commit, {p: md5 for p, md5 in named.items() if md5 in lost})
        raise MlopsError(f"{commit[:7]} cannot be restored: {words}")
    return named


TASKS: dict[str, Callable[..., Any]] = {
    "make": make_in_tree,
    "compare": compare_with_champion,
    "measure": measure_bundle,
    "push": push_data,
    "restore": restore_outputs,
}
