"""The refs that a team shares: the environments' branches, the records and the versions.

Every other branch and tag is a person's own. None of them is fetched, and none can hold up a release.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlops import environments
from mlops.release.history.git import Git
from mlops.release.history.versions import PREFIX

ORIGIN = "origin"
TRACKING = f"refs/remotes/{ORIGIN}/"
BRANCHES = "refs/heads/"
TAGS = "refs/tags/"

ENVIRONMENT = "|".join(environments.CHAIN)
ENVIRONMENT_BRANCHES = tuple(
    place + name for place in (BRANCHES, TRACKING) for name in environments.CHAIN
)
"""The branch of each environment, here and on origin, as full names of refs."""

SHARED = re.compile(
    rf"{BRANCHES}({ENVIRONMENT})|{TAGS}(({ENVIRONMENT})/\d{{4,}}|{PREFIX}v\d+\.\d+\.\d+)"
)

LIST = ("ls-remote", "--quiet", "--refs", "--heads", "--tags", ORIGIN)
"""Asks origin for its refs; `read_listing` takes the answer."""

FETCH = ("fetch", "--quiet", "--no-tags", "--no-prune", "--no-write-fetch-head", ORIGIN)

FETCH_ALL = (
    "fetch", "--quiet", "--no-tags", "--prune", "--no-write-fetch-head", ORIGIN,
    *(f"+refs/{kind}/*:refs/mlops/{ORIGIN}/{kind}/*" for kind in ("heads", "tags")),
)  # fmt: skip
"""Fetches what `mlops clean` has to keep: also other people's branches and tags."""


@dataclass(frozen=True)
class SharedRefs:
    """The shared refs here and on origin, each with the hash of its object.

    A branch counts as here if it is a remote-tracking branch. On origin is what its last answer said.
    `in_the_way` are the tags on origin beside which it can't take the records of an environment.
    """

    here: Mapping[str, str]
    there: Mapping[str, str]
    in_the_way: Sequence[str] = ()

    @property
    def specs_to_fetch(self) -> list[str]:
        """Returns the refspecs for what origin has and this clone lacks. No tag here is overwritten."""
        branches = [
            f"+{ref}:{tracking_ref(ref)}"
            for ref, name in self.there.items()
            if ref.startswith(BRANCHES) and self.here.get(ref) != name
        ]
        tags = [f"{ref}:{ref}" for ref in self.there.keys() - self.here.keys() if is_tag(ref)]
        return branches + sorted(tags)

    @property
    def branches_gone(self) -> list[str]:
        """Returns the remote-tracking branches of what origin no longer has."""
        gone = self.here.keys() - self.there.keys()
        return sorted(tracking_ref(ref) for ref in gone if ref.startswith(BRANCHES))

    @property
    def tags_differing(self) -> list[str]:
        """Returns the names of the tags that are another object here than on origin."""
        both = self.here.keys() & self.there.keys()
        return sorted(
            ref.removeprefix(TAGS)
            for ref in both
            if is_tag(ref) and self.here[ref] != self.there[ref]
        )

    @property
    def tags_lacking(self) -> list[str]:
        """Returns the names of the tags that are here and not on origin."""
        lacking = self.here.keys() - self.there.keys()
        return sorted(ref.removeprefix(TAGS) for ref in lacking if is_tag(ref))


def is_tag(ref: str) -> bool:
    return ref.startswith(TAGS)


def tracking_ref(branch: str) -> str:
    """Returns the remote-tracking branch of a branch, both as full names of refs."""
    return TRACKING + branch.removeprefix(BRANCHES)


def read_listing(text: str) -> dict[str, str]:
    """Returns the shared refs, with their objects, of what `git ls-remote` has printed."""
    pairs = (line.split("\t") for line in text.splitlines())
    return {ref: name for name, ref in pairs if SHARED.fullmatch(ref)}


def refs_here(git: Git) -> dict[str, str]:
    """Returns the shared refs of this clone; those of its branches are what was last fetched."""
    wanted = (f"{TRACKING}{each}" for each in environments.CHAIN)
    tags = (f"{TAGS}{each}/" for each in environments.CHAIN)
    form = "--format=%(objectname)\t%(refname)"
    listed = git.run("for-each-ref", form, *wanted, *tags, f"{TAGS}{PREFIX}v*")
    return read_listing(listed.replace(f"\t{TRACKING}", f"\t{BRANCHES}"))


def compare_with_origin(git: Git, listing: str) -> SharedRefs:
    """Returns the shared refs here and in the answer of origin to LIST."""
    refs = {line.rpartition("\t")[2] for line in listing.splitlines()}
    in_the_way = [name for name in environments.CHAIN if f"{TAGS}{name}" in refs]
    return SharedRefs(refs_here(git), read_listing(listing), in_the_way)


def differing_lines(names: Sequence[str]) -> Iterator[str]:
    """Yields a line, with the remedy, for each of the tags that differ from origin's."""
    for name in names:
        yield (
            f"the tag {name} here is not the one on origin, and stays as it is. If origin's is right: "
            f"`git tag {name}-here {name} && git fetch {ORIGIN} +{TAGS}{name}:{TAGS}{name}`; if yours is: "
            f"`git push --force {ORIGIN} {TAGS}{name}`"
        )
