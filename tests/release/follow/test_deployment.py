"""Tests deployments of commits: who makes them, and how long they stay, in a project whose stages take no
time."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from instant_project import promote, set_quality
from machinery import PROJECT
from mlops.errors import MlopsError, Refused
from mlops.release.follow import deployment
from mlops.release.history.git import Git
from mlops.release.places import scratch, venv
from tiny_pipeline import commit, git

SETTINGS = "environments/prod.yaml"


def cloned(project: Path) -> Path:
    """A clone with only dev and an empty cache, which can reach the DVC remote."""
    git(project.parent, "clone", "--quiet", "--branch", "dev", project.name, "clone")
    return project.parent / "clone"


def commit_to_prod(project: Path, file: str, text: str = "") -> str:
    git(project, "switch", "--quiet", "prod")
    (project / file).write_text(text)
    commit(project, f"Write {file}")
    return Git(project).run("rev-parse", "HEAD")


def folders(project: Path) -> set[str]:
    return {path.name for path in (project / deployment.FOLDER).glob("*/")}


def test_the_release_is_told_and_its_bundle_is_there(in_prod: Path) -> None:
    with deployment.open_deployment(Git(in_prod), "prod") as deployed:
        release = deployed.release
        assert release["environment"] == "prod"
        assert release["version"] == "v1.0.0"
        assert release["commit"] == deployed.commit == Git(in_prod).commit("prod")
        assert release["record"] == "prod/0001"
        assert release["author"] == "A. Tester <tester@example.org>"
        assert release["metrics"]["test"]["accuracy"] == 0.9
        assert (release["milliseconds"], release["megabytes"]) == (0.1, 0.1)
        assert release["files"] == {
            path.name: hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324
            for path in (deployed.folder / "deploy").iterdir()
        }
        assert release["bundle"] in (in_prod / "dvc.lock").read_text()


def test_a_commit_that_is_no_release_has_no_version(in_prod: Path) -> None:
    set_quality(in_prod, 0.95)
    with deployment.open_deployment(Git(in_prod), "dev") as deployed:
        assert deployed.release["environment"] == "dev"
        assert deployed.release["version"] is deployed.release["record"] is None
        assert deployed.release["metrics"]["test"]["accuracy"] == 0.95


def test_a_version_is_served_as_it_was_released_furthest_downstream(in_staging: Path) -> None:
    with deployment.open_deployment(Git(in_staging), "v1.0.0") as deployed:
        assert deployed.release["record"] == "staging/0001"
    promote(in_staging, "prod")
    for name in ("v1.0.0", "model@v1.0.0", "prod/0001"):
        with deployment.open_deployment(Git(in_staging), name) as deployed:
            assert deployed.release["record"] == "prod/0001"


def test_settings_of_the_service_are_those_of_the_commit(in_prod: Path) -> None:
    commit_to_prod(in_prod, SETTINGS, "serve: {max_rows: 7}\n")
    (in_prod / SETTINGS).write_text("serve: {max_rows: 8}\n")
    with deployment.open_deployment(Git(in_prod), "prod") as deployed:
        assert deployed.release["serve"] == {"max_rows": 7}
    with deployment.open_deployment(Git(in_prod), "v1.0.0") as deployed:
        assert deployed.release["serve"] == {}


def test_the_code_is_that_of_the_commit_wherever_the_process_stands(in_prod: Path) -> None:
    (in_prod / "mlops/contract/measure.py").write_text("raise SystemExit('of the working tree')\n")
    with deployment.open_deployment(Git(in_prod), "prod") as deployed:
        command = [str(deployed.python), "-m", "mlops.contract.measure"]
        said = subprocess.run(
            command, cwd=in_prod, env=deployed.variables, capture_output=True, text=True, check=True
        )
    assert json.loads(said.stdout)["milliseconds"] == 0.1


def test_a_clone_gets_branch_record_and_data_from_where_they_are(in_prod: Path) -> None:
    clone = cloned(in_prod)
    set_quality(in_prod, 0.95)
    promote(in_prod, "staging")
    with deployment.open_deployment(Git(clone), "v1.1.0") as deployed:
        assert deployed.release["record"] == "staging/0002"
        assert (deployed.folder / "deploy/model.onnx").read_text() == "quality: 0.95\n"
    commit_to_prod(in_prod, "note")
    with deployment.open_deployment(Git(clone), "prod") as deployed:
        assert deployed.commit == Git(in_prod).commit("prod")
    assert Git(clone).lines("branch", "--format=%(refname:short)") == ["dev"]


@pytest.mark.parametrize("branch", ["dev", "prod"])
@pytest.mark.parametrize("depth", [["--single-branch"], ["--depth=1"]], ids=" ".join)
def test_a_clone_without_history_needs_none(in_prod: Path, branch: str, depth: list[str]) -> None:
    """The last commit of prod only brings data to be scored, and a release follows it."""
    git(in_prod, "switch", "--quiet", "prod")
    (in_prod / "data/incoming").mkdir()
    commit_to_prod(in_prod, "data/incoming/rows.csv.dvc", "outs: []\n")
    place = in_prod.parent / "clone"
    git(
        in_prod.parent, "clone", "--quiet", *depth, "--branch", branch, f"file://{in_prod}", "clone"
    )
    with deployment.open_deployment(Git(place), "prod") as deployed:
        assert deployed.release["version"] == "v1.0.0"
        assert deployed.folder.name in folders(place)
    with deployment.open_deployment(Git(place), "v1.0.0") as deployed:
        assert deployed.release["record"] == "prod/0001"
    git(in_prod, "switch", "--quiet", "dev")
    set_quality(in_prod, 0.95)
    promote(in_prod, "staging", "prod")
    with deployment.open_deployment(Git(place), "prod") as deployed:
        assert deployed.release["version"] == "v1.1.0"
    git(place, "remote", "set-url", "origin", str(in_prod.parent / "gone"))
    with deployment.open_deployment(Git(place), "prod") as deployed:
        assert deployed.release["version"] == "v1.1.0"


def test_an_origin_out_of_reach_is_said_and_what_is_known_counts(in_prod: Path) -> None:
    clone = cloned(in_prod)
    git(clone, "remote", "set-url", "origin", str(in_prod.parent / "gone"))
    said: list[str] = []
    with deployment.open_deployment(Git(clone), "prod", say=said.append) as deployed:
        assert deployed.release["version"] == "v1.0.0"
    assert "gone" in said[0]


def test_a_record_made_after_its_commit_was_laid_out_is_told(in_prod: Path) -> None:
    git(in_prod, "tag", "kept", "refs/tags/prod/0001")
    git(in_prod, "tag", "--delete", "prod/0001")
    with deployment.open_deployment(Git(in_prod), "prod") as deployed:
        assert deployed.release["version"] is None
    git(in_prod, "update-ref", "refs/tags/prod/0001", "refs/tags/kept")
    with deployment.open_deployment(Git(in_prod), "prod") as deployed:
        assert deployed.release["version"] == "v1.0.0"


def test_it_is_laid_out_once_by_two_processes_at_once(in_prod: Path) -> None:
    script = (
        f"import pathlib, sys; sys.path.insert(0, {str(PROJECT)!r}); "
        "from mlops.release.follow import deployment; from mlops.release.history.git import Git; "
        "deployed = deployment.open_deployment(Git(pathlib.Path.cwd()), 'prod'); print(deployed.folder)"
    )
    command = [sys.executable, "-c", script]
    both = [subprocess.Popen(command, cwd=in_prod, stdout=subprocess.PIPE) for _ in range(2)]
    told = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert told[0] == told[1]


def test_one_cut_short_is_laid_out_anew(in_prod: Path) -> None:
    with deployment.open_deployment(Git(in_prod), "prod") as deployed:
        (deployed.folder / deployment.RELEASE).unlink()
        shutil.rmtree(deployed.folder / "deploy")
    with deployment.open_deployment(Git(in_prod), "prod") as deployed:
        assert (deployed.folder / "deploy/model.onnx").exists()


def test_what_no_branch_ends_in_goes_when_nobody_uses_it(in_prod: Path) -> None:
    first = deployment.open_deployment(Git(in_prod), "prod")
    second = commit_to_prod(in_prod, "note")
    with deployment.open_deployment(Git(in_prod), "prod"):
        assert folders(in_prod) == {first.commit, second}
    third = commit_to_prod(in_prod, "note", "another")
    first.close()
    with deployment.open_deployment(Git(in_prod), "prod"):
        assert folders(in_prod) == {third}
    with deployment.open_deployment(Git(in_prod), first.commit):
        assert folders(in_prod) == {third, first.commit}


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("prod", r"^prod has deployed nothing yet: `mlops promote prod`$"),
        ("v9.0.0", "there is no version 'v9.0.0'; the last are v1.0.0"),
    ],
)
def test_what_is_not_there_is_told(in_staging: Path, revision: str, words: str) -> None:
    with pytest.raises(MlopsError, match=words):
        deployment.open_deployment(Git(in_staging), revision)
    assert folders(in_staging) == set()


def test_data_that_are_nowhere_are_told_with_what_to_do(in_prod: Path) -> None:
    tip = Git(in_prod).run("rev-parse", "prod")
    shutil.rmtree(in_prod / ".dvc/cache")
    shutil.rmtree(in_prod.parent / "storage")
    (in_prod.parent / "storage").mkdir()
    with pytest.raises(MlopsError, match=r"what prod deployed is not available: .*mlops push"):
        deployment.open_deployment(Git(in_prod), "prod")
    assert not scratch.is_held(deployment.deployment_folder(Git(in_prod), tip))


def test_diverged_branches_are_refused(in_prod: Path) -> None:
    clone = cloned(in_prod)
    for project in (clone, in_prod):
        commit_to_prod(project, "note", project.name)
    with pytest.raises(Refused, match="have diverged"):
        deployment.open_deployment(Git(clone), "prod")


def stamped(prefix: Path, **locks: str) -> None:
    """Writes the note of install.py about what is installed, by the path of its lock."""
    prefix.mkdir()
    digests = {
        f"/somewhere/requirements/{room}.txt": venv.lock_digest(text)
        for room, text in locks.items()
    }
    (prefix / "installed.json").write_text(json.dumps({"locks": digests}))


def test_this_interpreter_is_used_when_it_has_the_libraries(
    in_prod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    stamped(tmp_path / "venv", serve="# of another day\nnumpy\n", batch="other\n")
    (in_prod / "requirements/serve.txt").write_text("not installed yet\n")
    with deployment.open_deployment(Git(in_prod), "prod") as deployed:
        assert deployed.python == Path(sys.executable)


INSTALL = """\
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--venv") + 1])
(folder / "bin").mkdir(parents=True)
(folder / "bin/python").symlink_to(sys.executable)
"""


def test_other_libraries_are_installed_beside_and_kept(in_prod: Path) -> None:
    commit_to_prod(in_prod, "install.py", INSTALL)
    (in_prod / "requirements/serve.txt").write_text("numpy==9\n")
    said: list[str] = []
    with deployment.open_deployment(Git(in_prod), "prod", say=said.append) as deployed:
        assert deployed.python.is_relative_to(in_prod / ".dvc/tmp/venvs")
        assert scratch.is_held(deployed.python.parents[1])
        assert "requirements/serve.txt" in said[0]
    assert not scratch.is_held(deployed.python.parents[1])


def test_a_commit_without_the_lock_of_a_room_is_told(in_prod: Path) -> None:
    with (
        deployment.open_deployment(Git(in_prod), "prod", room="batch") as deployed,
        pytest.raises(MlopsError, match=r"has no requirements/batch\.txt"),
    ):
        _ = deployed.python


def test_a_branch_that_is_called_after_no_environment_can_be_laid_out(in_prod: Path) -> None:
    commit_to_prod(in_prod, "note")
    git(in_prod, "branch", "--move", "prod", "feature")
    with deployment.open_deployment(Git(in_prod), "feature") as deployed:
        assert deployed.release["environment"] == "prod"
        assert deployed.release["record"] is None
