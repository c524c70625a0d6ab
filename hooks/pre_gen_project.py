"""Refuses answers that would make a project that does not work, before anything is written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path
from urllib.parse import urlsplit

LONGEST_NAME = 50
LONGEST_TEXT = 200
OLDEST_GIT = (2, 34)  # the first whose `update-ref --stdin` answers at once
REMOTE_SCHEMES = (
    *("azure", "gdrive", "gs", "hdfs", "http", "https"),
    *("oss", "s3", "ssh", "webdav", "webdavs", "webhdfs"),
)


class RefusedError(Exception):
    """An answer is refused. The message says what is wrong, which value, and what to do now."""


def check_text(question: str, answer: str) -> None:
    if not answer.strip():
        raise RefusedError(f"{question} is empty. Give it a few words.")
    if answer != answer.strip():
        raise RefusedError(f"{question} is {answer!r}: leave out the spaces around it.")
    if len(answer) > LONGEST_TEXT:
        raise RefusedError(
            f"{question} has {len(answer)} characters; use {LONGEST_TEXT} at the most."
        )
    if not answer.isprintable():
        strange = next(character for character in answer if not character.isprintable())
        raise RefusedError(
            f"{question} is {answer!r}: it holds the unprintable character {strange!r}. "
            "Give one line of plain text."
        )


def check_name(name: str) -> None:
    if len(name) > LONGEST_NAME or not re.fullmatch("[a-z]([a-z0-9-]*[a-z0-9])?", name):
        raise RefusedError(
            f"project cannot be {name!r}: lower-case letters, digits and hyphens, a letter first, "
            f"no hyphen last, {LONGEST_NAME} characters at the most. "
            f"Try {name_like(name)!r}."
        )


def name_like(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub("[^a-z0-9]+", "-", ascii_text.replace("'", "")).lstrip("-0123456789")
    return name[:LONGEST_NAME].strip("-") or "my-project"


def check_remote(url: str, project: str) -> None:
    if re.search("[\"',#]|%[(]", url):
        raise RefusedError(
            f"remote_url is {url!r}: .dvc/config has no place for quotes, commas, # or %(. "
            "Rename the directory, or set another remote later with `dvc remote modify`."
        )
    if "://" in url:
        check_address(url)
    elif url == f"../{project}-storage":
        check_free(Path(url))
    elif not Path(url).is_dir() or Path(url).samefile("."):
        raise RefusedError(
            f"remote_url is {url!r}, but there is no directory {Path(url).absolute().resolve()} "
            "outside the project. If the path is mistyped, correct it; otherwise make the "
            "directory first."
        )


def check_address(url: str) -> None:
    scheme, address = url.split("://", 1)
    if scheme not in REMOTE_SCHEMES or not address:
        raise RefusedError(
            f"remote_url is {url!r}, which is no address of a DVC remote. Give a directory, or a "
            f"URL that begins with one of: {', '.join(REMOTE_SCHEMES)}."
        )
    if urlsplit(url).password is not None:
        raise RefusedError(
            "remote_url holds a password, and .dvc/config goes into Git for all to read. Leave it "
            "out, and set it later with `dvc remote modify --local storage password ...`."
        )


def check_free(storage: Path) -> None:
    if storage.exists() and not storage.is_dir():
        raise RefusedError(
            f"{storage.absolute().resolve()}, where the DVC remote would go, is a file. Move it "
            "away, or name another directory as remote_url."
        )


def check_git() -> None:
    if not shutil.which("git"):
        raise RefusedError("git is not on PATH. On Debian: sudo apt-get install git")
    found = ask_git("version")
    version = tuple(int(number) for number in re.findall("[0-9]+", found)[:2])
    if version < OLDEST_GIT:
        oldest = "{}.{}".format(*OLDEST_GIT)
        raise RefusedError(f"{found} is too old: {oldest} or later is needed. Upgrade git.")


def check_place(project: Path) -> None:
    """Refuses a directory that has files, and a directory inside a repository that does not ignore it."""
    if any(project.iterdir()):
        raise RefusedError(
            f"{project} already has files in it. Move them away, or choose another name."
        )
    repository = ask_git("rev-parse", "--show-toplevel")
    if repository and not ask_git("check-ignore", "."):
        raise RefusedError(
            f"{project} would lie inside the Git repository {repository}, which does not ignore "
            "it. Add it to that repository's .gitignore, or choose another place with "
            "--output-dir."
        )


def ask_git(*question: str) -> str:
    """Returns the output of a Git command, or "" if it fails."""
    done = subprocess.run(["git", *question], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main() -> None:
    answers = json.loads(r"""{{ cookiecutter | tojson }}""")
    try:
        check_name(answers["project"])
        for question in ("description", "author", "remote_url"):
            check_text(question, answers[question])
        check_remote(answers["remote_url"], answers["project"])
        check_git()
        for name in ask_git("rev-parse", "--local-env-vars").split():  # set while a Git hook runs
            os.environ.pop(name, None)
        check_place(Path.cwd())
    except RefusedError as refusal:
        sys.exit(f"\nNo project was made: {refusal}\n")


if __name__ == "__main__":
    main()
