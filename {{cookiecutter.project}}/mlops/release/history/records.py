"""Records: annotated tags `<environment>/<number>`, one for each release that happened.

The tag points at the release's commit, from which everything that made it is reachable; its message
is a title and, below it, the record as JSON.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mlops import environments
from mlops.errors import MlopsError
from mlops.release.history import tags, versions
from mlops.release.history.git import Git
from mlops.release.history.tags import Tag

NUMBER = "{environment}/{number:04d}"


@dataclass(frozen=True)
class Record:
    """What was released, from where, and how it was judged.

    `answers` are the fields of Answers, which decide the version, and `reason` explains its number.
    `comparison` is the result of the comparison with the champion, or why the two could not be compared; it
    is None if there was no champion.
    A rollback names in `restored` the promotion that it brought back, and in `withdrew` the record, version
    and source_commit of the promotion that it withdrew (None if it only undid commits made by hand). `again`
    names the rollback that a promotion overruled.
    """

    environment: str
    number: int
    kind: Literal["promotion", "rollback"]
    source: str
    source_commit: str
    version: str
    reason: str
    answers: Mapping[str, Any]
    bundle: str
    metrics: Mapping[str, Any]
    gate: Mapping[str, Any]
    comparison: Mapping[str, Any] | None
    milliseconds: float | None
    megabytes: float
    memory_megabytes: float | None = None
    restored: str | None = None
    withdrew: Mapping[str, str] | None = None
    rollback_reason: str | None = None
    again: str | None = None

    @property
    def in_effect(self) -> str:
        """Returns the name of the promotion whose content the environment has by this record."""
        return self.restored or self.name

    @property
    def name(self) -> str:
        return NUMBER.format(environment=self.environment, number=self.number)

    @property
    def model(self) -> str:
        """Returns the MD5 of the model."""
        return str(self.answers["model"])

    @property
    def title(self) -> str:
        if self.restored:
            return f"{self.name}: {self.version}, rolled back to {self.restored}"
        return f"{self.name}: {self.version}, from {self.source} {self.source_commit[:7]}"

    def message(self) -> str:
        return tags.tag_message(self.title, asdict(self))


@dataclass(frozen=True)
class TaggedRecord:
    """A record with what its tag says: the commit that it points at, its author, and when (ISO 8601)."""

    record: Record
    commit: str
    author: str
    when: str


def records_of(git: Git, environment: str) -> list[TaggedRecord]:
    """Returns the records of an environment, oldest first."""
    found = tags.tags_matching(git, f"{environments.known_environment(environment)}/[0-9]*")
    tagged = [TaggedRecord(read_record(tag), tag.commit, tag.author, tag.when) for tag in found]
    return sorted(tagged, key=lambda each: each.record.number)


def read_record(tag: Tag) -> Record:
    try:
        return Record(**tag.content())
    except TypeError as error:
        raise MlopsError(
            f"the record {tag.name} was written by another version of mlops ({error}): use the code "
            f"of its commit, `git switch --detach {tag.name}`"
        ) from error


def next_number(git: Git, environment: str) -> int:
    latest = latest_record(git, environment)
    return latest.record.number + 1 if latest else 1


def latest_record(git: Git, environment: str) -> TaggedRecord | None:
    tagged = records_of(git, environment)
    return tagged[-1] if tagged else None


def find_record(git: Git, environment: str, name: str) -> TaggedRecord:
    """Returns the record of this name (prod/0003), or the environment's latest record of a version.

    Raises MlopsError, with the last names, if there is none.
    """
    tagged = records_of(git, environment)
    wanted = versions.version_name(name)
    for each in reversed(tagged):
        if name == each.record.name or wanted == each.record.version:
            return each
    known = ", ".join(f"{each.record.name} ({each.record.version})" for each in tagged[-5:])
    raise MlopsError(
        f"{environment} has no record {name!r}; its last are {known}"
        if known
        else f"{environment} has no record yet"
    )
