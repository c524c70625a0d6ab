"""`mlops doctor` in a project that is broken in many ways, mended with the remedies that it prints."""

import json
import os
import re
import socket
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

import tiny_pipeline
from baking import NAME, Process, Run
from machinery import MLOPS
from mlops.errors import MlopsError
from mlops.release.history.git import Git
from mlops.release.prove import doctor
from mlops.release.prove.doctor import Finding
from servers import free_port

SUBJECT = re.compile(r"^(ok|warning|WRONG) +(\S.*?)  +(?=\S)", re.MULTILINE)
NOBODY = 65534


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The global configuration of somebody whom Git does not know, and whose index is split."""
    file = tmp_path / "gitconfig"
    file.write_text("[core]\n    splitIndex = true\n")
    return file


def examined(run: Run, project: Path, home: Path) -> Process:
    unset = [
        part for name in tiny_pipeline.IDENTITY if "CONFIG" not in name for part in ("-u", name)
    ]
    settings = {"GIT_CONFIG_GLOBAL": str(home), "COLUMNS": "80", "SERVE_PORT": str(free_port())}
    return run("env", *unset, "mlops", "doctor", cwd=project, check=False, **settings)


def verdicts(printed: str) -> Mapping[str, str]:
    return {subject: verdict for verdict, subject in SUBJECT.findall(printed)}


def remedies(printed: str, *subjects: str) -> list[str]:
    parts = re.split(r"^(?=ok|warning|WRONG)", printed, flags=re.MULTILINE)
    about = [part for part in parts if (found := SUBJECT.match(part)) and found[2] in subjects]
    return [step for part in about for step in re.findall(r"-> (.*)", part)]


def test_a_broken_project_is_mended_by_the_remedies(run: Run, project: Path, home: Path) -> None:
    storage = project.parent / f"{NAME}-storage"
    storage.rmdir()
    (project / "params.yaml").write_bytes(b"\xff: [")
    run.git("config", "--unset", "merge.binary.driver", cwd=project)
    run.git("config", "--unset", "core.splitIndex", cwd=project)
    run.git("-c", "core.splitIndex=true", "update-index", "--force-write-index", cwd=project)
    (project / "requirements/serve.txt").unlink()

    done = examined(run, project, home)
    assert done.returncode == 1
    assert done.stderr == "mlops: subjects that are wrong: 5 of 16; the lines with -> mend them\n"
    wrong = [subject for subject, verdict in verdicts(done.stdout).items() if verdict == "WRONG"]
    assert wrong == ["libraries", "identity", "Git's settings", "merge driver", "storage"]
    lines = done.stdout.splitlines()
    assert [
        line for line in lines if len(line) > 80 and "->" not in line and " /" not in line
    ] == []

    storage.mkdir()  # "`mkdir` it"
    mending = remedies(
        done.stdout, "libraries", "identity", "Git's settings", "merge driver", "pre-push hook"
    )
    assert len(mending) == 6
    for step in mending:
        run("sh", "-c", step, cwd=project, GIT_CONFIG_GLOBAL=str(home))
    add = "from dvc.repo import Repo; Repo('.').scm.add(['params.yaml'])"
    run("python", "-c", add, cwd=project, GIT_CONFIG_GLOBAL=str(home))

    done = examined(run, project, home)
    assert done.returncode == 0, done.stdout
    assert verdicts(done.stdout)["pre-push hook"] == "ok"
    assert done.stdout.splitlines()[-1].startswith("all well")


def test_without_git_the_other_subjects_are_looked_at(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").touch()
    only_python = str(Path(sys.executable).parent)
    done = run(sys.executable, "-c", MLOPS, "doctor", cwd=tmp_path, check=False, PATH=only_python)
    assert done.returncode == 1
    assert "apt-get install git" in done.stdout
    assert len(verdicts(done.stdout)) == 16
    assert "Traceback" not in done.stderr


def test_outside_of_a_project_it_says_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MlopsError, match=r"no dvc.yaml in .* `cd` into your project"):
        doctor.project_root()


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of a test's own, in which nothing was run."""
    for name, value in tiny_pipeline.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    tiny_pipeline.make(tmp_path / "project", tiny_pipeline.FILES)
    return tmp_path / "project"


def storage_of(root: Path, url: str) -> Finding:
    config = root / ".dvc/config"
    config.write_text(config.read_text().replace("../../storage", url))
    return doctor.start_probe(root)()


def test_a_storage_that_does_not_answer_is_given_up(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "PATIENCE", 4)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = storage_of(tiny, f"http://127.0.0.1:{silent.getsockname()[1]}/data")
    assert (found.verdict, found.words) == ("wrong", "the DVC remote does not answer within 4 s")


def test_a_storage_that_refuses_is_told_in_its_words(tiny: Path) -> None:
    found = storage_of(tiny, f"http://127.0.0.1:{free_port()}/data")
    assert found.verdict == "wrong"
    assert "127.0.0.1" in found.words


def origin_of(root: Path, url: str) -> Finding:
    git = Git(root)
    if "origin" not in git.lines("remote"):
        git.run("remote", "add", "origin", url)
    git.run("remote", "set-url", "origin", url)
    return doctor.start_asking(git)()


