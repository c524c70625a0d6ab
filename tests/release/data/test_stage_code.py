"""Tests that the code that a stage imports must be among its `deps` and in Git, which is checked before
anything runs."""

from pathlib import Path

import pytest

import tiny_pipeline
from mlops.errors import Refused
from mlops.release.data import dvc, repro, stage_code
from mlops.release.prove import check
from tiny_pipeline import commit, git

PIPELINE = """\
stages:
  train:
    cmd: {cmd}
    deps: [{deps}]
    outs: [model.txt]
"""
FILES = {
    **{
        name: tiny_pipeline.FILES[name]
        for name in (".dvc/config", ".dvc/.gitignore", "branch.yaml")
    },
    ".dvcignore": "__pycache__/\n*.swp\n",
    ".gitignore": "/model.txt\n__pycache__/\n",
    "science/__init__.py": '"""Hers."""\n',
    "science/features.py": "from science.money import euros\n",
    "science/money.py": "import pathlib, json\nfrom . import rates\n\n\ndef euros(): ...\n",
    "science/rates.py": "RATE = 1.1\n",
    "science/unused.py": "",
    "train/__init__.py": "",
    "train/__main__.py": "import science.features\nopen('model.txt', 'w').write('1')\n",
    "script.py": "import train.__main__\n",
}
ALL = "train, science"


def make(folder: Path, deps: str, cmd: str = "python -m train", **files: str) -> Path:
    pipeline = PIPELINE.format(cmd=cmd, deps=deps)
    return tiny_pipeline.make(folder / "project", {**FILES, "dvc.yaml": pipeline, **files})


def findings(project: Path) -> list[str]:
    with dvc.open_repo(project) as repo:
        return list(stage_code.code_findings(repo))


def unlisted(project: Path) -> list[str]:
    return [finding.split()[2].strip(",") for finding in findings(project)]


@pytest.mark.parametrize(
    ("deps", "missing"),
    [
        ("train", ["science/features.py", "science/money.py", "science/rates.py"]),
        ("train, science/features.py", ["science/money.py", "science/rates.py"]),
        ("train, science/features.py, science/money.py", ["science/rates.py"]),
        ("train/__main__.py, science", []),
        (ALL, []),
    ],
)
def test_what_is_imported_and_not_listed_is_named(
    tmp_path: Path, deps: str, missing: list[str]
) -> None:
    assert unlisted(make(tmp_path, deps)) == missing


@pytest.mark.parametrize(
    "cmd",
    [
        "python script.py",
        "python3 -u script.py --fast",
        "A=1 .venv/bin/python -X dev script.py > log.txt",
        "mkdir -p out && python script.py",
        "[echo begin, python script.py]",
    ],
)
def test_a_script_is_judged_as_a_module_is(tmp_path: Path, cmd: str) -> None:
    project = make(tmp_path, "script.py, train", cmd)
    assert unlisted(project) == ["science/features.py", "science/money.py", "science/rates.py"]


@pytest.mark.parametrize(
    "cmd", ["sh train.sh", "Rscript x.R", "echo 'unclosed", "python -c 'pass'"]
)
def test_any_other_command_is_left_alone(tmp_path: Path, cmd: str) -> None:
    assert findings(make(tmp_path, "train", f'"{cmd}"')) == []


def test_a_module_named_in_a_string_is_an_import(tmp_path: Path) -> None:
    loads = "import importlib\nimportlib.import_module('science.rates')\n"
    assert unlisted(make(tmp_path, "train", **{"train/__main__.py": loads})) == ["science/rates.py"]


def test_repro_and_check_refuse_before_anything_runs(tmp_path: Path) -> None:
    project = make(tmp_path, "train, science/features.py, science/money.py")
    said = r"train runs science/rates\.py, which its `deps` in dvc\.yaml do not list: add it there"
    with pytest.raises(Refused, match=said):
        repro.run_repro(project)
    assert not (project / "model.txt").exists()
    with pytest.raises(Refused, match=said):
        check.check_tree(project)


def test_code_that_is_no_python_is_named_with_its_line(tmp_path: Path) -> None:
    project = make(tmp_path, ALL, **{"science/rates.py": "RATE = 1.1\nRATE = = 2\n"})
    (finding,) = findings(project)
    assert finding.startswith(
        "train: science/rates.py, line 2 is not valid Python (invalid syntax)"
    )


def test_a_file_that_git_does_not_track_is_named_and_noise_is_not(tmp_path: Path) -> None:
    project = make(tmp_path, ALL)
    for stray in ("science/new.py", "science/.features.py.swp", "science/__pycache__/a.pyc"):
        (project / stray).parent.mkdir(exist_ok=True)
        (project / stray).write_text("")
    (project / "notes.txt").write_text("in no stage's code")
    (finding,) = findings(project)
    assert finding.startswith(
        "science/new.py is code of the stage train, and Git does not track it"
    )
    git(project, "add", "science/new.py")
    assert findings(project) == []


def test_a_sound_project_runs(tmp_path: Path) -> None:
    project = make(tmp_path, ALL)
    repro.run_repro(project)
    commit(project, "Run")
    assert check.check_tree(project).startswith("all well in dev")
