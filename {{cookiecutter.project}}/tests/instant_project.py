"""A project whose five stages take no time, for the tests of releases: its model is a number."""

import os
import shutil
import sys
from pathlib import Path

import pytest
import tiny_pipeline
from tiny_pipeline import commit

from release import environments, promotion, repro
from release.errors import Refused
from release.git import Git
from release.records import Record

PIPELINE = """\
vars: [environment.yaml]
stages:
  prepare:
    cmd: mkdir -p data/prepared && for split in train test; do cp data/raw data/prepared/$split.parquet; done
    deps: [data/raw]
    params:
      - environments/${environment}.yaml: [data]
    outs: [data/prepared/train.parquet, data/prepared/test.parquet]
  train:
    cmd: mkdir -p models && grep quality params.yaml > models/model.onnx && cp schema.json models
    deps: [data/prepared/train.parquet, schema.json]
    params: [quality]
    outs: [models/model.onnx, models/schema.json]
  gate:
    cmd: python gate.py
    deps: [models/model.onnx, gate.py]
    params:
      - environments/${environment}.yaml: [gate]
    metrics:
      - reports/metrics.json: {cache: false}
      - reports/gate.json: {cache: false}
  deploy:
    cmd: mkdir -p deploy && cp models/* deploy && cp serving/measure.py deploy/manifest.json
    deps: [models/model.onnx, models/schema.json, serving/measure.py]
    outs: [deploy]
artifacts:
  model: {path: deploy, type: model}
"""

GATE = """\
import json, pathlib, sys
quality = float(pathlib.Path("models/model.onnx").read_text().split()[-1])
name = pathlib.Path("environment.yaml").read_text().split()[-1]
bound = float(pathlib.Path(f"environments/{name}.yaml").read_text().split("gate: ")[1].split()[0])
if quality < bound:
    sys.exit(f"GateFailed: quality is {quality} and must be at least {bound}")
metrics = {"test": {"accuracy": quality, "false_positive_percent": 100 * (1 - quality)}}
gate = {"passed": True, "accuracy": {"value": quality, "min": bound, "passed": True}}
pathlib.Path("reports").mkdir(exist_ok=True)
pathlib.Path("reports/metrics.json").write_text(json.dumps(metrics))
pathlib.Path("reports/gate.json").write_text(json.dumps(gate))
"""

MEASURE = 'print(\'{"milliseconds": 0.1, "megabytes": 0.1, "memory_megabytes": 60.0}\')\n'

RESCORE = """\
import pathlib, sys
bundle, train, test, scores = map(pathlib.Path, sys.argv[1:])
if "seen" in test.read_text():
    sys.exit("Incomparable: the champion was trained on 1 of the 1 test rows")
scores.write_text((bundle / "model.onnx").read_text())
"""

COMPARE = """\
import json, pathlib, sys
was, now = (float(pathlib.Path(f).read_text().split()[-1]) for f in (sys.argv[1], "deploy/model.onnx"))
drop = {"champion": was, "challenger": now, "advantage": now - was, "interval": [0, 1],
        "max_drop": 0.05, "passed": was - now <= 0.05}
print(json.dumps({"passed": drop["passed"], "stops": True, "rows": 1, "metrics": {"accuracy": drop}}))
"""

SCHEMA = '{"target": "y", "classes": ["no", "yes"], "columns": [{"name": "x", "type": "number"}]}'

FILES = {
    ".dvc/config": tiny_pipeline.FILES[".dvc/config"],
    ".dvc/.gitignore": tiny_pipeline.FILES[".dvc/.gitignore"],
    ".gitignore": "/deploy\n/storage\n__pycache__/\n",
    "data/.gitignore": "/raw\n/prepared\n",
    "models/.gitignore": "/model.onnx\n/schema.json\n",
    "reports/.gitkeep": "",
    "dvc.yaml": PIPELINE,
    "params.yaml": "quality: 0.9\n",
    "environment.yaml": "environment: dev\n",
    "schema.json": SCHEMA,
    "gate.py": GATE,
    "data/raw": "a row\n",
    "data/raw.dvc": "outs:\n- md5: 95747d7119421fe2b095c2077fe10550\n  hash: md5\n  path: raw\n",
    "requirements/serve.txt": "numpy\n",
    "serving/measure.py": MEASURE,
    "pipeline/rescore.py": RESCORE,
    "pipeline/compare.py": COMPARE,
    **{
        f"environments/{name}.yaml": f"data: {share}\ngate: {bound}\n"
        for name, share, bound in (("dev", 0.3, 0.1), ("staging", 1, 0.7), ("prod", 1, 0.8))
    },
}


