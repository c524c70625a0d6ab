"""`mlops push`: sends the data and run records of branches to the DVC remote, then the branches to origin.

Nothing of Git is pushed if the data could not be.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from mlops.errors import MlopsError, Refused, counted
from mlops.release.data import attestation, dvc, lacking, reach, store
from mlops.release.data.dvc import Repo
from mlops.release.errors import GitError
from mlops.release.history import branches, lockfile, objects, obstacles, remotes
from mlops.release.history.branches import ORIGIN
from mlops.release.history.git import Git

LOST = "`mlops push` sends them from the machine that has them, or `mlops repro` makes them again"

Say = Callable[[str], None]


def push_branches(git: Git, names: Sequence[str], say: Say) -> None:
    """Pushes these branches, by default the one that is checked out, after their data.

    Raises Refused, with nothing of Git pushed, if origin has commits that a branch lacks, or if data or run
    records of a branch's last commit are neither here nor in the DVC remote; Away if origin or the DVC remote
    is out of reach.
    """
    obstacles.refuse_unfinished(git)
    wanted = [*dict.fromkeys(names)] or [checked_out_branch(git)]
    new = new_branches(git, wanted)
    with dvc.open_repo(git.root) as repo:
        if reach.has_remote(repo):
            say(send_history(repo, [f"refs/heads/{name}" for name in wanted]))
            for name in wanted:
                refuse_lacked(repo, name, f"refs/heads/{name}", LOST)
        else:
            say("there is no DVC remote: the data stay in this cache alone")
    push_to_origin(git, wanted, upstream=bool(new))
    say(f"pushed {', '.join(wanted)} to {ORIGIN}")


def checked_out_branch(git: Git) -> str:
    if branch := git.branch():
        return branch
    raise Refused("no branch is checked out: `git switch BRANCH`, or name the branch to push")


def new_branches(git: Git, names: Sequence[str]) -> list[str]:
    """Returns the branches that origin lacks or that have no upstream.

    Raises Refused unless every branch is here and has all that origin's branch of its name has.
    """
    if not branches.has_origin(git):
        raise Refused(
            f"there is no Git remote {ORIGIN!r} to push to: `git remote add {ORIGIN} URL`"
        )
    for name in names:
        if not git.commit(f"refs/heads/{name}"):
            raise MlopsError(
                f"there is no branch {name!r} here: `git branch` lists those that there are"
            )
    there = branches_on_origin(git, names)
    for name, commit in there.items():
        if not git.commit(commit) or not branches.is_ancestor(git, commit, f"refs/heads/{name}"):
            if branches.is_shallow(git):
                raise Refused(
                    f"{ORIGIN} has another commit of {name}, this clone is shallow and does not know which "
                    "of them is newer, and nothing was pushed: `git fetch --unshallow`, then again"
                )
            raise Refused(
                f"{ORIGIN} has commits of {name} that are not here, and nothing was pushed: `git switch "
                f"{name} && git pull`, then `mlops repro`, commit what it changes, and push again"
            )
    return [
        name
        for name in names
        if name not in there or not git.run("config", "--default", "", f"branch.{name}.merge")
    ]


def branches_on_origin(git: Git, names: Sequence[str]) -> dict[str, str]:
    """Returns the commit of each of these branches that origin has."""
    refs = (f"refs/heads/{name}" for name in names)
    listed = remotes.contact(git, ORIGIN, "ls-remote", ORIGIN, *refs)
    found = (line.split("\t") for line in listed.splitlines())
    return {ref.removeprefix("refs/heads/"): commit for commit, ref in found}


def send_history(repo: Repo, revisions: Sequence[str]) -> str:
    """Sends what the cache has of the data and run records of all commits of these revisions.

    Returns a sentence that says how much the remote lacked. Raises Away if it did not take all of it.
    """
    with reach.sending(repo):
        known = hashes_in_history(Git(Path(repo.root_dir)), revisions)
        count = store.send_objects(repo, sendable_objects(repo, known))
        records = store.send_records(repo, records_among(repo, known))
    if not count and not records:
        return f"the DVC remote {reach.describe_remote(repo)}, has all data and run records"
    sent = f"{counted(count, 'object')} and {counted(records, 'run record')}"
    return f"sent {sent} to {reach.describe_remote(repo)}"


def hashes_in_history(git: Git, revisions: Sequence[str]) -> set[str]:
    """Returns every hash in a dvc.lock or .dvc file of the commits of these revisions."""
    listed = git.lines("rev-list", "--objects", *revisions)
    named = [line.partition(" ") for line in listed]
    files = [name for name, _, path in named if lockfile.names_data(path)]
    blobs = objects.read_objects(git, files)
    return {found for blob in blobs if blob for found in lockfile.hashes_in(blob.content)}


def sendable_objects(repo: Repo, names: Iterable[str]) -> list[str]:
    """Returns those of the objects that the remote lacks and the cache has whole."""
    cache = repo.cache.local
    lacked = store.lacked_objects(repo, names)
    return [name for name in lacked if not any(store.broken_objects(cache, name))]


def records_among(repo: Repo, hashes: set[str]) -> list[Path]:
    """Returns the run records of the cache that name only these hashes."""
    files = (file for file in Path(repo.stage_cache.cache_dir).glob("*/*/*") if file.is_file())
    return [file for file in files if lockfile.hashes_in(file.read_bytes()) <= hashes]


def refuse_lacked(repo: Repo, name: str, commit: str, cure: str) -> None:
    """Raises Refused if the DVC remote lacks data or run records of a commit to be pushed as `name`, and Away
    if it is out of reach: a directory that went away lacks everything."""
    if found := [*lacked_data(repo, commit), *lacked_runs(repo, commit)]:
        reach.require_remote(repo)
        lacks = f"the DVC remote {reach.describe_remote(repo)}, lacks {len(found)} parts of {name}"
        raise Refused("\n- ".join([f"{lacks}. {cure}", *found]))


def lacked_data(repo: Repo, commit: str) -> Iterator[str]:
    """Yields path, commit and author of the data of a commit that the remote lacks."""
    git = Git(Path(repo.root_dir))
    named = lockfile.carried_hashes(git, commit, arrived=True)
    lacked = {*store.lacked_objects(repo, named.values())}
    for path, md5 in named.items():
        if md5 in lacked:
            yield f"{path} ({lacking.who_added(git, commit, md5)})"


def lacked_runs(repo: Repo, commit: str) -> Iterator[str]:
    """Yields a line for each stage of a commit whose run record the remote lacks."""
    git, runs = Git(Path(repo.root_dir)), Path(repo.stage_cache.cache_dir)
    lock, pipeline = (git.read_file(commit, name) or b"" for name in (lockfile.LOCK, "dvc.yaml"))
    records = attestation.record_paths(lock, pipeline, runs)
    lacked = {*store.lacked_records(repo, records.values())}
    here = [name for name, path in records.items() if path in lacked and path.exists()]
    yield from (f"{name}: its run record" for name in here)
    unknown = [name for name, path in records.items() if path in lacked and name not in here]
    yield from lacking.unknown_runs(git, lock, unknown, commit)


def push_to_origin(git: Git, names: Sequence[str], *, upstream: bool) -> None:
    """Pushes all of the branches or none; Git's pre-push hook runs.

    With `upstream`, the branches of origin become the upstream of those here. Raises Refused with the words
    of Git or of the hook, and Away if origin is out of reach.
    """
    options = ["--set-upstream"] if upstream else []
    refs = [f"refs/heads/{name}" for name in names]
    try:
        remotes.contact(git, ORIGIN, "push", "--quiet", "--atomic", *options, ORIGIN, *refs)
    except GitError as error:
        new_branches(git, names)  # somebody may have pushed meanwhile
        raise remotes.kind_of(error)(
            f"the data are sent, and {ORIGIN} did not take the branch: {error}"
        ) from error
