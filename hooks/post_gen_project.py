"""Makes the new project a Git repository with the branches dev, staging and prod, and a commit on each."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

# The template makes these commits, so they are not signed, the user's hooks do not run, and files that the
# user's global ignore file names are part of the project nevertheless.
OURS = ["-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"]
OURS += ["-c", "core.excludesFile=/dev/null"]
# DVC reads neither a reftable nor objects that are named by SHA-256.
OURS += ["-c", "init.defaultRefFormat=files", "-c", "init.defaultObjectFormat=sha1"]

NEXT = """
Made the project "{title}" in {place}
  branches  dev -> staging -> prod, a commit on each; you are on dev
  storage   {remote_url}, the DVC remote

Next:
  cd {cd}
  make repro                              install, then run the stages on dev
  git add --all && git commit -m "First run"
  . .venv/bin/activate
  mlops promote staging
  mlops promote prod

Your own table instead of the census: mlops adopt FILE --target COLUMN
"""

ORIGIN = "# Where this project came from; `mlops update` reads and writes it: docs/updating.md\n"


class FailedError(Exception):
    """A command failed. The message holds the command and its output."""


def run(*command: str) -> str:
    """Runs a command and returns its output. Raises FailedError if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        shown = shlex.join(command).replace(f"{shlex.join(OURS)} ", "")
        raise FailedError(f"`{shown}` failed:\n{done.stderr.strip()}")
    return done.stdout


def git(*arguments: str) -> str:
    return run("git", *OURS, *arguments)


def write_remote(url: str) -> None:
    """Writes the URL of the remote to .dvc/config."""
    config = Path(".dvc/config")
    text = config.read_text(encoding="utf-8")
    line = f"url = {url_for_dvc(url)}"
    config.write_text(re.sub("url = .*", lambda _: line, text), encoding="utf-8", newline="\n")


def url_for_dvc(url: str) -> str:
    """Returns the URL for .dvc/config: with slashes on every system; a relative path, which is given from the
    project, begins in .dvc/ there."""
    if "://" in url:
        return url
    path = Path(url)
    return (path if path.is_absolute() else Path("..", path)).as_posix()


def write_origin(context: dict[str, Any]) -> None:
    """Writes .template.yaml: the template's address and state, the answers, and Git's hash of mlops/, which
    the index holds."""
    template = context["_template"]
    bases = (os.environ.get("PWD", ""), context["_output_dir"])  # a relative path begins at one
    local = [Path(base, template).resolve() for base in bases]
    local = [place for place in local if (place / "cookiecutter.json").is_file()]
    place = local[0] if local else Path(context["_repo_dir"])
    address = str(place) if local else ask(place, "remote", "get-url", "origin") or template
    is_there = ask(place, "cat-file", "-t", "HEAD:cookiecutter.json")
    commit = ask(place, "rev-parse", "HEAD") if is_there else ""
    if commit and ask(place, "status", "--porcelain"):
        print(f"{place} has changes that are not committed; .template.yaml names {commit[:7]}")
    if not commit:
        print(
            f"{template} has no history of Git; docs/updating.md says what `mlops update` needs instead"
        )
    origin = {
        "address": without_secrets(address),
        "version": Path("mlops/VERSION").read_text(encoding="utf-8").strip(),
        "commit": commit,
        "answers": {key: value for key, value in context.items() if key[0] != "_"},
        "without": [],
        "machinery": git("write-tree", "--prefix=mlops/").strip(),
    }
    lines = []
    for key, value in origin.items():
        lines.append(f"{key}:" if isinstance(value, dict) else f"{key}: {as_json(value)}")
        if isinstance(value, dict):
            lines += [f"  {name}: {as_json(each)}" for name, each in value.items()]
    Path(".template.yaml").write_text(
        ORIGIN + "\n".join(lines) + "\n", encoding="utf-8", newline="\n"
    )


def ask(place: Path, *question: str) -> str:
    """Returns Git's answer in another repository, which is empty if the command fails."""
    try:
        return git("-C", str(place), *question).strip()
    except FailedError:
        return ""


def without_secrets(url: str) -> str:
    """Returns the URL without its password, which does not belong into Git."""
    url = re.sub("^(https?://)[^/@]*@", r"\1", url)
    return re.sub(r"^(\w+://[^/@:]*):[^/@]*@", r"\1@", url)


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)  # JSON is YAML too


def check_identity() -> None:
    """Raises FailedError if Git has no identity for commits in the new repository, whose place can matter."""
    try:
        for who in ("AUTHOR", "COMMITTER"):
            git("-c", "user.useConfigOnly=true", "var", f"GIT_{who}_IDENT")
    except FailedError as failure:
        raise FailedError(
            f"Git does not know who you are ({str(failure).splitlines()[-1]}). "
            "Tell it, then try again:\n"
            '  git config --global user.name "Your Name"\n'
            '  git config --global user.email "you@example.com"'
        ) from None


def make_repository(answers: dict[str, Any]) -> None:
    git("init", "--initial-branch=dev")
    check_identity()
    run(sys.executable, "install.py", "--merge-driver")
    git("add", "--all")
    write_origin(answers)
    git("add", ".template.yaml")
    git("commit", "-m", "Begin on dev")


def make_branches() -> None:
    for source, environment in (("dev", "staging"), ("staging", "prod")):
        git("switch", "--create", environment)
        path = Path("branch.yaml")
        text = path.read_text(encoding="utf-8")
        text = text.replace(f"environment: {source}", f"environment: {environment}")
        path.write_text(text, encoding="utf-8", newline="\n")
        git("commit", "--all", "-m", f"Name the environment {environment}")
    git("switch", "dev")


def make_storage(url: str, project: str) -> None:
    if url == f"../{project}-storage":
        Path(url).mkdir(exist_ok=True)


def main() -> None:
    answers = json.loads(r"""{{ cookiecutter | tojson }}""")
    try:
        local = run("git", "rev-parse", "--local-env-vars").split()  # set while a Git hook runs
        for name in local:
            os.environ.pop(name, None)
        write_remote(answers["remote_url"])
        make_repository(answers)
        make_branches()
        make_storage(answers["remote_url"], answers["project"])
    except (FailedError, OSError) as failure:
        sys.exit(f"\nNo project was made: {failure}\n")
    place = Path.cwd()
    print(NEXT.format(**answers, place=place, cd=shlex.quote(str(place))))


if __name__ == "__main__":
    main()
