"""Tests the verdicts on a tiny model that is made again; LIBRARY and SHIFT stand for what may have changed
since."""

import subprocess
import sys
from pathlib import Path

import pytest

import tiny_pipeline
from machinery import MLOPS
from mlops.errors import Away, MlopsError
from mlops.release.errors import StageFailed
from mlops.release.history.git import Git
from mlops.release.prove import reproduction
from mlops.release.prove.reproduction import Reproduction
from tiny_pipeline import ENVIRONMENT, commit, git, reproduced

PIPELINE = """\
stages:
  prepare:
    cmd: mkdir data/prepared && cp data/raw.txt data/prepared/train.parquet &&
      cp data/raw.txt data/prepared/test.parquet
    deps: [data/raw.txt]
    outs: [data/prepared/train.parquet, data/prepared/test.parquet]
  train:
    cmd: sh train.sh
    deps: [data/prepared/train.parquet, train.sh]
    outs: [deploy]
  gate:
    cmd: cat deploy/* > reports/metrics.yaml
    deps: [deploy]
    metrics:
      - reports/metrics.yaml: {cache: false}
"""
TRAIN = """\
mkdir deploy
echo "written by library ${LIBRARY-1}" > deploy/model.txt
echo "${SHIFT-0.25}" > deploy/probability.txt
"""
INSTALL = """\
import sys, sysconfig, venv
from pathlib import Path
folder = sys.argv[2]
venv.create(folder)
[packages] = Path(folder).glob("lib/python*/site-packages")
(packages / "these.pth").write_text(sysconfig.get_path("purelib"))
print("installed")
"""
RESCORE = """\
import sys
from pathlib import Path
import numpy as np
bundle, train, test, scores = map(Path, sys.argv[1:])
probability = np.array([float((bundle / "probability.txt").read_text())] * 3)
answers = np.where(probability > 0.5, "yes", "no")
probabilities = np.column_stack([1 - probability, probability])
seen = np.zeros(len(answers), bool)
named = {"classes": ["no", "yes"], "answers": answers, "probabilities": probabilities}
np.savez(scores, **named, scale=[0, 1], seen=seen)
"""
UNUSED = ("params.yaml", "branch.yaml", "models/.gitignore")
FILES = {
    **{name: text for name, text in tiny_pipeline.FILES.items() if name not in UNUSED},
    "dvc.yaml": PIPELINE,
    "train.sh": TRAIN,
    "install.py": INSTALL,
    "requirements/all.txt": "",
    "mlops/__init__.py": "",
    "mlops/compare/answer_rows.py": RESCORE,
    "data/.gitignore": "/raw.txt\n/prepared\n",
    ".gitignore": "__pycache__/\n/deploy\n",
}


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = reproduced(tmp_path_factory.mktemp("reproduction") / "project", FILES)
    git(project, "tag", "pushed")
    return project