def test_origin_is_asked_and_what_it_does_not_answer_is_told(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor.start_asking(Git(tiny))().verdict == "warning"
    Git(tiny).run("init", "--quiet", "--bare", "../origin.git")
    assert origin_of(tiny, "../origin.git").verdict == "ok"
    (tiny.parent / "origin.git").rename(tiny.parent / "elsewhere.git")
    for url, words in (
        ("../origin.git", "does not appear to be a git repository"),
        (f"http://127.0.0.1:{free_port()}/project.git", "127.0.0.1"),
    ):
        found = origin_of(tiny, url)
        assert found.verdict == "wrong"
        assert words in found.words
        assert "`git remote set-url origin URL`" in found.remedy
    monkeypatch.setattr(doctor, "PATIENCE", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = origin_of(tiny, f"http://127.0.0.1:{silent.getsockname()[1]}/project.git")
    assert found.words == "it cannot be read: no answer within 1 s"


def test_a_clone_that_lacks_something_or_waits_for_its_owner_is_told(tiny: Path) -> None:
    git = Git(tiny)
    git.run("commit", "--quiet", "--allow-empty", "--message", "Again")
    assert doctor.check_repository(git).verdict == "ok"
    git.run("bisect", "start")
    found = doctor.check_repository(git)
    assert (found.verdict, found.remedy) == ("warning", "`git bisect reset` ends it")
    git.run("clone", "--quiet", "--depth=1", tiny.as_uri(), "../shallow")
    shallow = doctor.check_repository(Git(tiny.parent / "shallow"))
    assert (shallow.verdict, shallow.remedy) == ("warning", "git fetch --unshallow")
    (tiny / ".git/index.lock").touch()
    assert doctor.check_repository(git).verdict == "wrong"
    (tiny / ".git").rename(tiny.parent / ".git")
    found = doctor.check_repository(git)
    assert found.verdict == "wrong"
    assert found.words.startswith(f"{tiny} is a part of the Git repository {tiny.parent}")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_repository_of_another_user_is_trusted_by_the_remedy(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tiny.parent / "gitconfig"))
    for path in (tiny, tiny / ".git"):
        os.chown(path, NOBODY, NOBODY)
    found = doctor.check_repository(Git(tiny))
    assert found.verdict == "wrong"
    run("sh", "-c", found.remedy, cwd=tiny, GIT_CONFIG_GLOBAL=str(tiny.parent / "gitconfig"))
    assert doctor.check_repository(Git(tiny)).verdict == "ok"


def test_libraries_that_differ_are_named(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    for lock in doctor.LOCKS:
        (tmp_path / lock).write_text("pytest==0.0.1\nnobody-made-this==1.0\n")
    found = doctor.check_libraries(tmp_path)
    assert found.verdict == "wrong"
    assert "(locked: 0.0.1), nobody-made-this is missing (locked: 1.0)" in found.words


def test_the_lock_of_a_notebook_counts_where_it_was_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements").mkdir()
    for lock in doctor.LOCKS:
        (tmp_path / lock).touch()
    notebook = tmp_path / doctor.NOTEBOOK
    notebook.write_text("nobody-made-this==1.0\n")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert doctor.check_libraries(tmp_path).verdict == "ok"
    (tmp_path / "installed.json").write_text(json.dumps({"locks": {str(notebook): "a digest"}}))
    found = doctor.check_libraries(tmp_path)
    assert found.words == "not as locked: nobody-made-this is missing (locked: 1.0)"
    notebook.unlink()
    assert doctor.check_libraries(tmp_path).verdict == "ok"


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for libgomp, the OpenMP of Linux")
def test_lightgbm_without_the_library_of_the_system_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own compiled library asks for one that no system has."""
    (tmp_path / "params.yaml").write_text("train: {architecture: lightgbm}\n")
    assert doctor.check_architecture(tmp_path) == Finding("ok", "lightgbm can be loaded")
    compiled = Path(sysconfig.get_path("purelib"), "lightgbm/lib/lib_lightgbm.so")
    broken = tmp_path / "lightgbm/lib/lib_lightgbm.so"
    broken.parent.mkdir(parents=True)
    (tmp_path / "lightgbm/__init__.py").touch()
    broken.write_bytes(compiled.read_bytes().replace(b"libgomp.so.1", b"libgomq.so.1"))
    monkeypatch.delitem(sys.modules, "lightgbm", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = doctor.check_architecture(tmp_path)
    assert found.verdict == "wrong"
    assert "lightgbm can't be loaded: libgomq.so.1: cannot open shared object file" in found.words
    assert "apt-get install libgomp1" in found.remedy
    (tmp_path / "params.yaml").write_text("train: {architecture: gradient_boosting}\n")
    assert doctor.check_architecture(tmp_path) == Finding("ok", "gradient_boosting")
    (tmp_path / "params.yaml").write_text("train: {}\n")
    assert doctor.check_architecture(tmp_path).verdict == "warning"


def test_a_port_is_free_or_taken_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("SERVE_PORT", str(other.getsockname()[1]))
        assert doctor.check_port().verdict == "warning"
    assert doctor.check_port().verdict == "ok"
    monkeypatch.setenv("SERVE_PORT", "eight")
    assert doctor.check_port() == Finding(
        "wrong", "SERVE_PORT is 'eight', which is no port", "unset SERVE_PORT"
    )


@pytest.mark.parametrize(
    ("system", "machine", "libc", "verdict"),
    [
        ("Linux", "aarch64", ("glibc", "2.36"), "ok"),
        ("Linux", "x86_64", ("", ""), "warning"),
        ("Linux", "i686", ("glibc", "2.36"), "warning"),
        ("Windows", "AMD64", ("", ""), "warning"),
    ],
)
def test_a_system_without_wheels_is_told(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, libc: tuple[str, str], verdict: str
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.libc_ver", lambda: libc)
    assert doctor.check_system().verdict == verdict


def test_a_check_that_fails_is_a_finding() -> None:
    found = doctor.finding_of(lambda: Finding("ok", str(1 // 0)))
    assert found.verdict == "wrong"
    assert "ZeroDivisionError" in found.words
