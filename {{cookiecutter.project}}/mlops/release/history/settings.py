"""The settings of Git that decide how a release is made."""

from collections.abc import Mapping

from mlops.errors import Refused
from mlops.release.history.git import Git

Settings = Mapping[str, str]
"""Every setting that holds in a repository, by its name in lower case."""


def read_settings(git: Git) -> Settings:
    entries = (entry.partition("\n") for entry in git.run("config", "--list", "-z").split("\0"))
    return {name: value if newline else "true" for name, newline, value in entries if name}


def is_on(settings: Settings, name: str) -> bool:
    value = settings.get(name, "false").lower()
    return value in ("true", "yes", "on") or (value.isdecimal() and int(value) > 0)


def unreadable_by_dvc(settings: Settings) -> tuple[str, str] | None:
    """Returns what DVC's own reading of Git does not understand, and its remedy, or None."""
    if is_on(settings, "core.splitindex"):
        return (
            "core.splitIndex is on, and DVC cannot read a split index",
            "git config core.splitIndex false && git update-index --no-split-index",
        )
    if settings.get("extensions.refstorage", "files") != "files":
        return (
            "refs are stored as a reftable, which DVC cannot read",
            "git refs migrate --ref-format=files",
        )
    if settings.get("extensions.objectformat", "sha1") != "sha1":
        return (
            "objects are named by SHA-256, which DVC cannot read",
            "begin a new repository: git init --object-format=sha1",
        )
    return None


def refuse_unreadable(settings: Settings) -> None:
    """Raises Refused where DVC could not read the repository: it would fail after the stages have run."""
    if unreadable := unreadable_by_dvc(settings):
        words, remedy = unreadable
        raise Refused(f"{words}: {remedy}")
