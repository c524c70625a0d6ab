"""Finds the commit that a name given by a user stands for. Every name that a command prints is known here."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mlops import environments
from mlops.errors import MlopsError, Refused, UsageError
from mlops.release.history import branches, models, versions
from mlops.release.history.branches import ORIGIN
from mlops.release.history.git import Git
from mlops.release.history.outputs import BUNDLE
from mlops.release.history.shared_refs import ENVIRONMENT_BRANCHES, SHARED, TAGS

HASH = re.compile(r"[0-9a-f]{4,64}(\.dir)?")
"""DVC writes .dir behind the hash of a folder, such as a bundle."""

WHOLE_HASH = (40, 64)
"""The number of digits of a commit's hash, in SHA-1 and in SHA-256."""

NEWEST = 5

FROM_COMMIT = re.compile(r"([^~^]+)([~^].*)")
"""A name, and the way from its commit to another one, such as prod~1."""


@dataclass(frozen=True)
class Revision:
    """A commit, with a name that means this commit alone."""

    name: str
    commit: str


def commit_of(git: Git, name: str) -> str:
    """Returns the commit that `find_revision` finds."""
    return find_revision(git, name).commit


def find_revision(git: Git, name: str) -> Revision:
    """Returns the commit of a name.

    The name is an environment, a version (v1.2.0, 1.2.0, model@v1.2.0), a record (prod/0003), a tag, a branch
    here or on origin, an experiment by the name that DVC gave it, four or more digits with which the hash
    of a commit, model or bundle begins, `experiment` and those of its model, or what else Git can resolve.
    Raises UsageError if it means more than one commit, and MlopsError if it means none.
    """
    if name in environments.CHAIN:
        return Revision(name, branches.tip_of(git, name))
    if len(name) in WHOLE_HASH and HASH.fullmatch(name) and (commit := git.commit(name)):
        return Revision(name, commit)
    version = version_called(name)
    if version and (commit := git.commit(f"refs/tags/{versions.PREFIX}{version}")):
        return Revision(version, commit)
    record = f"{TAGS}{name}"
    if SHARED.fullmatch(record) and (commit := git.commit(record)):  # beside a branch of this name
        return Revision(name, commit)
    found = list(refs_called(git, name)) or list(hashes_beginning(git, name))
    if not found and not (found := list(expressions(git, name))):
        raise MlopsError(reason_not_found(git, name))
    if len({each.commit for each in found}) > 1:
        candidates = ", ".join(f"{each.name} ({each.commit[:7]})" for each in found)
        raise UsageError(f"{name!r} is ambiguous; name one of {candidates}")
    return found[0]


def version_called(name: str) -> str | None:
    """Returns v1.2.0 for v1.2.0, 1.2.0 and model@v1.2.0, and None for any other text."""
    return versions.version_name(name) or versions.version_name(f"v{name}")


def refs_called(git: Git, name: str) -> Iterator[Revision]:
    """Yields each tag, branch and saved experiment of this name; origin's branch if there is none here."""
    here, there = f"refs/heads/{name}", f"refs/remotes/{ORIGIN}/{name}"
    tag, saved = f"refs/tags/{name}", models.SAVED_EXPERIMENTS
    listed = git.lines("for-each-ref", "--format=%(refname)", tag, here, there, saved)
    for ref in listed:
        experiment = ref.startswith("refs/exps/") and ref.rpartition("/")[2] == name
        wanted = ref in (tag, here) or (ref == there and here not in listed)
        if (experiment or wanted) and (commit := git.commit(ref)):
            yield Revision(ref, commit)


def hashes_beginning(git: Git, name: str) -> Iterator[Revision]:
    """Yields each commit and model whose hash begins so; for `experiment 1a2b3c4`, each model."""
    digits = name.removeprefix(f"{models.EXPERIMENT} ")
    if not HASH.fullmatch(digits):
        return
    if digits == name:
        yield from commits_beginning(git, digits)
    yield from models_beginning(git, digits)


def commits_beginning(git: Git, digits: str) -> Iterator[Revision]:
    objects = git.run("rev-parse", f"--disambiguate={digits}")
    kinds = git.run("cat-file", "--batch-check=%(objecttype) %(objectname)", given=objects)
    for line in kinds.split("\n"):
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
            yield Revision(commit, commit)


def models_beginning(git: Git, digits: str) -> Iterator[Revision]:
    for model in models.all_models(git):
        hashes = (model.lock.model, model.lock.outputs.get(BUNDLE, ""))
        if any(each.startswith(digits) for each in hashes):
            yield Revision(model.name, model.commit)


def expressions(git: Git, name: str) -> Iterator[Revision]:
    """Yields what Git itself resolves, such as HEAD~1. The name in it is known here as any other is: Git
    takes a tag prod for the branch."""
    if found := FROM_COMMIT.fullmatch(name):
        if commit := git.commit(f"{commit_of(git, found[1])}{found[2]}"):
            yield Revision(commit, commit)
        return
    for text in (name, f"{ORIGIN}/{name}"):
        if commit := git.commit(text):
            yield Revision(text, commit)
            return


def reason_not_found(git: Git, name: str) -> str:
    lacks = "".join(f"; {gap}" for gap in branches.gaps(git))
    if not version_called(name):
        return (
            f"{name!r} is not an environment, version, record, branch, tag, experiment, or hash of a commit "
            f"or model of this repository{lacks or ': `mlops tracker` and `mlops status` name them'}"
        )
    form = ("--sort=version:refname", "--format=%(refname:lstrip=2)")
    found = git.lines("for-each-ref", *form, f"refs/tags/{versions.PREFIX}v*")
    newest = ", ".join(tag.removeprefix(versions.PREFIX) for tag in found[-NEWEST:])
    last = f"; the last are {newest}" if newest else "" if lacks else "; there is no version yet"
    return f"there is no version {name!r}{' here' if lacks else ''}{last}{lacks}"


def is_held(git: Git, commit: str) -> bool:
    """Returns whether the branch of an environment, here or on origin, holds the commit.

    What such a branch holds was accepted by the team. Other commits may come from anybody, and so does
    their code.
    """
    holding = ("--count=1", f"--contains={commit}")
    return bool(git.lines("for-each-ref", *holding, *ENVIRONMENT_BRANCHES))


def refuse_to_run(
    git: Git, name: str, commit: str, may_run: Callable[[str], bool], command: str
) -> None:
    """Raises Refused if the code of a commit may not be run, and names the `command` that runs it.

    `may_run` is asked, with a question, only about a commit that no environment's branch holds.
    """
    if is_held(git, commit):
        return
    author = git.run("show", "-s", "--format=%h, by %an", commit)
    if not may_run(
        f"No environment's branch holds {name} ({author}). Run its code on this machine?"
    ):
        raise Refused(
            f"no environment's branch holds {name} ({author}), and this would run its code: `{command} --run`"
        )
