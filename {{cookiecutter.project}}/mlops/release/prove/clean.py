"""`mlops clean`: deletes the data that no ref and no working tree names.

Branches here and on origin, tags, experiments and the stash are refs, so that every environment, version
and record keeps its data. Run records stay, even when the data that they name are deleted.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlops.errors import Refused, counted
from mlops.release.data import dvc, garbage
from mlops.release.data.dvc import Repo
from mlops.release.data.garbage import Waste
from mlops.release.follow import deployment
from mlops.release.history import branches, lockfile, objects
from mlops.release.history.git import Git
from mlops.release.places import scratch, venv, worktree
from mlops.release.update import update

KINDS = {
    ("branch", "branches"): r"refs/(heads|remotes)/",
    ("tag", "tags"): r"refs/tags/",
    ("experiment", "experiments"): r"refs/exps/(?!stash|exec)",
}

Say = Callable[[str], None]


@dataclass(frozen=True)
class InUse:
    """Hashes of data that something names, and Git's hashes of the locks of libraries."""

    data: set[str]
    libraries: set[str]


def clean_project(git: Git, say: Say, confirm: Callable[[], bool], *, cloud: bool = False) -> None:
    """Deletes what nothing names in the cache and, with `cloud`, in the default remote, if `confirm()`."""
    with worktree.one_release_at_a_time(git):
        if cloud:
            branches.fetch_every_ref(git)
        else:
            branches.fetch_if_in_reach(git, say, branches.fetch_every_ref)
        with dvc.open_repo_alone(git.root) as repo:
            refuse_foreign(git, repo)
            used = data_in_use(git)
            say(f"keeping what {counted_refs(git)} and the working trees name")
            waste = [each for each in find_waste(git, repo, used, cloud=cloud) if each.count]
            for each in waste:
                say(f"nothing names {each}")
            if not waste:
                say("nothing to delete")
            elif confirm():
                for each in waste:
                    each.remove()
                git.run("worktree", "prune")
                say(f"freed {sum(each.size or 0 for each in waste) / 1e6:.1f} MB here")


def refuse_foreign(git: Git, repo: Repo) -> None:
    cache = Path(repo.cache.local.path)
    if not any(cache.is_relative_to(tree) for tree in working_trees(git)):
        raise Refused(
            f"the cache {cache} lies outside of this project, and others may keep their data there: "
            "`dvc gc --all-branches --all-tags --all-experiments --projects PATH ...` with the path "
            "of every other project"
        )


def counted_refs(git: Git) -> str:
    refs = git.lines("for-each-ref", "--format=%(refname)")
    found = {kind: sum(bool(re.match(form, ref)) for ref in refs) for kind, form in KINDS.items()}
    return ", ".join(counted(count, *kind) for kind, count in found.items())


def data_in_use(git: Git) -> InUse:
    """Returns every hash in a dvc.lock or .dvc file; those of dependencies count too, to be safe."""
    named = [line.partition(" ") for line in objects_of_refs(git)]
    blobs = [name for name, _, path in named if lockfile.names_data(path)]
    texts = [blob.content for blob in objects.read_objects(git, blobs) if blob]
    texts += [path.read_bytes() for path in uncommitted_files(git)]
    data = {found for text in texts for found in lockfile.hashes_in(text)}
    return InUse(data, {name for name, _, path in named if path == venv.LOCKS})


def objects_of_refs(git: Git) -> list[str]:
    """Returns hash and path of each object in the commits of refs and working trees, each hash once."""
    heads = git.lines("worktree", "list", "--porcelain")
    commits = {line.removeprefix("HEAD ") for line in heads if line.startswith("HEAD ")}
    return git.lines("rev-list", "--objects", "--no-walk", "--all", *commits)


def working_trees(git: Git) -> list[Path]:
    lines = git.lines("worktree", "list", "--porcelain")
    return [Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree ")]


def uncommitted_files(git: Git) -> Iterator[Path]:
    for tree in filter(Path.exists, working_trees(git)):
        listed = Git(tree).run("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        paths = [tree / path for path in listed.split("\0") if lockfile.names_data(path)]
        yield from filter(Path.is_file, paths)


def find_waste(git: Git, repo: Repo, used: InUse, *, cloud: bool) -> Iterator[Waste]:
    yield garbage.in_cache(repo, used.data)
    if cloud:
        yield garbage.in_remote(repo, used.data)
    venvs = [
        each for each in subfolders(git, venv.FOLDER) if venv.locks_hash(each) not in used.libraries
    ]
    yield unused_folders("deployment", "", deployment.superseded_folders(git))
    yield unused_folders("set", "of libraries", venvs)
    yield unused_folders("leftover", "of a reproduction or check", subfolders(git, worktree.MANY))
    yield unused_folders("leftover", "of a promotion", [git.root / worktree.FOLDER])
    yield unused_folders("leftover", "of an update", [git.root / update.FOLDER])


def subfolders(git: Git, folder: Path) -> list[Path]:
    return [path for path in sorted((git.root / folder).glob("*")) if path.is_dir()]


def unused_folders(noun: str, where: str, paths: list[Path]) -> Waste:
    """Returns the folders that no process uses. A file that has another link frees no space."""
    free = [path for path in paths if path.exists() and not scratch.is_held(path)]
    files = [file.lstat() for path in free for file in path.rglob("*")]
    size = sum(status.st_size for status in files if status.st_nlink == 1)

    def remove() -> None:
        for path in free:
            scratch.remove_scratch(path)

    return Waste(noun, where, len(free), size, remove)
