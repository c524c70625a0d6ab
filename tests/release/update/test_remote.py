"""Tests `mlops remote`: the storage of a tiny pipeline moves to a directory, to an sshd and to S3."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import tiny_pipeline
from machinery import MLOPS
from mlops.errors import Away, MlopsError, Refused, UsageError
from mlops.release.data import push
from mlops.release.data.repro import run_repro
from mlops.release.history.git import Git
from mlops.release.update import remote
from storages import Storage
from tiny_pipeline import ENVIRONMENT, commit, copied, git, make

PYPROJECT = '[dependency-groups]\ntools = [\n    "dvc[s3,ssh]>=3",\n    "dvc-render",\n]\n'
FILES = {
    **tiny_pipeline.FILES,
    "pyproject.toml": PYPROJECT,
    "requirements/tools.txt": "dvc==3\n",
    "Makefile": "lock:\n\techo 'dvc[gs]==3' > requirements/tools.txt\n",
    "install.py": "import sys\nsys.exit('no index in reach')\n",
}


@pytest.fixture(scope="module")
def two_branches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline whose branch dev is in the storage, and whose branch feature is in the cache alone."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        project = make(tmp_path_factory.mktemp("remote") / "project", FILES)
        git(project.parent, "init", "--quiet", "--bare", "--initial-branch", "dev", "origin.git")
        git(project, "remote", "add", "origin", "../origin.git")
        run_repro(project)
        commit(project, "Run")
        push.push_branches(Git(project), [], print)
        git(project, "switch", "--quiet", "--create", "feature")
        (project / "params.yaml").write_text("weight: 22\n")
        run_repro(project)
        commit(project, "Weight 22")
        git(project, "switch", "--quiet", "dev")
    return project


@pytest.fixture
def project(two_branches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = copied(two_branches, tmp_path, monkeypatch)
    monkeypatch.chdir(project)
    return project


def move(project: Path, url: str, settings: Sequence[str] = ()) -> str:
    said: list[str] = []
    remote.move_remote(Git(project), url, settings, said.append)
    return "\n".join(said)


def check_moved(project: Path) -> None:
    """Checks that a colleague gets both branches from the new storage alone, and runs nothing."""
    shutil.rmtree(project.parent / "storage")
    git(project, "commit", "--quiet", "--all", "--message", "Move the storage")
    git(project, "switch", "--quiet", "feature")
    git(project, "merge", "--quiet", "--no-edit", "dev")
    push.push_branches(Git(project), ["dev", "feature"], print)
    git(project.parent, "clone", "--quiet", "origin.git", "colleague")
    colleague = project.parent / "colleague"
    for branch, model in {"dev": "sum: 5\n", "feature": "sum: 110\n"}.items():
        git(colleague, "switch", "--quiet", branch)
        shutil.rmtree(colleague / "models", ignore_errors=True)
        done = subprocess.run(
            [sys.executable, "-c", MLOPS, "repro"],
            cwd=colleague,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "Everything was up to date."
        assert (colleague / "models/model.txt").read_text() == model
        git(colleague, "checkout", "--quiet", "HEAD", "--", ".")


@pytest.mark.parametrize("absolute", [False, True])
def test_a_directory(project: Path, absolute: bool) -> None:
    new = project.parent / "new"
    new.mkdir()
    before = git(project, "rev-parse", "HEAD")
    said = move(project, str(new) if absolute else "../new")
    assert "copying 3 objects from 'storage', " in said
    assert "git commit" in said.splitlines()[-1]
    assert f"url = {new if absolute else '../../new'}\n" in (project / ".dvc/config").read_text()
    assert git(project, "status", "--porcelain") == " M .dvc/config\n"
    assert git(project, "rev-parse", "HEAD") == before
    check_moved(project)


def test_an_sshd(project: Path, ssh_storage: Storage) -> None:
    move(project, ssh_storage.url, ssh_storage.settings)
    check_moved(project)


def test_s3(project: Path, s3_storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_storage.variables.items():
        monkeypatch.setenv(name, value)
    move(project, s3_storage.url, s3_storage.settings)
    check_moved(project)


@pytest.mark.parametrize(
    ("url", "settings", "error", "words"),
    [
        ("s3://key:hunter2@models/x", [], Refused, "the address holds credentials"),
        ("s3://key@models/x", [], Refused, "the address holds credentials"),
        ("ssh://me:hunter2@host/x", [], Refused, "the address holds credentials"),
        ("azure://models/x?sig=hunter2", [], Refused, "holds credentials or a query"),
        ("s3://models/x", ["secret_access_key=hunter2"], Refused, "secret_access_key holds"),
        ("s3://models/x", ["endpointurl"], UsageError, "'endpointurl' is no setting"),
        ("ftp://host/x", [], UsageError, "no address that data can be moved to"),
        ("../new#2", [], UsageError, "no place for quotes"),
        ("../störe", [], UsageError, "DVC can write only ASCII into .dvc/config"),
        ("../mistyped", [], Refused, "there is no directory .*/mistyped outside of the project"),
        ("data", [], Refused, "there is no directory .*/data outside of the project"),
    ],
)
def test_a_bad_address_is_refused(
    project: Path, url: str, settings: list[str], error: type[MlopsError], words: str
) -> None:
    with pytest.raises(error, match=words) as raised:
        move(project, url, settings)
    assert "hunter2" not in str(raised.value)
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("url", "gone", "error", "words"),
    [
        ("../new", "storage", Away, "not moved: the DVC remote 'storage' is the directory"),
        (
            "gs://models/x",
            "",
            Away,
            r"installing dvc\[gs\] failed:\nno index in reach\nNothing has changed",
        ),
        ("azure://models/x", "Makefile", MlopsError, "No rule to make target 'lock'"),
        (
            "ssh://127.0.0.1:9/x",
            "",
            MlopsError,
            "not moved: the DVC remote 'new storage', ssh://127",
        ),
    ],
)
def test_a_failure_leaves_the_old_storage(
    project: Path, url: str, gone: str, error: type[MlopsError], words: str
) -> None:
    (project.parent / "new").mkdir()
    if gone == "Makefile":
        git(project, "rm", "--quiet", gone)
        commit(project, "Forget how to lock")
    elif gone:
        (project.parent / gone).rename(project.parent / "gone")
    with pytest.raises(error, match=words):
        move(project, url)
    assert git(project, "status", "--porcelain") == ""


def test_what_is_not_committed_comes_first(project: Path) -> None:
    (project.parent / "new").mkdir()
    (project / "pyproject.toml").write_text(PYPROJECT + "# mine\n")
    with pytest.raises(Refused, match=r"pyproject\.toml has uncommitted changes"):
        move(project, "../new")


@pytest.mark.parametrize(
    ("needed", "wanted"),
    [
        ('"dvc"', '"dvc[s3]"'),
        ("\"dvc>=3; python_version > '3'\"", "\"dvc[s3]>=3; python_version > '3'\""),
        ('"dvc[ssh]~=3.67"', '"dvc[s3,ssh]~=3.67"'),
        ('"dvc[s3]"', '"dvc[s3]"'),
    ],
)
def test_the_extra_is_added_to_what_the_project_needs_of_dvc(
    tmp_path: Path, needed: str, wanted: str
) -> None:
    pyproject = tmp_path / "pyproject.toml"
    form = 'tools = ["dvc-render", {}]\nmodule = ["dvc.*"]\n'
    pyproject.write_text(form.format(needed))
    assert remote.add_extra(pyproject, "s3") == (needed != wanted)
    assert pyproject.read_text() == form.format(wanted)