def make(folder: Path) -> Path:
    """Reproduced and committed on dev; staging and prod differ in the environment's name alone."""
    tiny_pipeline.make(folder, FILES)
    chain(folder, "The project")
    reproduce(folder, "Reproduce")
    return folder


def chain(folder: Path, message: str) -> None:
    """Commit on dev, and chain staging and prod to it; they differ in the environment's name."""
    git = Git(folder)
    git.run("add", "--all")
    git.run("commit", "--quiet", "--allow-empty", "--message", message)
    for environment in environments.CHAIN[1:]:
        git.run("switch", "--quiet", "--create", environment)
        name_environment(folder, environment)
        commit(folder, f"This is {environment}")
    git.run("switch", "--quiet", "dev")


def name_environment(folder: Path, environment: str) -> None:
    (folder / environments.FILE).write_text(f"environment: {environment}\n")


def reproduce(folder: Path, message: str) -> str:
    """Run what is not up to date and commit it; the commit."""
    repro.repro(folder)
    commit(folder, message)
    return Git(folder).run("rev-parse", "HEAD")


def set_quality(folder: Path, quality: float) -> str:
    (folder / "params.yaml").write_text(f"quality: {quality}\n")
    tiny_pipeline.age(folder / "params.yaml")
    return reproduce(folder, f"Quality {quality}")


def promote(
    folder: Path, *chain: str, accepted: str | None = None, again: bool = False
) -> Record | None:
    """The record of the last promotion."""
    record = None
    for name in chain:
        record = promotion.promote(
            Git(folder), name, lambda line: None, accepted=accepted, again=again
        )
    return record


def copied(project: Path, folder: Path) -> Path:
    """A private copy of a project and of the storage beside it."""
    shutil.copytree(project.parent, folder, symlinks=True)
    return folder / project.name


def speak_as_tester(monkeypatch: pytest.MonkeyPatch) -> None:
    """Git's identity, and this Python first on PATH, in this process and those it starts."""
    for name, value in tiny_pipeline.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def state(project: Path) -> list[str]:
    git = Git(project)
    return [git.run("for-each-ref"), git.run("status", "--porcelain"), git.run("worktree", "list")]


def refused(project: Path, target: str, words: str, error: type[Exception] = Refused) -> None:
    """The promotion is refused with these words, and nothing has changed."""
    before = state(project)
    with pytest.raises(error, match=words):
        promote(project, target)
    assert state(project) == before


@pytest.fixture(scope="session")
def reproduced_on_dev(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as monkeypatch:
        speak_as_tester(monkeypatch)
        return make(tmp_path_factory.mktemp("reproduced") / "project")


@pytest.fixture(scope="session")
def promoted_to_staging(reproduced_on_dev: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as monkeypatch:
        speak_as_tester(monkeypatch)
        project = copied(reproduced_on_dev, tmp_path_factory.mktemp("promoted") / "copy")
        promote(project, "staging")
        return project


@pytest.fixture(scope="session")
def promoted_to_prod(promoted_to_staging: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as monkeypatch:
        speak_as_tester(monkeypatch)
        project = copied(promoted_to_staging, tmp_path_factory.mktemp("prod") / "copy")
        promote(project, "prod")
        return project


@pytest.fixture
def on_dev(reproduced_on_dev: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the test's own, whose model nobody has promoted yet."""
    speak_as_tester(monkeypatch)
    return copied(reproduced_on_dev, tmp_path / "copy")


@pytest.fixture
def in_staging(promoted_to_staging: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the test's own, whose model is in staging."""
    speak_as_tester(monkeypatch)
    return copied(promoted_to_staging, tmp_path / "copy")


@pytest.fixture
def in_prod(promoted_to_prod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the test's own, whose v1.0.0 is in prod; nothing says what is installed here."""
    speak_as_tester(monkeypatch)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "no stamp"))
    return copied(promoted_to_prod, tmp_path / "copy")
