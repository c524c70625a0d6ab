import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import tiny_pipeline
from mlops.errors import MlopsError
from mlops.release.data import attestation, dvc
from tiny_pipeline import git, reproduced

STAGES = """\
  tune:
    cmd: cp models/model.txt models/tuned.txt
    deps: [models/model.txt]
    params:
      - steps.yaml:
    outs: [models/tuned.txt]
  sweep:
    matrix: {size: [1, 2]}
    cmd: echo ${item.size} > models/sweep-${item.size}.txt
    deps: [models/model.txt]
    outs:
      - models/sweep-${item.size}.txt
  always:
    cmd: cp models/model.txt models/always.txt
    always_changed: true
    deps: [models/model.txt]
    outs: [models/always.txt]
  uncached:
    cmd: cp models/model.txt models/uncached.txt
    deps: [models/model.txt]
    outs:
      - models/uncached.txt: {cache: false}
  growing:
    cmd: cat models/model.txt >> models/growing.txt
    deps: [models/model.txt]
    outs:
      - models/growing.txt: {persist: true}
  source:
    cmd: echo 1 > models/source.txt
    outs: [models/source.txt]
"""
STEPS = "{rate: 1e-5, size: 3, nfiles: 1.0, on: yes, names: [a, null]}\n"
FILES = {
    **tiny_pipeline.FILES,
    "dvc.yaml": tiny_pipeline.PIPELINE + STAGES,
    "steps.yaml": STEPS,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reproduced(tmp_path_factory.mktemp("attestation") / "project", FILES)


@pytest.fixture
def restored(project: Path) -> Iterator[Path]:
    """The project for a test that changes dvc.lock, which is as committed again afterwards."""
    yield project
    git(project, "checkout", "--quiet", "HEAD", "--", "dvc.lock")


def unattested(project: Path, lock: bytes) -> list[str]:
    pipeline = (project / "dvc.yaml").read_bytes()
    return attestation.entries_without_run(lock, pipeline, project / ".dvc/cache/runs")


def reproduce(project: Path, *stages: str) -> None:
    with dvc.open_repo(project) as repo:
        repo.reproduce(list(stages))


def lock_of(project: Path) -> bytes:
    return (project / "dvc.lock").read_bytes()


def test_every_run_is_attested_and_stages_without_records_are_not_judged(project: Path) -> None:
    assert b"growing" in lock_of(project)
    assert unattested(project, lock_of(project)) == []


@pytest.mark.parametrize(
    ("true", "false", "stages"),
    [
        (b"weight: 1\n", b"weight: 2\n", ["train"]),
        (b"rate: 1e-05", b"rate: 1e-06", ["tune"]),
        (b"cmd: sh train.sh", b"cmd: sh other.sh", ["train"]),
        (b"label: dev", b"label: prod", ["deploy"]),
        (b"cmd: echo 2", b"cmd: echo 3", ["sweep@2"]),
        (b"cmd: cp models/model.txt models/always.txt", b"cmd: echo", []),
    ],
)
def test_a_changed_entry_is_named(
    project: Path, true: bytes, false: bytes, stages: list[str]
) -> None:
    assert true in lock_of(project)
    assert unattested(project, lock_of(project).replace(true, false)) == stages


def test_an_output_that_no_run_gave_is_named(project: Path) -> None:
    lock = re.sub(rb"(path: deploy.txt\n.*\n *md5: )\w+", rb"\g<1>" + b"f" * 32, lock_of(project))
    assert unattested(project, lock) == ["deploy"]


def test_a_lock_is_read_from_any_revision(project: Path) -> None:
    lock = subprocess.check_output(["git", "cat-file", "blob", "dev:dvc.lock"], cwd=project)
    assert unattested(project, lock.replace(b"weight: 1\n", b"weight: 2\n")) == ["train"]


@pytest.mark.parametrize("lock", [b"", b"schema: '2.0'\n"])
def test_a_lock_without_entries_has_nothing_to_attest(project: Path, lock: bytes) -> None:
    assert unattested(project, lock) == []


@pytest.mark.parametrize(
    "lock",
    [
        b"<<<<<<< HEAD\nschema: '2.0'\n",
        b"\x96\xff",
        b"schema: '3.0'\n",
        b"schema: '2.0'\nstages:\n  train: 3\n",
        b"schema: '2.0'\nstages:\n  train: {cmd: x, deps: [a], outs: [b]}\n",
        b"- train\n",
    ],
)
def test_what_is_no_lock_is_an_error_with_its_cure(project: Path, lock: bytes) -> None:
    with pytest.raises(MlopsError, match=r"`git checkout HEAD -- dvc\.lock`"):
        unattested(project, lock)


def test_a_dropped_stage_comes_back_from_the_run_cache(restored: Path) -> None:
    entries = set(lock_of(restored).split(b"\n  "))
    attestation.drop_entries(restored / "dvc.lock", ["train", "sweep@1"])
    assert b"  train:" not in lock_of(restored)
    assert unattested(restored, lock_of(restored)) == []
    reproduce(restored, "train", "sweep@1")
    assert {entry.strip() for entry in lock_of(restored).split(b"\n  ")} == {
        entry.strip() for entry in entries
    }


def test_a_lock_whose_every_entry_was_dropped_is_one_that_dvc_fills_as_its_own(
    restored: Path,
) -> None:
    stages = re.findall(r"^  (\S+):$", lock_of(restored).decode(), re.MULTILINE)
    attestation.drop_entries(restored / "dvc.lock", stages)
    assert lock_of(restored) == b"schema: '2.0'\n"
    reproduce(restored, "evaluate")
    assert lock_of(restored).startswith(b"schema: '2.0'\nstages:\n  train:\n    cmd: sh train.sh\n")
