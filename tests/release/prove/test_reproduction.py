"""Tests `mlops reproduce` on the real pipeline with a part of the table: the bytes are the same, whatever has
changed.

The first reproduction installs the locked libraries, and the others use them.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from baking import Run

ROWS = 2000
ARCHITECTURES = ("linear", "gradient_boosting")
SETTINGS = """\
data: {fraction: 1.0}
gate:
  on_failure: stop
  min_rows: 2
  bounds:
    accuracy: {min: 0.6}
  max_drop: {}
  subgroups: {min_rows: 50, bounds: {}, max_drop: {}}
deploy: {max_milliseconds: 1000, max_megabytes: 50, max_memory_megabytes: 500}
serve: {api_key_required: false, max_rows: 1000, max_body_megabytes: 1, max_seconds: 5}
"""
RECORDED = ("OMP_NUM_THREADS=2", "PYTHONHASHSEED=0", "TZ=UTC", "LC_ALL=C.UTF-8")
CHANGED = (
    "OMP_NUM_THREADS=1",
    "OPENBLAS_NUM_THREADS=1",
    "PYTHONHASHSEED=4711",
    "TZ=Pacific/Auckland",
    "LC_ALL=C",
)
OTHER_LIBRARY = """\
import sys
if "mlops.train" in sys.orig_argv:
    from functools import partial
    from onnx import helper
    helper.make_model = partial(helper.make_model, producer_version="0.0")  # it is in the model
"""


@pytest.fixture(scope="module")
def recorded(run: Run, bake: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a branch for each architecture; the last one is dev, promoted to staging as v1.0.0."""
    project = bake(tmp_path_factory.mktemp("reproduction"))
    table = project / "data/raw/adult.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[: ROWS + 1]))
    for name in ("dev", "staging"):
        (project / f"environments/{name}.yaml").write_text(SETTINGS)
    run("dvc", "add", "data/raw", cwd=project)
    for architecture in ARCHITECTURES:
        params = project / "params.yaml"
        chosen = re.sub(r"architecture: \w+", f"architecture: {architecture}", params.read_text())
        params.write_text(chosen)
        run("env", *RECORDED, "mlops", "repro", cwd=project)
        run.git("add", "--all", cwd=project)
        run.git("commit", "--message", architecture, cwd=project)
        run.git("branch", architecture, cwd=project)
    run("env", *RECORDED, "mlops", "promote", "staging", cwd=project)
    return project


@pytest.mark.parametrize("name", ["linear", "v1.0.0"])
def test_other_threads_hash_seed_time_zone_and_directory_give_the_same_bytes(
    run: Run, recorded: Path, name: str
) -> None:
    before = [run.git(*words.split(), cwd=recorded) for words in ("status", "worktree list")]
    command = ("mlops", "reproduce", name, "--format", "json")
    found = json.loads(run("env", *CHANGED, *command, cwd=recorded).stdout)
    assert found["verdict"] == "identical"
    assert found["reason"].startswith(f"all {len(found['files'])} files are, byte for byte")
    assert [
        run.git(*words.split(), cwd=recorded) for words in ("status", "worktree list")
    ] == before


def test_another_library_that_predicts_the_same_is_equivalent(
    run: Run, recorded: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(OTHER_LIBRARY)
    run("dvc", "repro", "--force", cwd=recorded, PYTHONPATH=str(tmp_path))  # `mlops` drops it
    run.git("commit", "--all", "--message", "Made with another library", cwd=recorded)
    done = run("mlops", "reproduce", "dev", cwd=recorded)
    assert "is equivalent: " in done.stdout
    assert re.search(
        r"\(deploy/manifest\.json, deploy/model\.onnx, models/model\.onnx", done.stdout
    )
    assert "test rows, 0 are called another class" in done.stdout
