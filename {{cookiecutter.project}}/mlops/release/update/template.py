"""The template, in a private clone: its releases, and the project that it makes of given answers.

Its hooks are never run. What they change in the project's files is done here as well.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from mlops.errors import Away, MlopsError, Refused, UsageError
from mlops.release.errors import GitError
from mlops.release.history import remotes
from mlops.release.history.git import Git
from mlops.release.update import trees
from mlops.release.update.origin import FILE, Origin

RELEASE = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
REMOTE = re.compile(r"(?!file:)(\w+://|[\w.@-]+:)", re.IGNORECASE)
NEEDS_PASSWORD = re.compile(
    "terminal prompts disabled|Authentication failed|could not read Username"
)
QUESTIONS = "cookiecutter.json"
THE_OWNERS = ["data/raw", "data/raw.dvc"]
"""The table, which no update touches: the template has only an example of one."""

NOBODY = ("-c", "user.name=template", "-c", "user.email=template@localhost")


def clone_template(git: Git, address: str, folder: Path) -> Git:
    """Clones the template with its tags into `folder`, and asks nobody for a password.

    Raises Away if a remote address does not answer, Refused if it denies access or needs a password that Git
    does not know, and MlopsError if the address is no Git repository.
    """
    if not address or address.startswith("-"):
        raise MlopsError(f"{FILE} names no address of a template: `address: URL` is needed there")
    if address.lower().endswith(".zip"):
        raise MlopsError(
            f"the template was a zip file, {address}, which has no history: write the place of its Git "
            f"repository, a URL or a path, as `address` into {FILE}, and commit it"
        )
    try:
        silent = Git(git.root, GIT_TERMINAL_PROMPT="0")
        remotes.contact(silent, address, "clone", "--quiet", "--bare", "--", address, str(folder))
    except remotes.RemoteDenies as error:
        if NEEDS_PASSWORD.search(str(error)):
            raise Refused(
                f"the template can't be fetched, since {address} wants a password, for which this command "
                f"does not ask ({error}). Store it with one of Git's credential helpers, or write an "
                f"address for ssh as `address` into {FILE}, and commit it"
            ) from error
        raise
    except GitError as error:
        if REMOTE.match(address):
            raise Away(
                f"the template can't be fetched: {error}. If it has moved, write its new place as "
                f"`address` into {FILE}, and commit it"
            ) from error
        raise MlopsError(
            f"there is no Git repository at {address}: write the template's place, a URL or a path, "
            f"as `address` into {FILE}, and commit it"
        ) from error
    return Git(folder)


def releases(clone: Git) -> list[str]:
    """Returns the tags of the template's releases, newest first."""
    found = [match for tag in clone.lines("tag", "--list") if (match := RELEASE.fullmatch(tag))]
    return [each[0] for each in sorted(found, key=lambda each: [*map(int, each.groups())])][::-1]


def chosen_commit(clone: Git, ref: str | None) -> str:
    """Returns the commit of a release, branch or commit; by default of the newest release, else of HEAD.

    Raises UsageError if the template has nothing of that name.
    """
    known = releases(clone)
    wanted = ref or (known[0] if known else "HEAD")
    for name in (f"refs/tags/v{wanted}", f"refs/tags/{wanted}", f"refs/heads/{wanted}", wanted):
        if commit := clone.commit(name):
            return commit
    raise UsageError(
        f"the template has no release, branch or commit {wanted!r}; its newest releases: "
        f"{', '.join(known[:5]) or 'none'}"
    )


def recorded_commit(clone: Git, origin: Origin) -> str:
    """Returns the commit that the project has now. Raises MlopsError if the template does not have it."""
    for name in (origin.commit, f"refs/tags/v{origin.version}"):
        if name and (commit := clone.commit(name)):
            return commit
    named = {"commit": origin.commit, "release": origin.version}
    lacking = " and no ".join(f"{kind} {name!r}" for kind, name in named.items() if name)
    raise MlopsError(
        f"the template at {origin.address} has no {lacking or f'commit that {FILE} names'}, of which this "
        f"project was made: write the commit that comes closest as `commit` into {FILE}, and commit it"
    )


