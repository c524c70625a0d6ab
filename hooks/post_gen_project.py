"""Make the new project a Git repository: branches dev -> staging -> prod, a commit on each."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

# These commits are the template's own: they are not signed, no hook of the user judges them, and
# what the user's global ignore file leaves out is nevertheless part of the project.
OURS = ["-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"]
OURS += ["-c", "core.excludesFile=/dev/null"]

NEXT = """
Made {project} in {place}
  branches  dev -> staging -> prod, a commit on each; you are on dev
  storage   {remote_url}, the DVC remote

Next:
  cd {cd}
  make repro                                  install, then run the pipeline on dev
  git add --all && git commit -m "First run"
  . .venv/bin/activate
  mlops promote staging
  mlops promote prod
"""


class FailedError(Exception):
    """The message says which command failed and in what words."""


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise FailedError(f"`{shlex.join(command)}` failed:\n{done.stderr.strip()}")
    return done.stdout


def git(*arguments: str) -> str:
    return run("git", *OURS, *arguments)


def write_remote(url: str) -> None:
    """DVC reads a relative path from .dvc/, people give it from the project."""
    local = "://" not in url and not Path(url).is_absolute()
    config = Path(".dvc/config")
    text = config.read_text(encoding="utf-8")
    line = f"url = {os.path.join('..', url) if local else url}"  # noqa: PTH118 - keeps ..
    config.write_text(re.sub("url = .*", lambda _: line, text), encoding="utf-8")


def check_identity() -> None:
    """Asked inside the new repository, since an identity may depend on where it lies."""
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


def make_branches() -> None:
    git("init", "--initial-branch=dev")
    check_identity()
    run(sys.executable, "install.py", "--merge-driver")
    git("add", "--all")
    git("commit", "-m", "Begin on dev")
    for source, environment in (("dev", "staging"), ("staging", "prod")):
        git("switch", "--create", environment)
        path = Path("branch.yaml")
        text = path.read_text(encoding="utf-8")
        text = text.replace(f"environment: {source}", f"environment: {environment}")
        path.write_text(text, encoding="utf-8")
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
        make_branches()
        make_storage(answers["remote_url"], answers["project"])
    except (FailedError, OSError) as failure:
        sys.exit(f"\nNo project was made: {failure}\n")
    place = Path.cwd()
    print(NEXT.format(**answers, place=place, cd=shlex.quote(str(place))))


if __name__ == "__main__":
    main()
