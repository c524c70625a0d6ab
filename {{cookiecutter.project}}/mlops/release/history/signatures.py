"""Writes commits and tags without a ref, signed if the user's Git signs its own, and checks signatures.

`git commit-tree` and `git mktag` heed no setting, and `git tag` always makes a ref: it makes that in a
repository of its own, which shares the objects and is thrown away.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mlops.errors import Refused
from mlops.release.errors import GitError
from mlops.release.history.git import Git
from mlops.release.history.records import TaggedRecord
from mlops.release.history.settings import Settings, is_on, read_settings

COMMIT, TAG = "commit.gpgsign", "tag.gpgsign"
OF_SIGNING = ("user.", "committer.", "gpg.", "tag.")
"""The settings that decide who signs, and with what."""


def write_commit(
    git: Git, settings: Settings, tree: str, parents: Sequence[str], message: str
) -> str:
    """Writes a commit, signed if commit.gpgSign is on, and returns its hash."""
    sign = ["-S"] if is_on(settings, COMMIT) else []
    named = [word for parent in parents for word in ("-p", parent)]
    return git.run("commit-tree", *sign, tree, *named, "-m", message)


def write_tags(
    git: Git, settings: Settings, commit: str, messages: Mapping[str, str]
) -> dict[str, str]:
    """Writes annotated tags of the commit, signed if tag.gpgSign is on.

    `messages` are those of the tags by their names. Returns the hash of each tag by its name.
    """
    if is_on(settings, TAG):
        return {
            name: write_signed_tag(git, settings, name, commit, message)
            for name, message in messages.items()
        }
    tagger = git.run("var", "GIT_COMMITTER_IDENT")
    contents = {
        name: f"object {commit}\ntype commit\ntag {name}\ntagger {tagger}\n\n{message}"
        for name, message in messages.items()
    }
    return {name: git.run("mktag", given=content) for name, content in contents.items()}


def write_signed_tag(git: Git, settings: Settings, name: str, commit: str, message: str) -> str:
    objects = git.run("rev-parse", "--path-format=absolute", "--git-path", "objects")
    chosen = [each for each in settings.items() if each[0].startswith(OF_SIGNING)]
    variables = {"GIT_OBJECT_DIRECTORY": objects, "GIT_CONFIG_COUNT": str(len(chosen))}
    for at, (key, value) in enumerate(chosen):
        variables |= {f"GIT_CONFIG_KEY_{at}": key, f"GIT_CONFIG_VALUE_{at}": value}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "HEAD").write_text("ref: refs/heads/none\n", encoding="utf-8", newline="\n")
        (Path(folder) / "refs").mkdir()
        alone = Git(git.root, GIT_DIR=folder, **variables)
        options = ("--sign", "--cleanup=verbatim", "--file=-")
        alone.run("tag", *options, name, commit, given=message)
        return alone.run("rev-parse", f"refs/tags/{name}")


def refuse_unable(git: Git, settings: Settings) -> None:
    """Raises Refused, before a release begins, if Git could not write its commit, or not sign it.

    It writes a commit that no ref names.
    """
    signs = is_on(settings, COMMIT) or is_on(settings, TAG)
    probe = ("HEAD^{tree}", "-m", "Can a release be committed?")
    try:
        git.run("commit-tree", *(["-S"] if signs else []), *probe)
    except GitError as error:
        if signs and git.succeeds("commit-tree", *probe):
            raise Refused(
                f"Git signs here (commit.gpgSign or tag.gpgSign), and its key can't sign: {error}. Make "
                "the key ready, for instance with `ssh-add`, or name another one with "
                "`git config user.signingKey KEY`"
            ) from error
        raise Refused(f"a release is a commit, and Git can make none here: {error}") from error


def signature_findings(git: Git, tagged: Sequence[TaggedRecord]) -> Iterator[str]:
    """Yields a line if the last of an environment's records, or its commit, has no good signature.

    Nothing is expected where gpg.ssh.allowedSignersFile is not set. A signature that is missing counts only
    if an earlier record is signed.
    """
    if not tagged or not read_settings(git).get("gpg.ssh.allowedsignersfile"):
        return
    *earlier, last = (each.record.name for each in tagged)
    remedy = "ask who released it, and release again with a key that is allowed"
    for kind, what in (("tag", "the record"), ("commit", "the commit of")):
        if is_signed(git, kind, last):
            if not git.succeeds(f"verify-{kind}", object_name(kind, last)):
                yield f"{what} {last} is signed by a key that gpg.ssh.allowedSignersFile lacks: {remedy}"
        elif any(is_signed(git, kind, name) for name in earlier):
            yield f"{what} {last} is not signed, and earlier ones are: {remedy}"


def is_signed(git: Git, kind: str, record: str) -> bool:
    """Returns whether the tag of a record, or its commit, has a signature, good or not."""
    content = git.raw("cat-file", kind, object_name(kind, record))
    header, _, message = content.partition(b"\n\n")
    return b"\ngpgsig " in header if kind == "commit" else b"\n-----BEGIN " in message


def object_name(kind: str, record: str) -> str:
    return f"refs/tags/{record}^{{{kind}}}"
