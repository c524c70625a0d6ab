"""Finds an environment whose last commit is not what its latest record released.

Somebody has pushed to the branch, has moved it by force, or has deleted a tag.
"""

from collections.abc import Sequence

from mlops import environments
from mlops.errors import Refused
from mlops.release.history import arrivals, branches, lockfile, records
from mlops.release.history.git import Git
from mlops.release.history.records import TaggedRecord

FIRST = environments.CHAIN[0]


def unrecorded_tip(
    git: Git, environment: str, tagged: Sequence[TaggedRecord], tip: str | None = None
) -> str | None:
    """Returns a sentence, with the remedy, if no record stands behind the environment's last commit.

    `tagged` are the environment's records. `tip` is that commit; by default it is the later one of the branch
    here and on origin, or origin's where they diverge. Commits that change data/incoming alone do not count,
    and neither does a branch on which no model was made. Returns None if all is well, and in a shallow clone,
    which does not know it.
    """
    last = tip or known_tip(git, environment)
    recorded = tagged[-1].commit if tagged else None
    if environment == FIRST or not last or last == recorded or branches.is_shallow(git):
        return None
    commit = arrivals.release_commit(git, last)
    if commit == recorded or git.read_file(commit, lockfile.LOCK) is None:
        return None
    about = git.run("log", "-1", "--format=%h (%s, by %an)", commit)
    return (
        f"no record stands behind the last commit of {environment}, {about}: "
        f"{reason_and_remedy(git, environment, commit, tagged)}"
    )


def reason_and_remedy(
    git: Git, environment: str, commit: str, tagged: Sequence[TaggedRecord]
) -> str:
    recorded = [f"^{each.commit}" for each in tagged]
    if git.lines("rev-list", "-1", f"--grep=^{environment}/[0-9]*: ", commit, *recorded):
        return f"a proposal was merged, and `mlops promote {environment}` writes its record"
    trailer = f"%(trailers:key={records.RECORD_TRAILER},valueonly)"
    name = git.run("log", "-1", f"--format={trailer}", commit).strip()
    if name and name not in (each.record.name for each in tagged):
        return (
            f"it was released as {name}, and that tag is missing here or was changed. `git fetch origin "
            f"refs/tags/{name}:refs/tags/{name}` gets it; if origin has lost it too, `git push origin "
            f"refs/tags/{name}` from a clone that has it"
        )
    if not tagged:
        return f"nothing was released there yet, and `mlops promote {environment}` does so"
    latest = tagged[-1]
    if not branches.is_ancestor(git, latest.commit, commit):
        return (
            f"it does not contain {latest.record.name}, the latest record, so that somebody has moved the "
            f"branch by force. `mlops rollback {environment} --to {latest.record.name}` releases that again"
        )
    return (
        f"somebody has committed there since {latest.record.name}. `mlops rollback {environment}` goes back "
        f"to it; what is to stay belongs on {FIRST}, `git cherry-pick -x`, from where it is promoted"
    )


def known_tip(git: Git, environment: str) -> str | None:
    position = branches.read_position(git, environment)
    try:
        return branches.later_commit(git, position)
    except Refused:
        return position.there
