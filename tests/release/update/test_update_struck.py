"""`mlops update` under faults: killed at its calls of Git, another one at the same time."""

import shutil
from pathlib import Path

import pytest

import instant_project
import soak
from baking import NAME, Run
from fault import KILLED_BEFORE, KILLED_DURING, Command, meanwhile
from mlops.release.history.git import Git
from mlops.release.update import update
from template_states import Template

BRANCH = "refs/heads/mlops-update"


@pytest.fixture(autouse=True)
def tester(monkeypatch: pytest.MonkeyPatch) -> None:
    instant_project.speak_as_tester(monkeypatch)


def copied(first_release: Path, folder: Path) -> Path:
    shutil.copytree(first_release / NAME, folder / NAME)
    return folder / NAME


def users(project: Path) -> list[str]:
    git = Git(project)
    asked = (["status", "--porcelain", "--branch"], ["ls-files", "--stage"], ["rev-parse", "HEAD"])
    return [git.run(*words) for words in asked]


def strike(project: Path, place: Path, moment: str, fault: str) -> str:
    """Kills an update at the moment: the branch is whole or not there, and the next update succeeds."""
    before, refs = users(project), Git(project).run("for-each-ref")
    place.mkdir()
    command = Command(project, "update", moment=moment, fault=fault, place=place)
    said = command.ended()
    assert command.process.returncode == -9, said
    assert users(project) == before
    if made := Git(project).commit(BRANCH):
        left = "new"
    else:
        assert Git(project).run("for-each-ref") == refs
        update.update_project(Git(project), None, lambda line: None)
        made, left = Git(project).commit(BRANCH), "old"
    assert Git(project).read_file(str(made), "mlops/VERSION") == b"1.3.0\n"
    assert users(project) == before
    if left == "old":
        assert len(Git(project).lines("worktree", "list")) == 1
        assert not (project / update.FOLDER).exists()
    return left


@pytest.mark.parametrize(
    ("moment", "fault"),
    [
        ("* cherry-pick *", KILLED_DURING),
        ("* update-ref *mlops-update *", KILLED_BEFORE),
        ("* update-ref *mlops-update *", KILLED_DURING),
    ],
)
def test_kill_leaves_the_branch_whole_or_nothing(
    first_release: Path, all_releases: Template, tmp_path: Path, *, moment: str, fault: str
) -> None:
    project = copied(first_release, tmp_path)
    made = moment.endswith("mlops-update *") and fault == KILLED_DURING
    assert strike(project, tmp_path / "calls", moment, fault) == ("new" if made else "old")


@pytest.mark.skipif(not soak.LOG, reason="`make soak` runs it: it takes minutes")
@pytest.mark.parametrize("fault", [KILLED_BEFORE, KILLED_DURING])
def test_kill_at_every_call_of_git(
    first_release: Path, all_releases: Template, tmp_path: Path, fault: str
) -> None:
    (tmp_path / "undisturbed").mkdir()
    undisturbed = Command(copied(first_release, tmp_path / "undisturbed"), "update")
    undisturbed.ended()
    for number, call in enumerate(undisturbed.calls.read_text().splitlines(), start=1):
        folder = tmp_path / str(number)
        left = strike(copied(first_release, folder), folder / "calls", f"{number} *", fault)
        soak.note("kill", release="update", fault=fault, moment=call[:80], left=left)
        shutil.rmtree(folder)


def test_an_update_begun_twice_is_refused(
    first_release: Path, all_releases: Template, tmp_path: Path
) -> None:
    """One that begins while another runs, and one after it."""
    project, said = copied(first_release, tmp_path), tmp_path / "said"
    fault = meanwhile(project, "update", said=said)
    command = Command(project, "update", moment="* cherry-pick *", fault=fault, place=tmp_path)
    assert "the branch mlops-update holds the update" in command.ended()
    assert "another `mlops update` is running in this project" in said.read_text()
    assert "exit code 3" in said.read_text()
    again = Command(project, "update", place=tmp_path)
    assert "holds an update that is not merged: `git merge mlops-update`" in again.ended()
    assert again.process.returncode == 3


def test_the_commit_is_the_users_and_signed_where_she_signs(
    run: Run, first_release: Path, all_releases: Template, tmp_path: Path
) -> None:
    key, project = tmp_path / "key", copied(first_release, tmp_path)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key, cwd=tmp_path)
    settings = ("gpg.format=ssh", f"user.signingKey={key}.pub", "commit.gpgSign=true")
    for name, value in (setting.split("=", 1) for setting in settings):
        run.git("config", name, value, cwd=project)
    update.update_project(Git(project), None, lambda line: None)
    made = run.git("cat-file", "commit", "mlops-update", cwd=project)
    assert "author A. Tester <tester@example.org>" in made
    assert "BEGIN SSH SIGNATURE" in made
