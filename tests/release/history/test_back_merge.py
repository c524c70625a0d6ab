from pathlib import Path

import pytest

from mlops.release.history import back_merge
from mlops.release.history.git import Git
from tiny_pipeline import ENVIRONMENT, commit, git, shell


@pytest.fixture(autouse=True)
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the three branches as a chain, each one promoted once."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "dev")
    name(tmp_path, "dev")
    for branch in ("staging", "prod"):
        git(tmp_path, "switch", "--quiet", "-c", branch)
        name(tmp_path, branch)
    change(tmp_path, "dev", "code", "1")
    promote(tmp_path, "staging", "dev", 1)
    promote(tmp_path, "prod", "staging", 1)
    return tmp_path


def name(project: Path, environment: str) -> None:
    (project / "branch.yaml").write_text(f"environment: {environment}\n")
    commit(project, f"This is {environment}")


def change(project: Path, branch: str, file: str, text: str) -> str:
    """Commits a change, and returns the commit."""
    git(project, "switch", "--quiet", branch)
    (project / file).write_text(text)
    commit(project, f"Write {text} to {file}")
    return git(project, "rev-parse", "HEAD").strip()


def promote(project: Path, target: str, source: str, number: int) -> None:
    """Promotes as `mlops` does: with the tree of the source and the name of the target."""
    git(project, "switch", "--quiet", "--detach", source)
    (project / "branch.yaml").write_text(f"environment: {target}\n")
    git(project, "add", "--all")
    tree = git(project, "write-tree").strip()
    made = git(project, "commit-tree", tree, "-p", target, "-p", source, "-m", "Promote").strip()
    git(project, "update-ref", f"refs/heads/{target}", made)
    git(project, "tag", "-a", f"{target}/{number:04d}", made, "-m", "record")
    git(project, "switch", "--quiet", "--force", target)


def merge(project: Path, branch: str, other: str, *options: str) -> None:
    git(project, "switch", "--quiet", branch)
    git(project, "merge", "--quiet", "--no-edit", "-X", "ours", *options, other)


def findings(project: Path, commit: str = "HEAD") -> list[str]:
    return list(
        back_merge.back_merge_findings(Git(project), git(project, "rev-parse", commit).strip())
    )


def test_promotions_features_and_hotfixes_are_none(project: Path) -> None:
    git(project, "switch", "--quiet", "-c", "hotfix", "prod")
    fix = change(project, "hotfix", "fix", "1")
    change(project, "prod", "other", "1")
    merge(project, "prod", "hotfix")
    git(project, "switch", "--quiet", "dev")
    git(project, "cherry-pick", "-x", fix)
    git(project, "switch", "--quiet", "-c", "feature")
    change(project, "feature", "feature", "1")
    change(project, "dev", "code", "2")
    merge(project, "dev", "feature")
    merge(project, "staging", "dev")
    merge(project, "prod", "staging")
    for branch in ("dev", "feature", "hotfix", "staging", "prod"):
        assert findings(project, branch) == []


@pytest.mark.parametrize(
    ("branch", "other"), [("dev", "staging"), ("dev", "prod"), ("staging", "prod")]
)
def test_a_merge_upstream_is_found_and_its_cure_undoes_it(
    project: Path, branch: str, other: str
) -> None:
    change(project, other, "other", "1")
    before = change(project, branch, "code", "2")
    merge(project, branch, other)
    [finding] = findings(project)
    assert f"merges {other} into {branch}" in finding
    shell(project, finding.split("`")[1])
    assert git(project, "rev-parse", "HEAD").strip() == before
    assert findings(project) == []


def test_one_in_a_feature_is_found_after_the_feature_was_merged(project: Path) -> None:
    change(project, "dev", "code", "2")
    git(project, "switch", "--quiet", "-c", "feature")
    merge(project, "feature", "staging", "--no-ff")
    name(project, "dev")
    change(project, "dev", "code", "3")
    merge(project, "dev", "feature")
    assert len(findings(project)) == 1


def test_what_was_pushed_is_reverted_and_its_fix_picked(project: Path) -> None:
    fix = change(project, "prod", "fix", "1")
    change(project, "dev", "code", "2")
    merge(project, "dev", "prod")
    git(project, "update-ref", "refs/remotes/origin/dev", "HEAD")
    [finding] = findings(project)
    revert, pick = finding.split("`")[1::2]
    assert pick == f"git cherry-pick -x {fix[:7]}"
    shell(project, f"{revert} --no-edit && {pick}")
    assert findings(project) == []
    assert (project / "branch.yaml").read_text() == "environment: dev\n"
    assert (project / "fix").read_text() == "1"


def test_one_that_was_promoted_since_is_told_no_more(project: Path) -> None:
    change(project, "dev", "code", "2")
    merge(project, "dev", "staging")
    name(project, "dev")
    assert len(findings(project)) == 1
    promote(project, "staging", "dev", 2)
    assert findings(project, "dev") == findings(project, "staging") == []
