"""Annotated tags whose message is a title and, below it, a JSON object."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops.errors import MlopsError
from mlops.release.history.git import Git

FIELDS = (
    "%(refname:strip=2)", "%(*objecttype)", "%(*objectname)", "%(taggername) %(taggeremail)",
    "%(taggerdate:iso-strict)", "%(contents)",
)  # fmt: skip


class ForeignTag(MlopsError):
    """A tag with the name of a record or version that mlops did not write."""


@dataclass(frozen=True)
class Tag:
    """A tag with the commit that it points at, its author, and when it was made (ISO 8601).

    `commit` is empty if the tag is not annotated or points at something else.
    """

    name: str
    commit: str
    author: str
    when: str
    message: str

    def content(self) -> Mapping[str, Any]:
        """Returns the JSON object of the message. Raises ForeignTag if mlops did not write the tag."""
        try:
            if not self.commit:
                raise ValueError("it is not an annotated tag of a commit")
            return json_in_message(self.message)
        except ValueError as error:
            raise foreign_tag(self.name, str(error)) from error


def foreign_tag(name: str, reason: str) -> ForeignTag:
    return ForeignTag(
        f"the tag {name} was not written by mlops ({reason}). If it is yours, give it another name: "
        f"`git tag NAME {name} && git tag --delete {name}`, and on origin, if it is there too, "
        f"`git push origin refs/tags/{name}:refs/tags/NAME :refs/tags/{name}`"
    )


def json_in_message(message: str) -> Mapping[str, Any]:
    """Returns the JSON object below the title of a message, which a signature or trailers may follow.

    Raises ValueError if there is none.
    """
    _, _, body = message.partition("\n\n")
    if not body.startswith("{"):
        raise ValueError("its message holds no JSON object")
    content: Mapping[str, Any] = json.JSONDecoder().raw_decode(body)[0]
    return content


def tag_message(title: str, content: Mapping[str, Any]) -> str:
    return f"{title}\n\n{json.dumps(content, indent=1)}\n"


def tags_matching(git: Git, *patterns: str) -> list[Tag]:
    """Returns the tags that match a pattern such as model@v*, sorted by name."""
    form = f"--format={'%00'.join(FIELDS)}%00"
    wanted = (f"refs/tags/{pattern}" for pattern in patterns)
    listed = git.raw("for-each-ref", "--sort=refname", form, *wanted).decode(errors="replace")
    fields = [field.lstrip("\n") for field in listed.split("\0")[:-1]]
    found = (fields[at : at + len(FIELDS)] for at in range(0, len(fields), len(FIELDS)))
    return [
        Tag(name, target if kind == "commit" else "", *others)
        for name, kind, target, *others in found
    ]
