"""What was ever released, as far as the tags here and the commits of the environments' branches tell.

No number is used twice. A tag can be deleted, here or on origin; the commit of a release names its record and
its version in trailers, which stay as long as the branch has the commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self

from mlops import environments
from mlops.errors import Refused
from mlops.release.history import records, tags, versions, withdrawals
from mlops.release.history.git import Git
from mlops.release.history.records import TaggedRecord
from mlops.release.history.release_commits import ReleaseCommit, release_commits
from mlops.release.history.settings import Settings, read_settings
from mlops.release.history.shared_refs import TAGS
from mlops.release.history.versions import Answers, Version

TARGETS = environments.CHAIN[1:]


@dataclass(frozen=True)
class Released:
    """The records by environment, oldest first, and the versions, lowest number first.

    `written` are the names of the tags that hold them, `tags` those of all tags that look so, and `names` are
    these and those in trailers. `commits` are those of releases. `settings` are those of Git.
    """

    records: Mapping[str, Sequence[TaggedRecord]]
    versions: Sequence[Version]
    written: frozenset[str]
    tags: frozenset[str]
    names: frozenset[str]
    commits: Sequence[ReleaseCommit]
    settings: Settings

    @classmethod
    def before_release(cls, git: Git, environment: str) -> Self:
        """Reads what a release to the environment has to know.

        Raises MlopsError for a tag that no record of the environment could be written beside.
        """
        found = tags.tags_matching(git, *TARGETS, f"{versions.PREFIX}v*")
        if any(tag.name == environment for tag in found):
            raise Refused(
                f"a tag is called {environment}, so that Git can write no record {environment}/NUMBER: give "
                f"it another name, `git tag NAME {TAGS}{environment} && git tag --delete {environment}`"
            )
        by_environment = {
            name: records.readable_records(git, name, found, strict=name == environment)
            for name in TARGETS
        }
        released = [each.record for tagged in by_environment.values() for each in tagged]
        known = {record.version: Version.from_content(asdict(record)) for record in released}
        tagged = versions.readable_versions(git, found)
        commits = release_commits(git)
        named = {name for each in commits for name in (each.record, versions.PREFIX + each.version)}
        known |= {version.name: version for version in tagged}
        return cls(
            by_environment,
            sorted(known.values(), key=lambda version: version.number),
            frozenset([record.name for record in released] + [version.tag for version in tagged]),
            frozenset(tag.name for tag in found),
            frozenset(named | {tag.name for tag in found}),
            commits,
            read_settings(git),
        )

    def next_number(self, environment: str) -> int:
        """Returns one more than the highest number that any record of the environment has had."""
        found = (records.number_in_name(environment, name) for name in self.names)
        return max((int(digits) for digits in found if digits), default=0) + 1

    def standing_withdrawals(self, environment: str) -> list[TaggedRecord]:
        """Returns the rollbacks of the environment that still hold, also those whose tags are deleted."""
        tagged = self.records[environment]
        lost = withdrawals.lost_rollbacks(environment, tagged, self.commits)
        ordered = sorted([*tagged, *lost], key=lambda each: each.record.number)
        return withdrawals.standing_withdrawals(ordered)

    def version_of(self, answers: Answers) -> Version:
        return versions.version_of(answers, self.versions, self.names)
