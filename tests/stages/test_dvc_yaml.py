"""Tests that dvc.yaml lists everything that affects the outputs of a stage, so that DVC runs it after each
change."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from machinery import PROJECT
from mlops.release.data import dvc
from mlops.release.data.stage_code import Code
from tiny_pipeline import git

ENVIRONMENT_FILE = "environments/${environment}.yaml"
STAGES: dict[str, Any] = YAML(typ="safe", pure=True).load(PROJECT / "dvc.yaml")["stages"]
PARAMS: dict[str, Any] = YAML(typ="safe", pure=True).load(PROJECT / "params.yaml")


def code(stage: str) -> list[str]:
    return [path for path in STAGES[stage]["deps"] if path.split("/")[0] in ("mlops", "science")]


def run_by(stage: str) -> set[str]:
    files = (PROJECT / "mlops" / stage).glob("*.py")
    return {file.relative_to(PROJECT).as_posix() for file in Code(PROJECT).closure(files)}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_that_it_runs(stage: str) -> None:
    folders = tuple(path if path.endswith(".py") else f"{path}/" for path in code(stage))
    assert [file for file in run_by(stage) if not file.startswith(folders)] == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_code_of_which_it_runs_nothing(stage: str) -> None:
    assert [
        path for path in code(stage) if not any(f.startswith(path) for f in run_by(stage))
    ] == []


def test_a_stray_file_in_a_folder_of_code_is_none_of_its_code(untrained: Path) -> None:
    (untrained / "mlops").unlink()
    shutil.copytree(
        PROJECT / "mlops", untrained / "mlops", ignore=shutil.ignore_patterns("__pycache__")
    )
    with dvc.open_repo(made_a_repository(untrained)) as repo:
        (gate,) = repo.stage.collect("gate")
        (folder,) = (dep for dep in gate.deps if str(dep) == "mlops/gate")
        before = folder.get_hash()
        for name in (".DS_Store", "__main__.py.orig", ".__main__.py.swp", "__pycache__/a.pyc"):
            file = untrained / "mlops/gate" / name
            file.parent.mkdir(exist_ok=True)
            file.write_text("stray")
        assert folder.get_hash() == before
        (untrained / "mlops/gate/more.py").write_text("")
        assert folder.get_hash() != before


def made_a_repository(folder: Path) -> Path:
    git(folder, "init", "--quiet")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")
    return folder


@pytest.mark.parametrize("stage", STAGES)
def test_a_dependency_is_there_or_made_by_another_stage(stage: str) -> None:
    made = {out for each in STAGES.values() for out in outputs(each)}
    for path in STAGES[stage]["deps"]:
        assert path in made or any(
            (PROJECT / f"{path}{suffix}").exists() for suffix in ("", ".dvc")
        )


def outputs(stage: dict[str, Any]) -> Iterator[str]:
    for kind in ("outs", "metrics", "plots"):
        for out in stage.get(kind, []):
            yield from [out] if isinstance(out, str) else out


@pytest.mark.parametrize("stage", STAGES)
def test_a_command_runs_the_module_of_the_stage_and_names_no_environment(stage: str) -> None:
    command = STAGES[stage]["cmd"]
    lines = [command] if isinstance(command, str) else command
    assert lines[-1] == f"python -m mlops.{stage}"
    assert "environment" not in " ".join(lines)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reads_its_own_block_of_params(stage: str) -> None:
    blocks = [entry for entry in STAGES[stage].get("params", []) if isinstance(entry, str)]
    assert blocks == [block for block in PARAMS if block == stage]


def test_every_block_of_params_belongs_to_a_stage_or_is_for_people() -> None:
    assert PARAMS.keys() <= {*STAGES, "about"}


def test_only_data_gate_and_deployment_differ_by_environment() -> None:
    read = {
        stage: entry[ENVIRONMENT_FILE]
        for stage, content in STAGES.items()
        for entry in content.get("params", [])
        if isinstance(entry, dict)
    }
    assert read == {"prepare": ["data"], "gate": ["gate"], "deploy": ["deploy"]}


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_an_environment_has_the_blocks_of_the_stages_and_of_the_service(name: str) -> None:
    file = Path(PROJECT, ENVIRONMENT_FILE.replace("${environment}", name))
    assert list(YAML(typ="safe", pure=True).load(file)) == ["data", "gate", "deploy", "serve"]
