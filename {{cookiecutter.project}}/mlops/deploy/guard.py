"""Refuses to deploy on the branch of one environment if branch.yaml names another environment.

A merge from downstream, or a fast-forward, brings the branch.yaml of the other branch along without a
conflict. The stage deploy first runs this module as a process, `python -m mlops.deploy.guard`. The module
calls Git itself, so that the stage depends on nothing of mlops/release.
"""

import os
import subprocess
import sys
from pathlib import Path

from mlops import environments
from mlops.errors import MlopsError, Refused, printable_text


def check_branch_name(root: Path, branch: str | None = None) -> None:
    """Raises Refused if `branch` is the branch of an environment and branch.yaml of the working tree `root`
    names another one. By default `branch` is the branch that is checked out."""
    named, branch = environments.environment_of(root), branch or checked_out_branch(root)
    if branch in environments.CHAIN and branch != named:
        raise Refused(
            f"branch.yaml says {named}, but this is the branch {branch}; a merge from "
            f"{named} brought that line along. Correct it: "
            f"`echo 'environment: {branch}' > branch.yaml`, and commit it"
        )


def checked_out_branch(root: Path) -> str | None:
    """Returns the branch that is checked out, or None on a detached HEAD and outside of a repository. Raises
    MlopsError if Git cannot be run."""
    # The short form of its name is heads/dev where a tag is called dev, too.
    command = ["git", "symbolic-ref", "--quiet", "HEAD"]
    # If a hook of another repository has started the stage, Git's variables lead to that repository.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        result = subprocess.run(
            command, cwd=root, env=variables, capture_output=True, errors="replace", check=False
        )
    except OSError as error:
        raise MlopsError(f"cannot run git in {root}: {error}") from error
    return result.stdout.strip().removeprefix("refs/heads/") or None


def main() -> int:
    try:
        check_branch_name(Path.cwd())
    except MlopsError as error:
        print(printable_text(str(error)), file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