@pytest.fixture
def project(pushed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project as it was pushed; libraries that one test installs stay for the next."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    git(pushed, "reset", "--quiet", "--hard", "pushed")
    return pushed


def reproduce(project: Path) -> Reproduction:
    return reproduction.reproduce_commit(Git(project), "dev", lambda line: None)


def differing(found: Reproduction) -> list[str]:
    return [file.path for file in found.files if not file.same]


def state(project: Path) -> tuple[str, ...]:
    """Returns refs, index, working trees, settings, and the path of every file except for those of Git and
    temporary ones."""
    found = (path.relative_to(project) for path in sorted(project.rglob("*")))
    files = [str(path) for path in found if path.parts[0] != ".git" and "tmp" not in path.parts]
    commands = (["for-each-ref"], ["status", "--porcelain"], ["worktree", "list"], ["config", "-l"])
    return (*(git(project, *command) for command in commands), *files)


def test_every_file_is_made_again_in_a_clone_and_nothing_is_left(project: Path) -> None:
    git(project.parent, "clone", "--quiet", "project", "clone")
    clone, said = project.parent / "clone", list[str]()
    (clone / "data/raw.txt").write_text("work of the user\n")
    before = state(clone)
    found = reproduction.reproduce_commit(Git(clone), "origin/dev", said.append)
    assert found.verdict == "identical"
    assert [file.path for file in found.files] == [
        "data/prepared/test.parquet",
        "data/prepared/train.parquet",
        "deploy/model.txt",
        "deploy/probability.txt",
        "reports/metrics.yaml",
    ]
    stages = [line.split()[1] for line in said if line.startswith("running") and "..." in line]
    assert stages == ["prepare", "train", "gate"]
    assert state(clone) == before
    assert list((clone / ".dvc/tmp/trees").iterdir()) == []


def test_another_library_that_predicts_the_same_is_equivalent(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIBRARY", "2")
    found = reproduce(project)
    assert found.verdict == "equivalent"
    assert differing(found) == ["deploy/model.txt", "reports/metrics.yaml"]
    assert "of the 3 test rows, 0 are called another class" in found.reason


def test_other_predictions_are_different_and_the_command_says_so_by_its_code(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MLOPS, "reproduce", "dev"],
        cwd=project,
        env={**ENVIRONMENT, "SHIFT": "0.75"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "is different: 2 of 5 files differ (deploy/probability.txt, reports/" in done.stderr
    assert "3 are called another class, and probabilities are up to 0.5 apart" in done.stderr


def test_an_edited_record_is_different_though_the_predictions_agree(project: Path) -> None:
    lock = (project / "dvc.lock").read_text()
    [old] = {
        line for line in lock.splitlines() if line.startswith("      md5: ") and ".dir" in line
    }
    new = "      md5: 00000000000000000000000000000000.dir"
    (project / "dvc.lock").write_text(lock.replace(old, new))
    commit(project, "Edit the record")
    found = reproduce(project)
    assert found.verdict == "different"
    assert differing(found) == ["deploy"]
    assert "no run attests the record of train" in found.reason


def test_a_stage_that_fails_is_told_in_its_words(project: Path) -> None:
    (project / "train.sh").write_text("echo no such column >&2; exit 7\n")
    commit(project, "Break it")
    before = state(project)
    with pytest.raises(StageFailed, match=r"(?s)no such column.*'train'"):
        reproduce(project)
    assert state(project) == before


def test_data_that_are_nowhere_are_named_with_the_cure(project: Path) -> None:
    (project / "data/raw.txt.dvc").write_text("outs:\n- path: raw.txt\n  md5: " + 32 * "f" + "\n")
    commit(project, "Name data that nobody has")
    with pytest.raises(MlopsError, match=r"data/raw\.txt \(\w+ by A\. Tester\).*`mlops push`"):
        reproduce(project)


def test_a_storage_out_of_reach_is_told_before_the_libraries_are_installed(project: Path) -> None:
    (project / "data/raw.txt.dvc").write_text("outs:\n- path: raw.txt\n  md5: " + 32 * "f" + "\n")
    (project / "requirements/all.txt").write_text("nosuch==1\n")
    (project / "install.py").write_text("raise SystemExit('this took minutes')\n")
    commit(project, "Name data that are elsewhere")
    storage = project.parent / "storage"
    storage.rename(project.parent / "unmounted")
    try:
        with pytest.raises(Away, match=r"is the directory .*storage, which does not exist here"):
            reproduce(project)
    finally:
        (project.parent / "unmounted").rename(storage)


def test_libraries_that_cannot_be_installed_are_told(project: Path) -> None:
    (project / "requirements/all.txt").write_text("nosuch==1\n")
    (project / "install.py").write_text("raise SystemExit('no index in reach')\n")
    commit(project, "Need what there is not")
    with pytest.raises(MlopsError, match=r"(?s)can't be installed.*no index in reach.*again"):
        reproduce(project)


def test_a_commit_without_runs_or_locks_is_told(project: Path) -> None:
    with pytest.raises(MlopsError, match=r"dev~1 has no dvc\.lock"):
        reproduction.reproduce_commit(Git(project), "dev~1", lambda line: None)
    git(project, "rm", "--quiet", "install.py")
    commit(project, "Forget how to install")
    with pytest.raises(MlopsError, match=r"no install\.py"):
        reproduce(project)
