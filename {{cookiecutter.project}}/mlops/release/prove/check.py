"""`mlops check`: checks that the records of a branch are true. Every finding comes with a remedy."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from mlops import environments
from mlops.deploy import guard
from mlops.errors import Away, Refused, say
from mlops.release.data import dvc, integrity, private_store, stage_code
from mlops.release.errors import Untrue
from mlops.release.history import back_merge, lockfile, records, signatures, unrecorded
from mlops.release.history.git import Git
from mlops.release.history.lockfile import LOCK
from mlops.release.places import worktree


def check_tree(
    root: Path, branch: str | None = None, config: Mapping[str, object] | None = None
) -> str:
    """Raises Untrue with every finding, or Away if nothing is found but a storage that is out of reach;
    otherwise returns a line that says what is true.

    `branch` is the branch that HEAD will become, if none is checked out.
    """
    git = Git(root)
    lockfile.refuse_damaged_in(root)
    found = [
        *foreign_name(root, branch),
        *release_findings(git, branch or git.branch()),
        *back_merge.back_merge_findings(git, git.run("rev-parse", "HEAD")),
        *reports_without_lock(git),
    ]
    with dvc.open_repo(root, config) as repo:
        outs = integrity.outputs_at_hand(repo)
        hashing = f"hashing {len(outs)} outputs, {integrity.outputs_megabytes(outs)} MB"
        say(hashing)
        found += stage_code.code_findings(repo)
        try:
            found += integrity.untrue_outputs(repo, outs)
        except Away as away:
            if not found:
                raise
            found.append(str(away))
    if found:
        raise Untrue(found)
    if not (root / LOCK).exists():
        return f"all well in {environments.environment_of(root)}: nothing was run yet"
    return (
        f"all well in {environments.environment_of(root)}: every stage is up to date and attested by a run, "
        f"{len(outs)} outputs match their hash"
    )


def check_commit(git: Git, commit: str, branch: str) -> str:
    """Checks a commit in the same way, without the outputs that DVC stores."""
    with worktree.private_worktree(git, commit) as tree:
        return check_tree(tree.root, branch, private_store.shared_settings(tree.root, git.root))


def release_findings(git: Git, branch: str | None) -> Iterator[str]:
    """Yields what is wrong with the signatures of the branch that is checked.

    What concerns only another environment, and a last commit without a record, is printed.
    """
    for environment in environments.CHAIN[1:]:
        own = environment == branch
        tagged = records.records_of(git, environment)
        tip = git.commit("HEAD") if own else None
        if line := unrecorded.unrecorded_tip(git, environment, tagged, tip):
            say(f"{environment}: {line}")
        for finding in signatures.signature_findings(git, tagged):
            if own:
                yield finding
            else:
                say(f"{environment}: {finding}")


def reports_without_lock(git: Git) -> Iterator[str]:
    names = git.lines("ls-files", "--", "reports")
    results = [name for name in names if not Path(name).name.startswith(".")]
    if results and not (git.root / LOCK).exists():
        yield (
            f"reports/ has results, and there is no {LOCK}, so no run stands behind them: `mlops repro` and "
            "commit, or `git rm -r reports`"
        )


def foreign_name(root: Path, branch: str | None) -> Iterator[str]:
    try:
        guard.check_branch_name(root, branch)
    except Refused as refusal:
        yield str(refusal)
