"""The stage deploy writes the bundle: model, input schema, reference profile and manifest.

It reads models, data/prepared and reports/metrics.json, and writes deploy. The bundle has the same bytes
after every run, because it holds no time, commit or latency. It is written to a temporary folder, must pass a
smoke test there, and is then moved to deploy.
"""

import json
import math
import shutil
import tempfile
from pathlib import Path

from mlops import provenance
from mlops.contract import profile
from mlops.contract.contract import Contract
from mlops.contract.measure import bundle_megabytes, measure_in_process
from mlops.contract.profile import REFERENCE
from mlops.errors import SmokeTestFailed, say
from mlops.params import DeploySettings, load_configuration
from mlops.predict.errors import AnswerError
from mlops.predict.predictor import MODEL, SCHEMA, Predictor
from mlops.predict.release import md5_of_file
from mlops.predict.schema import Schema
from mlops.predict.task import Predictions, class_positions
from mlops.tables import splits
from mlops.tables.answered import answer_split
from mlops.tables.splits import Split

MODELS = Path("models")
BUNDLE = Path("deploy")
METRICS = Path("reports/metrics.json")

COSTS = {
    "milliseconds": "one row takes {} ms",
    "megabytes": "the bundle is {} MB",
    "memory_megabytes": "a process that answers takes {} MB of memory",
}


def main() -> None:
    settings = load_configuration().environment.deploy
    with tempfile.TemporaryDirectory(dir=".", prefix=".deploy-") as folder:
        bundle = Path(folder, BUNDLE)
        copy_model(bundle)
        predictor = answering_predictor(bundle)
        test, predictions = answer_split("test", predictor)
        refuse_other_than_evaluated(test, predictions, predictor.schema)
        add_reference(bundle, predictions, predictor.schema)
        write_manifest(bundle)
        refuse_costly(bundle, settings)
        shutil.rmtree(BUNDLE, ignore_errors=True)
        bundle.rename(BUNDLE)
    say(f"deploy: {BUNDLE}/ answers; {bundle_megabytes(BUNDLE)} MB")


def copy_model(bundle: Path) -> None:
    bundle.mkdir()
    for name in (MODEL, SCHEMA):
        shutil.copy(MODELS / name, bundle / name)


def answering_predictor(bundle: Path) -> Predictor:
    """Returns the predictor of the bundle. Raises SmokeTestFailed if it does not answer its example row."""
    try:
        predictor = Predictor(bundle)
        predictor.predict(Contract(predictor.schema).columns([predictor.schema.example()]))
    except AnswerError as error:
        raise SmokeTestFailed(f"the bundle does not answer its own example row: {error}") from error
    return predictor


def add_reference(bundle: Path, predictions: Predictions, schema: Schema) -> None:
    """Writes the profile of the training rows, which are read a column at a time, and of the predictions for
    the test rows."""
    training = (splits.read_column("train", column.name) for column in schema.columns)
    profile.write_reference(profile.reference_of(training, predictions, schema), bundle)


def write_manifest(bundle: Path) -> None:
    manifest = {
        "files": {name: md5_of_file(bundle / name) for name in (MODEL, SCHEMA, REFERENCE)},
        "prepare": provenance.read_provenance(splits.PROVENANCE),
        "train": provenance.read_provenance(MODELS / "provenance.json"),
        "deploy": {"made_from": bundle_dependencies()},
    }
    (bundle / "manifest.json").write_text(
        json.dumps(manifest, indent=1) + "\n", encoding="utf-8", newline="\n"
    )


def bundle_dependencies() -> dict[str, str]:
    """Returns the MD5 of each file that the bundle depends on, by path. The reports are left out: staging and
    prod have other bounds, and must deploy the same bytes."""
    dependencies = provenance.made_from("deploy")
    return {path: md5 for path, md5 in dependencies.items() if Path(path).parts[0] != "reports"}


def refuse_costly(bundle: Path, settings: DeploySettings) -> None:
    """Raises SmokeTestFailed if the bundle is slower or larger, or needs more memory, than is allowed."""
    allowed, cost = settings.model_dump(), measure_in_process(bundle)
    for name, words in COSTS.items():
        bound = f"max_{name}"
        if cost[name] > allowed[bound]:
            raise SmokeTestFailed(
                f"{words.format(cost[name])}, allowed is {allowed[bound]} (environments/, deploy.{bound}): "
                "choose a smaller model"
            )


def refuse_other_than_evaluated(test: Split, predictions: Predictions, schema: Schema) -> None:
    """Raises SmokeTestFailed if the accuracy on the test rows, or the mean absolute error of numbers, is not
    the one that evaluate has measured."""
    if schema.classes:
        right = class_positions(predictions.answers, schema.classes) == test.target
        name, value = "accuracy", float(right.mean())
    else:
        name, value = "mae", float(abs(predictions.answers - test.target).mean())
    evaluated = json.loads(METRICS.read_text(encoding="utf-8"))["test"][name]
    if not math.isclose(value, evaluated, rel_tol=1e-5, abs_tol=1e-6):  # NaN is refused too
        raise SmokeTestFailed(
            f"the {name} of the bundle on the test rows is {value:.6g}, but evaluate measured "
            f"{evaluated}: run `dvc repro -f evaluate`"
        )
