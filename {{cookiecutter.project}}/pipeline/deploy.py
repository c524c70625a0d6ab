"""The bundle that answers. In: models. Out: deploy (model, input schema, manifest).

Its bytes are the same on every run: no clock, commit or latency is in it. It is written beside its
place, asked the questions of the smoke test, and moved there once it has answered them.
"""

import json
import shutil
import tempfile
from pathlib import Path

from pipeline import errors, params, provenance, splits
from pipeline.errors import SmokeTestFailed
from pipeline.params import DeploySettings
from serving.errors import ServingError
from serving.measure import measured, megabytes
from serving.predictor import MODEL, SCHEMA, Predictor
from serving.rows import columns_of

MODELS = Path("models")
BUNDLE = Path("deploy")
METRICS = Path("reports/metrics.json")


def main() -> None:
    settings = params.load().environment.deploy
    with tempfile.TemporaryDirectory(dir=".", prefix=".deploy-") as folder:
        bundle = Path(folder, BUNDLE)
        write(bundle)
        smoke_test(bundle, settings)
        shutil.rmtree(BUNDLE, ignore_errors=True)
        bundle.rename(BUNDLE)
    print(f"deploy: {BUNDLE}/ answers; {megabytes(BUNDLE)} MB")


def write(bundle: Path) -> None:
    bundle.mkdir()
    for name in (MODEL, SCHEMA):
        shutil.copy(MODELS / name, bundle / name)
    manifest = {
        "files": {name: provenance.md5(bundle / name) for name in (MODEL, SCHEMA)},
        "prepare": provenance.read(splits.PROVENANCE),
        "train": provenance.read(MODELS / "provenance.json"),
        "deploy": {"made_from": what_made_the_bundle()},
    }
    (bundle / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def smoke_test(bundle: Path, settings: DeploySettings) -> None:
    """Raises SmokeTestFailed unless the bundle loads, answers as evaluated, in time and in size."""
    try:
        predictor = Predictor(bundle)
        predictor.predict(columns_of([predictor.schema.example()], predictor.schema))
    except ServingError as error:
        raise SmokeTestFailed(f"the bundle does not answer its own example row: {error}") from error
    cost = measured(bundle)
    if cost["milliseconds"] > settings.max_milliseconds:
        raise SmokeTestFailed(
            f"one row takes {cost['milliseconds']} ms, allowed {settings.max_milliseconds} "
            "(environments/, deploy.max_milliseconds): choose a smaller model"
        )
    if cost["megabytes"] > settings.max_megabytes:
        raise SmokeTestFailed(
            f"the bundle is {cost['megabytes']} MB, allowed {settings.max_megabytes} "
            "(environments/, deploy.max_megabytes): choose a smaller model"
        )
    same_as_evaluated(predictor)


def what_made_the_bundle() -> dict[str, str]:
    """Without the reports: staging and prod judge by other bounds and deploy the same bytes."""
    dependencies = provenance.made_from("deploy")
    return {path: md5 for path, md5 in dependencies.items() if Path(path).parts[0] != "reports"}


def same_as_evaluated(predictor: Predictor) -> None:
    test = splits.read("test", predictor.schema)
    labels = predictor.predict(test.columns).labels
    accuracy = float(((labels == predictor.schema.positive) == test.target).mean())
    evaluated = json.loads(METRICS.read_text())["test"]["accuracy"]
    if abs(accuracy - evaluated) > 1e-6:
        raise SmokeTestFailed(
            f"accuracy of the bundle on the test rows is {accuracy:.6f}, and evaluate found "
            f"{evaluated}: run `dvc repro -f evaluate`"
        )


if __name__ == "__main__":
    errors.run(main)
