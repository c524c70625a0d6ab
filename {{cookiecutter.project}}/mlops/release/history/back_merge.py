"""Back-merges: merges that brought an environment into one upstream of it.

Every commit names its environment, and a merge goes downstream when its first parent, the branch that
it was made on, names an environment downstream of the others' or the same. A back-merge that was reverted
is undone, and one that was promoted since is in every environment: neither is reported.
"""

from collections.abc import Iterator

from mlops import environments
from mlops.errors import MlopsError
from mlops.release.history import branches, objects
from mlops.release.history.git import Git


def back_merge_findings(git: Git, commit: str) -> Iterator[str]:
    """Yields a line, with the remedy, for each back-merge in the history of `commit`, newest first."""
    released = [f"--glob=refs/tags/{name}/*" for name in environments.CHAIN[1:]]
    found = git.lines("rev-list", "--merges", "--parents", commit, "--not", *released)
    merges = [line.split() for line in found]
    place = environment_places(git, [parent for _, *parents in merges for parent in parents])
    for merge, first, *others in merges:
        for other in others:
            if place[first] < place[other] and not is_reverted(git, merge, commit):
                into, brought = (environments.CHAIN[place[each]] for each in (first, other))
                what = git.run("log", "-1", "--format=%h (%s)", merge)
                yield (
                    f"{what} merges {brought} into {into}, and changes flow downstream only: "
                    f"{undo_command(git, merge, commit)}{pick_command(git, first, other)}"
                )


def environment_places(git: Git, commits: list[str]) -> dict[str, int]:
    """Returns the position in the chain of each commit's environment; it is 0 if the commit names none."""
    blobs = objects.read_objects(git, [f"{commit}:{environments.FILE}" for commit in commits])
    return {commit: environment_place(blob) for commit, blob in zip(commits, blobs, strict=True)}


def environment_place(blob: objects.Blob | None) -> int:
    try:
        named = environments.parse_environment(
            blob.content.decode(errors="replace") if blob else ""
        )
    except MlopsError:
        return 0
    return environments.CHAIN.index(named)


def is_reverted(git: Git, merge: str, commit: str) -> bool:
    message = f"This reverts commit {merge}"
    return bool(git.lines("rev-list", "-1", "--fixed-strings", f"--grep={message}", commit))


def undo_command(git: Git, merge: str, commit: str) -> str:
    """Returns the command that undoes the merge; it rewrites nothing that is on a remote."""
    shared = git.lines("for-each-ref", "--count=1", f"--contains={merge}", "refs/remotes")
    if merge == commit and not shared:
        return f"`git reset --keep {merge[:7]}^1`"
    return f"`git revert -m 1 {merge[:7]}`"


def pick_command(git: Git, first: str, other: str) -> str:
    """Returns the command that picks the commits for which the merge may have been made, or ""."""
    wanted = branches.lacked_commits(git, other, first)
    return f", then `git cherry-pick -x {' '.join(each[:7] for each in wanted)}`" if wanted else ""
