"""Records: annotated tags `<environment>/<number>`, one for each release that happened.

The tag points at the release's commit, from which everything that made it is reachable; its message
is a title and, below it, the record as JSON.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from mlops import environments
from mlops.errors import MlopsError
from mlops.release.history import tags, versions
from mlops.release.history.git import Git
from mlops.release.history.notices import notice
from mlops.release.history.tags import Tag

NUMBER = "{environment}/{number:04d}"

RECORD_TRAILER, VERSION_TRAILER, WITHDREW_TRAILER = "Record", "Version", "Withdrew"
"""The trailers with which the commit of a release names its record, the tag of its version and, after a
rollback, the record that was withdrawn."""


class UnknownRecord(MlopsError):
    """A record that another version of mlops wrote."""


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

    @property
    def trailers(self) -> str:
        """Returns the lines with which the release's commit names the record, in case its tag is deleted."""
        named = {RECORD_TRAILER: self.name, VERSION_TRAILER: versions.PREFIX + self.version}
        if self.withdrew:
            named[WITHDREW_TRAILER] = self.withdrew["record"]
        return "\n".join(f"{key}: {name}" for key, name in named.items())

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
    """Returns the records of an environment, oldest first; a tag that is no record is named in a notice."""
    found = tags.tags_matching(git, environments.known_environment(environment))
    return readable_records(git, environment, found)


def readable_records(
    git: Git, environment: str, found: Iterable[Tag], *, strict: bool = False
) -> list[TaggedRecord]:
    """Returns those of the tags that are records of the environment, oldest first.

    A tag that only has the name of a record is named in a notice. Any other tag is a person's own.
    Raises UnknownRecord, if `strict`, for a record that another version of mlops wrote.
    """
    tagged = []
    for tag in found:
        if number_in_name(environment, tag.name) == tag.name.rpartition("/")[2]:
            try:
                tagged.append(read_record(tag))
            except MlopsError as error:
                if strict and isinstance(error, UnknownRecord):
                    raise
                notice(git, f"{error}. It is left out")
    return sorted(tagged, key=lambda each: each.record.number)


def number_in_name(environment: str, name: str) -> str | None:
    """Returns the digits of the record that a tag of this name is, or stands in the way of."""
    found = re.fullmatch(rf"{environment}/(\d{{4,}})(?:/.*)?", name)
    return found[1] if found else None


def read_record(tag: Tag) -> TaggedRecord:
    """Returns the record of a tag.

    Raises ForeignTag if it is none, and UnknownRecord if another version of mlops wrote it.
    """
    content = tag.content()
    try:
        record = Record(**content)
    except TypeError as error:
        if {"environment", "number", "source_commit"} <= content.keys():
            raise UnknownRecord(
                f"the record {tag.name} was written by another version of mlops ({error}): use the "
                f"code of its commit, `git switch --detach {tag.name}`"
            ) from error
        raise tags.foreign_tag(tag.name, "its JSON object is no record") from error
    if tag.name != f"{record.environment}/{record.number:>04}":
        raise tags.foreign_tag(tag.name, f"it holds {record.environment}/{record.number}")
    return TaggedRecord(record, tag.commit, tag.author, tag.when)


def record_of_object(git: Git, name: str, tag_object: str) -> TaggedRecord:
    """Returns the record `name` of a tag object that this clone has and no ref of it names.

    Raises GitError if the object is no annotated tag, and as `read_record` does.
    """
    content = git.raw("cat-file", "tag", tag_object).decode(errors="replace")
    header, _, message = content.partition("\n\n")
    fields = dict(line.partition(" ")[::2] for line in header.splitlines())
    if "tagger" not in fields:
        raise tags.foreign_tag(name, "it has no author")
    author, seconds, _ = fields["tagger"].rsplit(" ", 2)
    when = datetime.fromtimestamp(int(seconds), UTC).isoformat()
    return read_record(Tag(name, fields["object"], author, when, message))


def latest_record(git: Git, environment: str) -> TaggedRecord | None:
    tagged = records_of(git, environment)
    return tagged[-1] if tagged else None


def find_record(tagged: Sequence[TaggedRecord], name: str) -> TaggedRecord:
    """Returns the record of this name (prod/0003), or the latest record of a version.

    `tagged` are the records of an environment, at least one. Raises MlopsError, with the last names, if none
    of them is meant.
    """
    wanted = versions.version_name(name)
    for each in reversed(tagged):
        if name == each.record.name or wanted == each.record.version:
            return each
    known = ", ".join(f"{each.record.name} ({each.record.version})" for each in tagged[-5:])
    environment = tagged[-1].record.environment
    raise MlopsError(f"{environment} has no record {name!r}; its last are {known}")
