"""Tests that every name that a command prints leads to its commit, for every command that takes a name."""

from pathlib import Path

import pytest

import instant_project
from instant_project import promote, set_quality
from mlops.errors import MlopsError, Refused, UsageError
from mlops.release.data import dvc
from mlops.release.follow import deployment
from mlops.release.history import lockfile, revisions
from mlops.release.history.git import Git
from mlops.release.history.outputs import BUNDLE
from mlops.release.look import card, card_lines, comparison, status, tracker

LOCK = """\
schema: '2.0'
stages:
  train:
    cmd: train
    outs:
    - path: models/model.onnx
      hash: md5
      md5: {model}
"""


def save_experiment(project: Path, name: str, quality: float) -> str:
    """Saves an experiment with DVC, and returns its commit."""
    (project / "params.yaml").write_text(f"quality: {quality}\n")
    with dvc.open_repo(project) as repo:
        repo.reproduce()
        saved: str = repo.experiments.save(name=name)
    Git(project).run("reset", "--quiet", "--hard")
    return saved


def test_every_name_that_a_command_prints_is_known_to_all(in_staging: Path) -> None:
    git = Git(in_staging)
    first = git.run("rev-parse", "staging")
    promote(in_staging, "prod")
    set_quality(in_staging, 0.95)
    saved = save_experiment(in_staging, "better", 0.97)
    latest = git.run("rev-parse", "dev")
    expected = {
        **dict.fromkeys(("v1.0.0", "1.0.0", "model@v1.0.0", "staging", "staging/0001"), first),
        **dict.fromkeys(("dev", latest[:7], latest), latest),
        **dict.fromkeys(("better", saved[:7]), saved),
        "prod/0001": git.run("rev-parse", "prod"),
        "HEAD~1": git.run("rev-parse", "dev~1"),
    }
    for row in tracker.model_rows(git):
        commit = str(row["commit"])
        bundle = lockfile.read_lock(git, commit).required_hash(BUNDLE)
        for name in (row["model"], row["md5"], str(row["md5"])[:7], commit[:7], bundle):
            expected[str(name)] = commit
    for each in status.all_statuses(git):
        if each.environment != "prod":  # whose model is that of staging
            expected[str(each.commit)] = expected[each.environment]
            expected[str(each.model)[:7]] = expected[each.environment]
    released = {expected["staging"], expected["prod/0001"]}
    for name, commit in expected.items():
        assert revisions.commit_of(git, name) == commit, name
    for name in ("prod/0001", "staging", f"experiment {str(row['md5'])[:7]}", "better", latest[:7]):
        commit = expected[name]
        lines = [*card_lines.card_lines(card.card_of(git, name))]
        assert f"commit {first if commit in released else commit}" in lines[1], name
        assert len([*comparison.compare_states(git, "dev", name)]) == 7
        with deployment.open_deployment(git, name) as deployed:
            assert deployed.commit == commit


def test_a_card_of_no_release_says_so_and_how_to_get_it(on_dev: Path) -> None:
    git = Git(on_dev)
    saved = save_experiment(on_dev, "better", 0.97)
    dev, better = ([*card_lines.card_lines(card.card_of(git, name))] for name in ("dev", "better"))
    assert dev[0].startswith("experiment ")
    assert dev[1] == f"commit {git.run('rev-parse', 'dev')}, which is no release"
    assert {"  accuracy: 0.97", "  quality: 0.97", "  accuracy 0.97 (min 0.1) passed"} < {*better}
    assert f"  dvc get . models/model.onnx --rev {saved} --out {saved[:7]}.onnx" in better
    (on_dev / "reports/metrics.json").write_text("{")
    git.run("commit", "--quiet", "--all", "--message", "Break")
    broken = [*card_lines.card_lines(card.card_of(git, "dev"))]
    assert (
        "reports/metrics.json can't be read"
        in broken[broken.index("\nmetrics of the test rows") + 1]
    )
    assert "  accuracy 0.97 (min 0.1) passed" not in broken
    assert "  accuracy 0.9 (min 0.1) passed" in broken


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    instant_project.speak_as_tester(monkeypatch)
    git = Git(tmp_path)
    git.run("init", "--quiet", "--initial-branch", "dev")
    return git


