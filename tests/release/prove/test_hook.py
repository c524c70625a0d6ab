import os
import subprocess
import sys
from pathlib import Path

import pytest

import tiny_pipeline
from machinery import PROJECT
from mlops.errors import Refused
from mlops.release.data.push import push_branches
from mlops.release.data.repro import run_repro
from mlops.release.history.git import Git
from mlops.release.prove import hook
from tiny_pipeline import ENVIRONMENT, commit, git, reproduced

PYTHON = f"""\
#!/bin/sh
PYTHONPATH='{PROJECT}' exec '{sys.executable}' "$@"
"""


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository; beside it is `project`, whose origin it is, with the hook installed."""
    folder = tmp_path_factory.mktemp("hook")
    project = reproduced(folder / "project", {**tiny_pipeline.FILES, ".gitignore": ".venv/\n"})
    git(folder, "init", "--quiet", "--bare", "origin.git")
    git(project, "remote", "add", "origin", str(folder / "origin.git"))
    python = project / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    hook.install_hook(Git(project))
    return folder / "origin.git"


@pytest.fixture
def project(origin: Path) -> Path:
    return origin.parent / "project"


def push(project: Path, *refs: str) -> subprocess.CompletedProcess[str]:
    """Pushes without mlops, or anything else of the project, on PATH."""
    command = ["git", "push", "--quiet", "origin", *refs]
    environment = {**ENVIRONMENT, "PATH": os.defpath}
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def changed(project: Path, name: str, text: str, branch: str) -> None:
    git(project, "switch", "--quiet", "--force-create", branch, "dev")
    (project / name).write_text(text)
    commit(project, f"Change {name}")


def test_a_true_branch_is_pushed_whatever_the_working_tree_holds(
    origin: Path, project: Path
) -> None:
    (project / "params.yaml").write_text("weight: 9\n")
    done = push(project, "dev", "dev:feature/x")
    git(project, "checkout", "--", "params.yaml")
    assert done.returncode == 0, done.stderr
    pushed = {*git(origin, "for-each-ref", "--format=%(refname)").split()}
    assert {"refs/heads/dev", "refs/heads/feature/x"} <= pushed
    assert git(project, "worktree", "list").count("\n") == 1


@pytest.mark.parametrize(
    ("name", "text", "finding"),
    [
        ("params.yaml", "weight: 2\n", "train: not up to date: `mlops repro`"),
        ("reports/metrics.yaml", "sum: 9\n", "reports/metrics.yaml: not what dvc.lock says"),
    ],
)
def test_an_untrue_branch_is_refused_with_the_words_of_check(
    origin: Path, project: Path, name: str, text: str, finding: str
) -> None:
    changed(project, name, text, "untrue")
    git(project, "switch", "--quiet", "dev")
    done = push(project, "untrue")
    assert done.returncode != 0
    assert "mlops: untrue is not pushed: problems found: 1" in done.stderr
    assert finding in done.stderr
    assert "untrue" not in git(origin, "for-each-ref")


def test_what_the_storage_lacks_is_named_and_mlops_push_sends_it(
    origin: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    git(project, "switch", "--quiet", "--create", "unsent", "dev")
    (project / "params.yaml").write_text("weight: 8\n")
    run_repro(project)
    commit(project, "Weight 8")
    made = git(project, "rev-parse", "--short", "HEAD").strip()
    done = push(project, "unsent")
    assert f"- models/model.txt ({made} by A. Tester)\n" in done.stderr
    assert "- train: its run record\n" in done.stderr
    assert "`mlops push` sends what is here, and then pushes the branch" in done.stderr
    assert "unsent" not in git(origin, "for-each-ref")
    push_branches(Git(project), [], print)
    assert "refs/heads/unsent" in git(origin, "for-each-ref")
    git(project, "switch", "--quiet", "dev")


def test_without_the_storage_nothing_is_pushed(origin: Path, project: Path) -> None:
    storage = project.parent / "storage"
    storage.rename(storage.with_name("away"))
    done = push(project, "dev:refs/heads/alone")
    storage.with_name("away").rename(storage)
    assert f"is the directory {storage}, which does not exist here" in done.stderr
    assert "alone" not in git(origin, "for-each-ref")


def test_from_a_linked_working_tree_under_the_name_of_another_environment(
    project: Path, tmp_path: Path
) -> None:
    git(project, "worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"), "dev")
    done = push(tmp_path / "linked", "HEAD:refs/heads/prod")
    git(project, "worktree", "remove", str(tmp_path / "linked"))
    assert "branch.yaml says dev, but this is the branch prod" in done.stderr
    assert done.returncode != 0


def test_tags_and_deletions_are_not_held_up(project: Path) -> None:
    git(project, "tag", "--force", "x")
    assert push(project, "x").returncode == 0
    assert push(project, "--delete", "x").returncode == 0


def test_without_a_venv_it_says_how_to_make_one(project: Path) -> None:
    (project / ".venv").rename(project / "away")
    done = push(project, "dev:refs/heads/again")
    (project / "away").rename(project / ".venv")
    assert done.returncode != 0
    assert "python3 install.py" in done.stderr


def test_a_hook_that_is_not_ours_stays_and_ours_is_renewed(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    place = hook.install_hook(Git(tmp_path))
    place.write_text(place.read_text() + "# of an older version\n")
    assert hook.install_hook(Git(tmp_path)).read_text() == hook.HOOK
    place.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(Refused, match="is not ours: add this line"):
        hook.install_hook(Git(tmp_path))
    assert place.read_text() == "#!/bin/sh\nexit 0\n"


def test_hooks_that_other_repositories_share_are_left_alone(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "project")
    git(tmp_path / "project", "config", "core.hooksPath", str(tmp_path / "hooks"))
    with pytest.raises(Refused, match=r"core\.hooksPath"):
        hook.install_hook(Git(tmp_path / "project"))
