"""Annotated tags whose message is a title and, below it, a JSON object."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops.errors import MlopsError
from mlops.release.history.git import Git

FIELDS = (
    "%(refname:strip=2)%00%(*objectname)%00%(taggername) %(taggeremail)%00%(taggerdate:iso-strict)"
)


@dataclass(frozen=True)
class Tag:
    """A tag with the commit that it points at, its author, and when it was made (ISO 8601)."""

    name: str
    commit: str
    author: str
    when: str
    message: str

    def content(self) -> Mapping[str, Any]:
        try:
            return json_in_message(self.message)
        except ValueError as error:
            raise MlopsError(
                f"the tag {self.name} was not written by mlops: {error}. If it is yours, give it "
                f"another name: `git tag NAME {self.name} && git tag --delete {self.name}`"
            ) from error


def json_in_message(message: str) -> Mapping[str, Any]:
    """Returns the JSON object below the title of a message. Raises ValueError if there is none."""
    content = json.loads(message.partition("\n\n")[2])
    if not isinstance(content, dict):
        raise ValueError("its message holds no JSON object")
    return content


def tag_message(title: str, content: Mapping[str, Any]) -> str:
    return f"{title}\n\n{json.dumps(content, indent=1)}\n"


def tags_matching(git: Git, pattern: str) -> list[Tag]:
    """Returns the tags that match a pattern such as model@v*, sorted by name."""
    form = f"--format={FIELDS}%00%(contents)%01"
    listed = git.run("for-each-ref", "--sort=refname", form, f"refs/tags/{pattern}")
    return [Tag(*entry.lstrip("\n").split("\0")) for entry in listed.split("\1")[:-1]]
