"""Git's pre-push hook: runs `mlops check` for each commit that is pushed to a branch, and says what the DVC
remote lacks of it.

There is no pre-commit hook, since work in progress may be committed, while others build on what is pushed.
The hook runs `python -m mlops.release.prove.hook`; Git writes what is pushed to its standard input.
"""

import sys
from pathlib import Path

from mlops.errors import MlopsError, Refused, printable_text, say
from mlops.release.history.git import Git

MARK = "# Written by `mlops check --install-hook`"
RUN = "-m mlops.release.prove.hook"
HOOK = f"""\
#!/bin/sh
{MARK}: refuses to push a branch whose records are not true.
unset $(git rev-parse --local-env-vars) PYTHONHOME PYTHONPATH PYTHONSAFEPATH
main=$(git rev-parse --path-format=absolute --git-common-dir)/..
for python in .venv/bin/python "$main/.venv/bin/python"; do
    if [ -x "$python" ]; then exec "$python" {RUN}; fi
done
echo "pre-push: there is no .venv to check with: python3 install.py makes it" >&2
exit 1
"""
BRANCH = "refs/heads/"
CURE = "`mlops push` sends what is here, and then pushes the branch"


def hook_path(git: Git) -> Path:
    """Returns the path of the hook of all working trees, whether or not there is one.

    Raises Refused if Git takes its hooks from a folder that other repositories use too.
    """
    place = Path(git.run("rev-parse", "--path-format=absolute", "--git-path", "hooks/pre-push"))
    own = git.run("rev-parse", "--path-format=absolute", "--git-common-dir")
    if not (place.is_relative_to(own) or place.is_relative_to(git.root)):
        raise Refused(
            f"this repository takes its hooks from {place.parent} (core.hooksPath), where others take "
            "theirs too: `git config core.hooksPath .git/hooks` gives it its own"
        )
    return place


def install_hook(git: Git) -> Path:
    """Writes the hook for all working trees of the repository and returns its path.

    Raises Refused if there is another hook.
    """
    place = hook_path(git)
    if place.exists() and MARK not in place.read_text(errors="replace", encoding="utf-8"):
        raise Refused(
            f"{place} is there and is not ours: add this line to it, before anything that reads its "
            f"input: `.venv/bin/python {RUN} || exit`"
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(HOOK, encoding="utf-8", newline="\n")
    place.chmod(0o755)
    return place


def main() -> int:
    code = 0
    for line in sys.stdin:
        _, commit, ref, _ = line.split()
        if ref.startswith(BRANCH) and commit.strip("0"):
            code = check_push(commit, ref.removeprefix(BRANCH)) or code
    return code


def check_push(commit: str, branch: str) -> int:
    from mlops.release.data import dvc, push, reach
    from mlops.release.prove import check

    git = Git.of_current_directory()
    try:
        say(check.check_commit(git, commit, branch))
        with dvc.open_repo(git.root) as repo:
            if reach.has_remote(repo):
                reach.require_remote(repo)
                push.refuse_lacked(repo, branch, commit, CURE)
    except MlopsError as error:
        print(printable_text(f"mlops: {branch} is not pushed: {error}"), file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