def commit(git: Git, model: str) -> str:
    (git.root / "dvc.lock").write_text(LOCK.format(model=model))
    git.run("add", "--all")
    git.run("commit", "--quiet", "--message", model)
    return git.run("rev-parse", "HEAD")


def test_a_name_with_two_meanings_is_refused_with_both_and_each_of_them_is_taken(git: Git) -> None:
    first, second = commit(git, "abcd1"), commit(git, "abcd2")
    git.run("branch", "twice", first)
    git.run("tag", "twice", second)
    for start, saved in {"a": first, "b": second}.items():
        git.run("update-ref", f"refs/exps/{start * 2}/{start * 38}/gusty-crow", saved)
    candidates = {
        "twice": {"refs/heads/twice": first, "refs/tags/twice": second},
        "gusty-crow": {
            f"refs/exps/{each * 2}/{each * 38}/gusty-crow": commit
            for each, commit in {"a": first, "b": second}.items()
        },
        "abcd": {"experiment abcd1": first, "experiment abcd2": second},
    }
    for name, meant in candidates.items():
        with pytest.raises(UsageError, match=f"'{name}' is ambiguous; name one of") as refusal:
            revisions.commit_of(git, name)
        for candidate, commit_of_it in meant.items():
            assert f"{candidate} ({commit_of_it[:7]})" in str(refusal.value)
            assert revisions.commit_of(git, candidate) == commit_of_it
    git.run("tag", "--force", "twice", first)
    git.run("branch", "abcd", second)
    assert revisions.commit_of(git, "twice") == first
    assert revisions.commit_of(git, "abcd") == second


def test_an_environment_is_its_later_branch_and_is_refused_where_the_two_diverge(git: Git) -> None:
    old, new = commit(git, "a"), commit(git, "b")
    git.run("update-ref", "refs/remotes/origin/prod", new)
    git.run("tag", "prod", old)
    assert revisions.commit_of(git, "prod") == new
    git.run("branch", "prod", old)
    assert revisions.commit_of(git, "prod") == new
    git.run(
        "update-ref", "refs/heads/prod", git.run("commit-tree", f"{old}^{{tree}}", "-m", "other")
    )
    with pytest.raises(Refused, match="prod and origin/prod have diverged"):
        revisions.commit_of(git, "prod")
    with pytest.raises(Refused, match="there is no branch 'staging', here or on origin"):
        revisions.commit_of(git, "staging")


@pytest.mark.parametrize(
    "name", ["", "--all", "e038a8c", "experiment zz", "v1.0", "prod/0009", "a*", "HEAD..HEAD"]
)
def test_a_name_that_means_nothing_is_refused(git: Git, name: str) -> None:
    commit(git, "a")
    with pytest.raises(MlopsError, match="is not an environment, version, record"):
        revisions.commit_of(git, name)


def test_a_branch_or_tag_with_the_name_of_another_thing_does_not_take_its_place(git: Git) -> None:
    old, new, newest = commit(git, "a"), commit(git, "b"), commit(git, "c")
    for tag, name in ((old, "staging/0001"), (old, "model@v1.0.0"), (old, "dev"), (new, "v1.0.0")):
        git.run("tag", name, tag)
    for branch in ("staging/0001", "v1.0.0", "model@v1.0.0", "origin/dev"):
        git.run("branch", branch, new)
    git.run("update-ref", "refs/remotes/origin/v1.0.0", new)
    for name in ("staging/0001", "v1.0.0", "1.0.0", "model@v1.0.0", "dev~2", "dev^^"):
        assert revisions.commit_of(git, name) == old, name
    assert revisions.commit_of(git, "dev") == newest
    assert revisions.commit_of(git, "dev~1") == revisions.commit_of(git, "HEAD^") == new
    with pytest.raises(MlopsError, match="'nosuch' is not an environment"):
        revisions.commit_of(git, "nosuch~1")
    with pytest.raises(MlopsError, match="'dev~9' is not an environment"):
        revisions.commit_of(git, "dev~9")
    assert git.branch() == "dev"