@dataclass(frozen=True)
class Bake:
    """What the template at `commit` makes of the answers: a tree in the private clone."""

    commit: str
    tree: str
    version: str
    answers: dict[str, object]

    @property
    def name(self) -> str:
        """The version, with the commit unless it is a release."""
        released = RELEASE.fullmatch(f"v{self.version}")
        return self.version if released else f"{self.version} ({self.commit[:7]})"


def bake_project(clone: Git, commit: str, given: Mapping[str, object]) -> Bake:
    """Makes the project of a commit of the template, without the owner's table and .template.yaml."""
    questions = clone.read_file(commit, QUESTIONS)
    folders = clone.run("ls-tree", "-d", "-z", "--name-only", commit).split("\0")
    named = [name for name in folders if "cookiecutter" in name and "{{" in name]
    if questions is None or len(named) != 1:
        raise MlopsError(
            f"commit {commit[:7]} is no template of cookiecutter: {FILE} names another"
        )
    settings, folder = json.loads(questions), f"{commit}:{named[0]}"
    answers = complete_answers(settings, given)
    copied = settings.get("_copy_without_render", [])
    changes: dict[str, str | None] = {}
    for path in trees.blobs(clone, folder):
        if trees.covers(THE_OWNERS, path):
            changes[path] = None
        elif path == ".dvc/config":
            text = clone.raw("cat-file", "blob", f"{folder}/{path}").decode()
            changes[path] = with_remote(text, str(answers.get("remote_url", "")))
        elif not is_copied(path, copied):
            text = clone.raw("cat-file", "blob", f"{folder}/{path}").decode()
            changes[path] = render(path, text, answers)
    tree = trees.with_files(clone, clone.run("rev-parse", folder), changes)
    version = clone.read_file(commit, f"{named[0]}/mlops/VERSION") or b"0"
    return Bake(commit, tree, version.decode().strip(), answers)


def complete_answers(settings: Mapping[str, Any], given: Mapping[str, object]) -> dict[str, object]:
    """Returns an answer to each question of the template: the one given, or else the default."""
    answers: dict[str, object] = {}
    for question, default in settings.items():
        if question.startswith("_"):
            continue
        value = default[0] if isinstance(default, list) else default
        if question in given:
            value = given[question]
        elif isinstance(value, str):
            value = render(f"the default of {question}", value, answers)
        answers[question] = value
    return dict(sorted(answers.items()))


def is_copied(path: str, patterns: list[str]) -> bool:
    """Returns whether cookiecutter copies the file: it, or a folder around it, matches a pattern."""
    around = [str(each) for each in PurePosixPath(path).parents][:-1]
    return any(fnmatch(name, pattern) for name in (path, *around) for pattern in patterns)


def render(what: str, text: str, answers: Mapping[str, object]) -> str:
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    try:
        return environment.from_string(text).render(cookiecutter=answers)
    except TemplateError as error:
        raise MlopsError(
            f"{what} of the template can't be rendered: {error}. If an answer is missing, write it "
            f"into `answers` of {FILE}, and commit it"
        ) from error


def with_remote(config: str, url: str) -> str:
    """Returns .dvc/config with the remote's URL as the template's hook writes it."""
    if not url:
        return config
    if "://" not in url:
        path = Path(url)
        url = (path if path.is_absolute() else Path("..", path)).as_posix()
    return re.sub("url = .*", lambda _: f"url = {url}", config)


def fetch_bakes(git: Git, clone: Git, *bakes: Bake) -> None:
    """Brings the trees of the bakes into the project's repository, and nothing else of the template."""
    refs = []
    for bake in bakes:
        commit = clone.run(*NOBODY, "commit-tree", bake.tree, "-m", bake.name)
        refs.append(f"refs/bakes/{bake.commit}")
        clone.run("update-ref", refs[-1], commit)
    quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
    git.run("fetch", *quiet, str(clone.root), *refs)
