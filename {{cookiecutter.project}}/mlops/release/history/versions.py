"""Versions: tags `model@v<major>.<minor>.<patch>`, in GTO's grammar.

A version is what answers: model, input schema, serving code and serving libraries. Major: the input
schema breaks clients. Minor: another model. Patch: the same model with anything else changed.
"""

import hashlib
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlops.errors import MlopsError
from mlops.release.history import lockfile, tags
from mlops.release.history.git import Git
from mlops.release.history.notices import notice
from mlops.release.history.outputs import MODEL, SCHEMA
from mlops.release.history.tags import Tag

CODE = ("mlops/predict", "mlops/contract", "mlops/service", "science/features.py")
"""The code that answers. A change of any other code makes no new version."""

PREFIX = "model@"
PATTERN = re.compile(r"(?:model@)?(v\d+\.\d+\.\d+)")
FIRST = (1, 0, 0)
MAJOR, MINOR, PATCH = range(3)

ONCE = {"extra_column": "error"}
"""The policy of a schema that names none: only extra columns are refused."""


@dataclass(frozen=True)
class Answers:
    """The hashes of everything that determines an answer, and the contract with clients: columns, target,
    task, classes, threshold and policy."""

    model: str
    schema: str
    serving: str
    libraries: str
    contract: Mapping[str, Any]

    @classmethod
    def at_commit(cls, git: Git, commit: str, schema: Mapping[str, Any]) -> "Answers":
        lock = lockfile.read_lock(git, commit)
        return cls(
            model=lock.required_hash(MODEL),
            schema=lock.required_hash(SCHEMA),
            serving=hash_of_code(git, commit),
            libraries=git.run("rev-parse", f"{commit}:requirements/serve.txt"),
            contract={
                "columns": {column["name"]: column["type"] for column in schema["columns"]},
                "target": schema["target"],
                "task": schema["task"],
                "classes": schema["classes"],
                "threshold": schema["threshold"],
                "policy": schema.get("policy", ONCE),
            },
        )


@dataclass(frozen=True)
class Version:
    number: tuple[int, int, int]
    answers: Answers
    reason: str

    @property
    def name(self) -> str:
        return "v{}.{}.{}".format(*self.number)

    @property
    def tag(self) -> str:
        return PREFIX + self.name

    def message(self) -> str:
        content = {"version": self.name, "reason": self.reason, "answers": asdict(self.answers)}
        return tags.tag_message(f"{self.tag}: {self.reason}", content)

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "Version":
        """Returns the version that the content of a record, or of a version's tag, describes."""
        major, minor, patch = map(int, content["version"].removeprefix("v").split("."))
        return cls((major, minor, patch), Answers(**content["answers"]), content["reason"])


def version_name(text: str) -> str | None:
    """Returns v1.2.0 for the text v1.2.0 or model@v1.2.0, and None for any other text."""
    found = PATTERN.fullmatch(text)
    return found[1] if found else None


def readable_versions(git: Git, found: Iterable[Tag]) -> list[Version]:
    """Returns those of the tags that are versions, lowest number first.

    A tag that only has the name of a version is named in a notice.
    """
    known = []
    for tag in found:
        if version_name(tag.name):
            try:
                known.append(read_version(tag))
            except MlopsError as error:
                notice(git, f"{error}. It is left out")
    return sorted(known, key=lambda version: version.number)


def read_version(tag: Tag) -> Version:
    """Returns the version of a tag. Raises MlopsError if it is not one."""
    content = tag.content()
    try:
        version = Version.from_content(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise tags.foreign_tag(tag.name, "its JSON object is no version") from error
    if version.tag != tag.name:
        raise tags.foreign_tag(tag.name, f"it holds {version.name}")
    return version


def hash_of_code(git: Git, commit: str) -> str:
    """Returns one hash of all the code that answers at a commit."""
    listed = git.run("ls-tree", commit, "--", *CODE)
    return hashlib.sha256(listed.encode()).hexdigest()


def version_of(
    answers: Answers, known: Sequence[Version], taken: Container[str] = frozenset()
) -> Version:
    """Returns the known version with these answers, or the next one if there is none.

    The next one is none of the tags in `taken`, which hold other things or were deleted.
    """
    for version in known:
        if version.answers == answers:
            return version
    part, reason = step_to(answers, known[-1]) if known else (MINOR, "the first")
    number = following(known[-1].number, part) if known else FIRST
    while (version := Version(number, answers, reason)).tag in taken:
        number = following(number, part)
    return version


def step_to(answers: Answers, latest: Version) -> tuple[int, str]:
    """Returns which part of the latest version's number these answers raise, and why."""
    if broken := list(breaking_changes(latest.answers.contract, answers.contract)):
        return MAJOR, f"breaks clients: {'; '.join(broken)}"
    if answers.model != latest.answers.model:
        return MINOR, "another model"
    if answers.contract["threshold"] != latest.answers.contract["threshold"]:
        return MINOR, "another threshold"
    changed = [
        name for name in ("schema", "serving", "libraries")
        if getattr(answers, name) != getattr(latest.answers, name)
    ]  # fmt: skip
    return PATCH, f"the same model, other {' and '.join(changed)}"


def following(number: tuple[int, int, int], part: int) -> tuple[int, int, int]:
    """Returns the number with this part raised by one and those after it 0."""
    major, minor, patch = (
        each + (at == part) if at <= part else 0 for at, each in enumerate(number)
    )
    return major, minor, patch


def breaking_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yields each reason why a client of the old contract would fail under the new one."""
    before, after = old["columns"], new["columns"]
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"column {name!r} is gone"
        elif name not in before:
            yield f"column {name!r} is needed"
        elif before[name] != after[name]:
            yield f"column {name!r} was {before[name]} and is {after[name]}"
    for key in ("target", "task"):
        if old[key] != new[key]:
            yield f"{key} was {old[key]} and is {new[key]}"
    if old["task"] == new["task"]:
        yield from changed_classes(old["classes"], new["classes"])
    earlier = old.get("policy", ONCE)
    for name, severity in sorted(new.get("policy", ONCE).items()):
        if severity == "error" and earlier.get(name) != "error":
            yield f"{name} was answered and is refused"


def changed_classes(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    for name in old:
        if name not in new:
            yield f"class {name!r} is gone"
    for name in new:
        if name not in old:
            yield f"class {name!r} is new"
    if sorted(old) == sorted(new) and old != new:
        yield f"the positive class was {old[-1]!r} and is {new[-1]!r}"
