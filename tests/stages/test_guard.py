import subprocess
import sys
from pathlib import Path

import pytest

from machinery import PROJECT
from mlops import environments
from mlops.deploy import guard
from mlops.errors import MlopsError, Refused
from tiny_pipeline import ENVIRONMENT, git, shell


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guard")
    git(folder, "init", "--quiet", "--initial-branch", "dev")
    (folder / "branch.yaml").write_text("environment: dev\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Begin")
    return folder


def on(repository: Path, branch: str, named: str) -> None:
    git(repository, "checkout", "--quiet", "-B", branch)
    (repository / "branch.yaml").write_text(f"environment: {named}\n")


@pytest.mark.skipif(sys.platform == "win32", reason="the cure is a command for a POSIX shell")
@pytest.mark.parametrize(
    ("branch", "named"), [("dev", "staging"), ("staging", "dev"), ("prod", "staging")]
)
def test_a_branch_that_names_another_environment_is_refused_until_its_cure_is_run(
    repository: Path, branch: str, named: str
) -> None:
    on(repository, branch, named)
    with pytest.raises(Refused, match=f"says {named}, but this is the branch {branch}") as refused:
        guard.check_branch_name(repository)
    shell(repository, str(refused.value).split("`")[1])
    guard.check_branch_name(repository)


def test_a_tag_with_the_name_of_the_branch_hides_nothing(repository: Path) -> None:
    on(repository, "prod", "dev")
    git(repository, "tag", "prod")
    with pytest.raises(Refused, match="says dev, but this is the branch prod"):
        guard.check_branch_name(repository)


@pytest.mark.parametrize("branch", ["feature", "dev-2", "release/prod"])
def test_other_branches_pass(repository: Path, branch: str) -> None:
    on(repository, branch, "staging")
    guard.check_branch_name(repository)


def test_a_detached_head_and_a_folder_without_git_pass(repository: Path, tmp_path: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    guard.check_branch_name(repository)
    (tmp_path / "branch.yaml").write_text("environment: prod\n")
    guard.check_branch_name(tmp_path)


def test_where_git_is_missing_it_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MlopsError, match="cannot run git"):
        guard.check_branch_name(repository)


def test_as_a_process_it_says_why_and_exits_with_3(repository: Path) -> None:
    on(repository, "dev", "prod")
    process = subprocess.run(
        [sys.executable, "-m", "mlops.deploy.guard"],
        cwd=repository,
        env={**ENVIRONMENT, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 3
    assert process.stderr.startswith("branch.yaml says prod, but this is the branch dev")


@pytest.mark.parametrize(
    "text",
    [
        "environment: dev\n",
        "# This branch.\nenvironment: 'dev'\n",
        'environment: "dev"  # the first\n',
        "environment: dev\r\n",
    ],
)
def test_the_line_that_names_the_environment(text: str) -> None:
    assert environments.parse_environment(text) == "dev"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "environment:\n",
        "environment: qa\n",
        "dev\n",
        "environment: dev\nenvironment: prod\n",
        "<<<<<<< HEAD\nenvironment: dev\n=======\nenvironment: prod\n>>>>>>> prod\n",
    ],
)
def test_any_other_text_is_refused_with_the_choices(text: str) -> None:
    with pytest.raises(MlopsError, match="one of dev, staging, prod"):
        environments.parse_environment(text)


def test_a_missing_file_is_told_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(MlopsError, match=r"git checkout HEAD -- branch\.yaml"):
        environments.environment_of(tmp_path)


def test_the_chain() -> None:
    assert environments.upstream("prod") == "staging"
    assert environments.upstream("staging") == "dev"
    with pytest.raises(Refused, match="nothing is promoted to dev"):
        environments.upstream("dev")
    with pytest.raises(MlopsError, match="one of dev, staging, prod"):
        environments.upstream("qa")
