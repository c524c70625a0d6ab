"""Refuses to act on a branch that is called after another environment than branch.yaml says.

A merge from downstream, or a fast-forward, brings the other branch's line along, and Git asks
nobody. The deploy stage runs this module as a process before it acts: python -m mlops.deploy.guard.
It asks Git itself, so that the stage depends on nothing of mlops/release.
"""

import os
import subprocess
import sys
from pathlib import Path

from mlops import environments
from mlops.errors import MlopsError, Refused


def check_branch_name(root: Path, branch: str | None = None) -> None:
    """`branch` is what the working tree shall be; by default what is checked out."""
    named, branch = environments.environment_of(root), branch or checked_out_branch(root)
    if branch in environments.CHAIN and branch != named:
        raise Refused(
            f"branch.yaml says {named}, but this is the branch {branch}; a merge from "
            f"{named} brought that line along. Set it right with "
            f"`echo 'environment: {branch}' > branch.yaml`, and commit it"
        )


def checked_out_branch(root: Path) -> str | None:
    """The branch; None on a detached HEAD, and outside of any repository."""
    command = ["git", "symbolic-ref", "--quiet", "--short", "HEAD"]
    # A hook of another repository may have started the stage: Git's variables would lead there.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        asked = subprocess.run(
            command, cwd=root, env=variables, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise MlopsError(f"cannot run git in {root}: {error}") from error
    return asked.stdout.strip() or None


def main() -> int:
    try:
        check_branch_name(Path.cwd())
    except MlopsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
