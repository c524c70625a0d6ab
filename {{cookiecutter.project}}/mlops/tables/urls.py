"""Parses the URLs of sources and destinations, which must not contain passwords."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from mlops.errors import Refused, UsageError

SECRET = re.compile("password|passwd|secret|token", re.IGNORECASE)
POSTGRESQL = ("postgresql", "postgres")
FEW_PARTS = ("sqlite", "redis", "rediss")
CURES = {
    **dict.fromkeys(POSTGRESQL, "PGPASSWORD or ~/.pgpass"),
    **dict.fromkeys(("redis", "rediss"), "REDIS_PASSWORD"),
}


@dataclass(frozen=True)
class Url:
    """A URL without a password, or a path, whose `scheme` is ""."""

    text: str
    scheme: str
    user: str | None
    host: str | None
    port: int | None
    path: str
    options: dict[str, str]

    def __str__(self) -> str:
        return redact_passwords(self.text)


def parse_url(text: str) -> Url:
    """Returns the parts of a URL. Raises UsageError if it is not valid, and Refused if it has a password."""
    if "://" not in text:
        return Url(text, "", None, None, None, text, {})
    parts = split_url(text)
    refuse_secrets(parts)
    refuse_lost_ends(parts)
    scheme = POSTGRESQL[0] if parts.scheme in POSTGRESQL else parts.scheme
    options = dict(parse_qsl(parts.query))
    return Url(text, scheme, parts.username, parts.hostname, parts.port, parts.path, options)


def database_file(url: Url) -> Path:
    """Returns the file that a URL of SQLite names. Raises UsageError if it names none, as that of a folder or
    device does, or if its folder is missing."""
    name = url.path.removeprefix("/")
    file = Path(name)
    try:
        is_no_file = file.exists() and not file.is_file()
    except OSError as error:  # a name that is too long
        raise UsageError(f"{url}: {error.strerror}: give a shorter name") from None
    if url.host or not file.name or is_no_file:
        raise UsageError(f"{url} names no file: use sqlite:///file.db or sqlite:////folder/file.db")
    if name == ":memory:" or name.startswith("file:"):
        raise UsageError(
            f"{url}: SQLite has a meaning of its own for this name, and could keep nothing: use the "
            "plain name of a file, such as sqlite:///file.db"
        )
    if not file.parent.is_dir():
        raise UsageError(f"{url}: there is no folder {file.parent}: create it")
    return file


def split_url(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:  # whose message may repeat a part of the password
        scheme = text.partition("://")[0]
        raise UsageError(
            f"the {scheme} URL can't be read: correct its host and port, and leave out any password"
        ) from None
    return parts


def refuse_lost_ends(parts: SplitResult) -> None:
    """Raises UsageError for a part of a URL that nobody would read, so that another file or database than the
    one that was meant would be written."""
    is_lost = parts.fragment or (parts.query and parts.scheme == "sqlite")
    if is_lost and parts.scheme in FEW_PARTS:
        raise UsageError(
            f"{redact_passwords(parts.geturl())}: the part after '#' or '?' has no meaning in a "
            f"{parts.scheme} URL: choose a name without these characters"
        )


def refuse_secrets(parts: SplitResult) -> None:
    """Raises Refused, without repeating it, for a password in a URL: every user of the machine can read the
    arguments of commands, and shells store them."""
    has_password = parts.password or (parts.scheme in CURES and "@" in parts.path)  # u:1/2@host
    if has_password or any(SECRET.search(name) for name, _ in parse_qsl(parts.query)):
        place = CURES.get(parts.scheme, "the environment variables or the file of its own library")
        raise Refused(
            f"{redact_passwords(parts.geturl())} contains a password, which others could read: put it in "
            f"{place}, remove it from the URL, and change the password"
        )


def redact_passwords(text: str) -> str:
    """Returns the text without the passwords of the URLs in it."""
    text = re.sub(r"(\w+://[^/@:\s]*):\S+@", r"\1:***@", text)
    return re.sub(
        rf"([?&][^=&\s]*(?:{SECRET.pattern})[^=&\s]*=)[^&\s]*", r"\1***", text, flags=re.I
    )
