"""Refuses answers that would make a project that does not work, before anything is written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import unicodedata
from pathlib import Path
from urllib.parse import urlsplit

QUESTIONS = ("title", "project", "description", "author", "remote_url")
LONGEST_NAME = 50
LONGEST_TITLE = 80
LONGEST_TEXT = 200
OLDEST_GIT = (2, 34)  # the first whose `update-ref --stdin` answers at once
REMOTE_SCHEMES = (
    *("azure", "gdrive", "gs", "hdfs", "http", "https"),
    *("oss", "s3", "ssh", "webdav", "webdavs", "webhdfs"),
)


class RefusedError(Exception):
    """An answer is refused. The message says what is wrong, which value, and what to do now."""


def check_answer(question: str, answers: dict[str, str], place: Path | None) -> None:
    """Raises RefusedError for a bad answer; `place` is where the project will be, if that is known."""
    answer = answers[question]
    if question == "project":
        check_name(answer)
        if place:
            check_place(place)
        return
    check_text(question, answer, LONGEST_TITLE if question == "title" else LONGEST_TEXT)
    if question == "remote_url":
        check_remote(answer, answers["project"], place)


def check_text(question: str, answer: str, longest: int) -> None:
    if not answer.strip():
        raise RefusedError(f"{question} is empty. Give it a few words.")
    if answer != answer.strip():
        raise RefusedError(f"{question} is {answer!r}: leave out the spaces around it.")
    if len(answer) > longest:
        raise RefusedError(f"{question} has {len(answer)} characters; use {longest} at the most.")
    if not answer.isprintable():
        strange = next(character for character in answer if not character.isprintable())
        raise RefusedError(
            f"{question} is {answer!r}: it holds the unprintable character {strange!r}. "
            "Give one line of plain text."
        )


def check_name(name: str) -> None:
    if len(name) > LONGEST_NAME or not re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        raise RefusedError(
            f"project cannot be {name!r}: lower-case letters, digits and hyphens, no hyphen first "
            f"or last, {LONGEST_NAME} characters at the most. Try {name_like(name)!r}."
        )


def name_like(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub("[^a-z0-9]+", "-", ascii_text.replace("'", "")).strip("-")
    return name[:LONGEST_NAME].strip("-") or "my-project"


def check_remote(url: str, project: str, place: Path | None) -> None:
    if re.search("[\"',#]|%[(]", url):
        raise RefusedError(
            f"remote_url is {url!r}: .dvc/config has no place for quotes, commas, # or %(. "
            "Rename the directory, or set another remote later with `dvc remote modify`."
        )
    if "://" in url:
        check_address(url)
    elif place:
        check_directory(url, project, place)


def check_directory(url: str, project: str, place: Path) -> None:
    """Raises RefusedError if there is no such directory; `url` is relative to `place`, the project."""
    directory = Path(os.path.normpath(place / url))
    if url == f"../{project}-storage":
        if directory.exists() and not directory.is_dir():
            raise RefusedError(
                f"{directory}, where the DVC remote would go, is a file. Move it away, or name "
                "another directory as remote_url."
            )
    elif not directory.is_dir() or directory == place:
        raise RefusedError(
            f"remote_url is {url!r}, but there is no directory {directory} outside the project. If "
            "the path is mistyped, correct it; otherwise make the directory first."
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


def check_git() -> None:
    if not shutil.which("git"):
        raise RefusedError("git is not on PATH. On Debian: sudo apt-get install git")
    found = ask_git("version")
    version = tuple(int(number) for number in re.findall("[0-9]+", found)[:2])
    if version < OLDEST_GIT:
        oldest = "{}.{}".format(*OLDEST_GIT)
        raise RefusedError(f"{found} is too old: {oldest} or later is needed. Upgrade git.")


def check_identity() -> None:
    """Raises RefusedError unless Git knows who commits, or may know it for some directories alone."""
    if not has_identity() and not ask_git("config", "--get-regexp", r"^includeif\."):
        raise RefusedError(
            "Git does not know who you are. Tell it, then try again:\n"
            '  git config --global user.name "Your Name"\n'
            '  git config --global user.email "you@example.com"'
        )


def has_identity() -> bool:
    question = ("-c", "user.useConfigOnly=true", "var")
    return all(ask_git(*question, f"GIT_{who}_IDENT") for who in ("AUTHOR", "COMMITTER"))


def check_place(place: Path) -> None:
    """Raises RefusedError for a directory in use, and inside a repository that would swallow the project."""
    if place.exists() and any(place.iterdir()):
        raise RefusedError(
            f"{place} already has files in it. Move them away, or choose another name."
        )
    above = next(each for each in (place, *place.parents) if each.is_dir())
    repository = ask_git("rev-parse", "--show-toplevel", cwd=above)
    if repository and not ask_git("check-ignore", f"{place}{os.sep}", cwd=above):
        raise RefusedError(
            f"{place} would lie inside the Git repository {repository}, which does not ignore it. "
            "Add it to that repository's .gitignore, or choose another place (--output-dir, or DEMO of "
            "make demo)."
        )


def ask_git(*question: str, cwd: Path = Path("/")) -> str:
    """Returns Git's answer, empty if it has none, whatever repository a Git hook around this works in."""
    local = subprocess.run(
        ["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=False
    )
    env = {name: value for name, value in os.environ.items() if name not in local.stdout.split()}
    done = subprocess.run(
        ["git", *question], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def refusal_text(refusal: RefusedError) -> str:
    return wrap(f"No project was made: {refusal}")


def wrap(text: str) -> str:
    """Returns the text in lines of 72 characters; an indented line, which is a command, stays whole."""
    lines = text.split("\n")
    return "\n".join(line if line.startswith(" ") else fill(line) for line in lines)


def fill(line: str) -> str:
    return textwrap.fill(line, 72, break_long_words=False, break_on_hyphens=False)


def main() -> None:
    """What ask_again.py has checked already, unless cookiecutter replays earlier answers."""
    answers = json.loads(r"""{{ cookiecutter | tojson }}""")
    try:
        check_git()
        for question in QUESTIONS:
            check_answer(question, answers, Path.cwd())
    except RefusedError as refusal:
        sys.exit(f"\n{refusal_text(refusal)}\n")


if __name__ == "__main__":
    main()
