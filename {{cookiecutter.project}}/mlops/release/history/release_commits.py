"""What the commits of releases say of themselves in trailers, which stay when a tag is deleted."""

from dataclasses import dataclass

from mlops import environments
from mlops.release.history import records, versions
from mlops.release.history.git import Git
from mlops.release.history.shared_refs import BRANCHES, TRACKING

FIELDS = (
    "%H", "%P", "%cn <%ce>", "%cI",
    *(
        f"%(trailers:key={key},valueonly,separator=%x20)"
        for key in (records.RECORD_TRAILER, records.VERSION_TRAILER, records.WITHDREW_TRAILER)
    ),
)  # fmt: skip


@dataclass(frozen=True)
class ReleaseCommit:
    """The commit of a release: its record, its version, and the record that it withdrew, if any.

    `when` is ISO 8601. `parents` are the environment's commit before and what was released.
    """

    commit: str
    parents: tuple[str, ...]
    author: str
    when: str
    record: str
    version: str
    withdrew: str


def release_commits(git: Git) -> list[ReleaseCommit]:
    """Returns the releases that the branches of the environments have, here or on origin, newest first."""
    targets = environments.CHAIN[1:]
    refs = [place + name for name in targets for place in (BRANCHES, TRACKING)]
    listed = git.lines(
        "log", "--ignore-missing", f"--grep=^{records.RECORD_TRAILER}: ",
        f"--format={'%x00'.join(FIELDS)}", *refs, "--",
    )  # fmt: skip
    found = []
    for line in listed:
        commit, parents, author, when, record, version, withdrew = line.split("\0")
        name = version.removeprefix(versions.PREFIX)
        found.append(
            ReleaseCommit(commit, tuple(parents.split()), author, when, record, name, withdrew)
        )
    return found
