import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from mlops.contract import profile
from mlops.contract.measure import measure_in_process, peak_memory
from mlops.deploy import deploy
from mlops.errors import SmokeTestFailed
from mlops.evaluate import evaluate
from mlops.gate import gate
from mlops.predict.predictor import Predictor
from mlops.prepare import prepare
from mlops.tables import splits
from mlops.train import train
from small_project import change, contents

STAGES = (prepare, train, evaluate, gate, deploy)
MADE = ("data/prepared", "models", "reports", "deploy")


def manifest() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path("deploy/manifest.json").read_text())
    return content


def refusal() -> str:
    """Returns why the bundle is refused, and checks that the earlier bundle stays and nothing is beside
    it."""
    before = contents("deploy")
    with pytest.raises(SmokeTestFailed) as refused:
        deploy.main()
    assert contents("deploy") == before
    assert not list(Path().glob(".deploy*"))
    return str(refused.value)


def test_a_bundle_over_its_size_is_refused(trained: Path) -> None:
    change("environments/dev.yaml", "deploy.max_megabytes", 0.001)
    assert re.match(r"the bundle is [0-9.]+ MB, allowed is 0.001 \(environments/", refusal())


def test_a_bundle_over_its_time_is_refused(trained: Path) -> None:
    change("environments/dev.yaml", "deploy.max_milliseconds", 0.000001)
    assert re.match(r"one row takes [0-9.]+ ms, allowed is 1e-06 \(environments/", refusal())


def test_a_bundle_over_its_memory_is_refused(trained: Path) -> None:
    change("environments/dev.yaml", "deploy.max_memory_megabytes", 1)
    assert re.match(
        r"a process that answers takes [0-9.]+ MB of memory, allowed is 1.0 \(environments/, "
        r"deploy.max_memory_megabytes\)",
        refusal(),
    )


def test_the_memory_measured_is_that_of_serving_alone(trained: Path) -> None:
    """This process has loaded pandas and scikit-learn, which must not count."""
    assert 20 < measure_in_process(Path("deploy"))["memory_megabytes"] < peak_memory() / 1e6 - 20


def test_a_model_that_cannot_be_loaded_is_refused(trained: Path) -> None:
    Path("models/model.onnx").write_bytes(b"no model")
    assert "the bundle does not answer its own example row" in refusal()


@pytest.mark.parametrize("difference", [0.01, -0.01, math.nan])
def test_a_bundle_that_answers_otherwise_than_was_evaluated_is_refused(
    trained: Path, difference: float
) -> None:
    metrics = json.loads(Path("reports/metrics.json").read_text())
    metrics["test"]["accuracy"] += difference
    Path("reports/metrics.json").write_text(json.dumps(metrics))
    assert "but evaluate measured" in refusal()


def test_the_first_bundle_that_is_refused_leaves_nothing(trained: Path) -> None:
    for file in Path("deploy").iterdir():
        file.unlink()
    Path("deploy").rmdir()
    change("environments/dev.yaml", "deploy.max_megabytes", 0.001)
    with pytest.raises(SmokeTestFailed):
        deploy.main()
    assert not list(Path().glob("*deploy*"))


def test_the_manifest_names_the_bytes_beside_it_and_what_made_them(trained: Path) -> None:
    content = manifest()
    bundle = contents("deploy")
    assert content["files"] == {
        name: hashlib.md5(bundle[name], usedforsecurity=False).hexdigest()
        for name in ("model.onnx", "schema.json", "reference.json")
    }
    assert content["prepare"] == json.loads(Path("data/prepared/provenance.json").read_text())
    assert content["train"] == json.loads(Path("models/provenance.json").read_text())
    assert content["deploy"]["made_from"]["models/model.onnx"] == content["files"]["model.onnx"]


def test_the_bundle_holds_no_pickle_and_nothing_of_the_moment(trained: Path) -> None:
    assert set(contents("deploy")) == {
        "model.onnx",
        "schema.json",
        "reference.json",
        "manifest.json",
    }
    assert manifest().keys() == {"files", "prepare", "train", "deploy"}
    assert manifest()["deploy"].keys() == {"made_from"}
    text = Path("deploy/manifest.json").read_text()
    assert not re.search(r"\d{4}-\d{2}-\d{2}|commit|branch|milliseconds|environments/", text)


def test_the_reference_profile_counts_every_row_of_the_training_and_of_the_test(
    trained: Path,
) -> None:
    reference = profile.read_reference(Path("deploy"))
    predictor = Predictor(Path("deploy"))
    training, test = (splits.read_split(name, predictor.schema) for name in ("train", "test"))
    assert [*reference.columns] == [column.name for column in predictor.schema.columns]
    assert {sum(bins.rows) for bins in reference.columns.values()} == {len(training)}
    assert sum(reference.answers.rows) == len(test)


def test_staging_and_prod_deploy_the_same_bytes(trained: Path) -> None:
    bundles = []
    for environment, least in (("staging", 0.1), ("prod", 0.2)):
        change("branch.yaml", "environment", environment)
        change(f"environments/{environment}.yaml", "gate.bounds.accuracy.min", least)
        for stage in STAGES:
            stage.main()
        bundles.append(contents("deploy"))
    assert bundles[0] == bundles[1]
