"""Promotion: the target branch becomes its source but for the environment's name, gates permitting.

What is promoted is made in a temporary working tree and committed as one commit with two parents,
the target's last commit and the source. No text is merged. Until the one moment in which the branch
moves, nothing has changed; on any failure, nothing ever does.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from release import environments, lockfile, worktree
from release.errors import Refused, ReleaseError, StageFailed
from release.git import Git

REMADE = ("environment.yaml", "dvc.lock", "reports")
"""What a promotion makes anew; everything else is the source's."""


@dataclass(frozen=True)
class Promoted:
    """`made` names the stages run or restored; None where there was nothing to promote."""

    environment: str
    source: str
    commit: str
    made: list[str] | None


def promote(git: Git, environment: str, say: Callable[[str], None]) -> Promoted:
    """Raises Refused, or StageFailed where a stage or gate said no; then nothing has changed."""
    with worktree.one_release_at_a_time(git):
        source = environments.upstream(environment)
        source_commit = tip(git, source)
        target_commit = tip(git, environment)
        refuse_uncommitted(git, source)
        refuse_empty(git, source, source_commit)
        refuse_checked_out(git, environment)
        refuse_changes_of_the_target(git, environment, target_commit, source_commit)
        if is_promoted(git, source_commit, target_commit):
            return Promoted(environment, source, target_commit, None)
        say(f"making {environment} from {source} {source_commit[:7]} in a working tree of its own")
        with worktree.temporary(git, source_commit) as candidate:
            made = make(git, candidate, environment)
            commit = commit_of(candidate, environment, source, target_commit, source_commit)
        move(git, environment, commit, target_commit, f"promote {source} {source_commit[:7]}")
        return Promoted(environment, source, commit, made)


def tip(git: Git, environment: str) -> str:
    commit = git.commit(f"refs/heads/{environment}") or git.commit(
        f"refs/remotes/origin/{environment}"
    )
    if commit is None:
        raise Refused(
            f"there is no branch {environment!r}, here or on origin: "
            f"`git fetch origin {environment}`, or `git branch {environment} COMMIT`"
        )
    return commit


def refuse_uncommitted(git: Git, source: str) -> None:
    if git.run("branch", "--show-current") != source:
        return
    if changed := git.lines("status", "--porcelain"):
        raise Refused(
            f"{source} has uncommitted work: {', '.join(line[3:] for line in changed[:5])}"
            f"{' ...' if len(changed) > 5 else ''}: commit it "
            "(`git add -A && git commit`) or stash it"
        )


def refuse_empty(git: Git, source: str, commit: str) -> None:
    if git.read(commit, lockfile.LOCK) is None:
        first = source == environments.CHAIN[0]
        cure = f"on {source}, `mlops repro` and commit" if first else f"`mlops promote {source}`"
        raise Refused(f"{source} has made no model yet: {cure}, then again")


def refuse_checked_out(git: Git, environment: str) -> None:
    where = ""
    for line in git.lines("worktree", "list", "--porcelain"):
        if line.startswith("worktree "):
            where = line.removeprefix("worktree ")
        if line == f"branch refs/heads/{environment}":
            raise Refused(
                f"{environment} is checked out in {where}, and would move under your feet: "
                f"`git -C {where} switch {environments.upstream(environment)}`, then again"
            )


def refuse_changes_of_the_target(git: Git, environment: str, target: str, source: str) -> None:
    """Commits of the target that a promotion would undo, unless the source has picked them."""
    if lacking := changes_lacking(git, target, source):
        listed = "\n  ".join(git.run("log", "-1", "--format=%h %s", commit) for commit in lacking)
        picks = " ".join(commit[:7] for commit in lacking)
        raise Refused(
            f"{environment} has changes that {environments.upstream(environment)} lacks, and a "
            f"promotion would undo:\n  {listed}\nbring them to {environments.CHAIN[0]} first: "
            f"`git switch {environments.CHAIN[0]} && git cherry-pick -x {picks}`"
        )


def changes_lacking(git: Git, target: str, source: str) -> list[str]:
    """Oldest first. What promotions make anew is no change."""
    remade = [f":(exclude){path}" for path in REMADE]
    own = git.lines(
        "rev-list", "--no-merges", "--reverse", "--cherry-pick", "--right-only",
        f"{source}...{target}", "--", ".", *remade,
    )  # fmt: skip
    picked = git.run("log", f"{target}..{source}", "--format=%b")
    return [commit for commit in own if f"(cherry picked from commit {commit})" not in picked]


def is_promoted(git: Git, source: str, target: str) -> bool:
    if not git.succeeds("merge-base", "--is-ancestor", source, target):
        return False
    remade = [f":(exclude){path}" for path in REMADE]
    return git.succeeds("diff", "--quiet", source, target, "--", ".", *remade)


def make(git: Git, candidate: Git, environment: str) -> list[str]:
    """Run what differs in the environment, in a process group that ends with this process.

    Returns the stages made anew.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "release.candidate",
                environment,
                candidate.root,
                git.root,
                result,
            ],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        with process:
            process.wait()
        answer = json.loads(result.read_text()) if result.exists() else {}
    if "error" in answer:
        raise {3: Refused, 4: StageFailed}.get(process.returncode, ReleaseError)(answer["error"])
    if process.returncode:
        raise ReleaseError(
            f"the candidate ended with {process.returncode}; its last words are above"
        )
    made: list[str] = answer["made"]
    return made


def commit_of(candidate: Git, environment: str, source: str, old: str, new: str) -> str:
    """What the candidate holds, after `old` of the target and `new` of the source."""
    candidate.run("add", "--all")
    if extra := [
        path
        for path in candidate.lines("diff", "--cached", "--name-only", new)
        if path.split("/")[0] not in REMADE
    ]:
        raise ReleaseError(
            f"the stages changed {', '.join(extra)}, which no stage declares: add it to `outs` in "
            "dvc.yaml, or to .gitignore"
        )
    tree = candidate.run("write-tree")
    message = f"Promote {source} {new[:7]} to {environment}"
    return candidate.run("commit-tree", tree, "-p", old, "-p", new, "-m", message)


def move(git: Git, environment: str, commit: str, old: str, reason: str) -> None:
    """The branch moves only from where it was when the promotion began."""
    expected = old if git.commit(f"refs/heads/{environment}") else ""
    if not git.succeeds(
        "update-ref", "-m", reason, f"refs/heads/{environment}", commit, expected or "0" * 40
    ):
        raise Refused(f"{environment} has moved since the promotion began: run it again")
