"""Tests that a fault of dvc.yaml is a sentence with its file, its line, its key and the cure."""

from pathlib import Path

import pytest

import tiny_pipeline
from mlops.errors import MlopsError
from mlops.release.data import dvc


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pipeline.make(tmp_path_factory.mktemp("faults") / "project")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    params: [w", "\tparams: [w", "dvc.yaml is not valid YAML: line 6: found character '\\t' that"),
        ("params: [w", "deps: [w", 'line 6: found duplicate key "deps": leave one of them'),
        ("cmd: sh", "cmd:sh", "line 5: mapping values are not allowed"),
        ("sh train", "'sh train", "line 4: found unexpected end of stream: close the quote that is"),
        ("deps: [data", "dep: [data", "line 5: stages.train.dep: unknown key; did you mean 'deps'?"),
        ("deps: [data/raw.txt, train.sh]", "deps: 5", "line 5: stages.train.deps: expected a list: correct"),
        ("    cmd: sh train.sh\n", "", "dvc.yaml, line 3: stages.train.cmd: missing; add it"),
        ("stages:", "stage:", "dvc.yaml, line 2: stage: unknown key; did you mean 'stages'?"),
        ("sh train.sh", "sh \udcff", "dvc.yaml is not UTF-8: save the file in this encoding"),
    ],
)  # fmt: skip
def test_a_fault_of_the_pipeline_is_named_with_its_line_and_the_cure(
    project: Path, old: str, new: str, message: str
) -> None:
    text = tiny_pipeline.PIPELINE.replace(old, new, 1)
    (project / "dvc.yaml").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(MlopsError) as refused, dvc.open_repo(project) as repo:
        assert repo.index.stages
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
