"""Real models of the small project that differ in how good they are, for tests that compare them."""

import contextlib
import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from small_project import change

from pipeline import agreement, compare, rescore, splits, train
from pipeline.architectures import ARCHITECTURES, Architecture, Inputs, one_hot
from pipeline.metrics import measure
from serving import schema
from serving.predictor import MODEL, Predictor

PAIRED = ("accuracy", "false_positive_percent", "false_negative_percent", "brier")


def sound(inputs: Inputs, seed: int) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_pipeline(one_hot(inputs, numbers), LogisticRegression(max_iter=500))


def misled(inputs: Inputs, seed: int) -> Any:
    """Fitted to shuffled classes, it is worse by each of the four metrics."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier(random_state=seed)
    return make_pipeline(one_hot(inputs, SimpleImputer(strategy="median")), model)


MODELS: tuple[Architecture, ...] = (sound, misled)


@pytest.fixture(scope="session")
def trained_contenders(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`finished` with the bundles of `sound` and `misled` beside it, and `twin`, the predictions of `sound`
    from another file."""
    folder = tmp_path_factory.mktemp("contenders") / "project"
    shutil.copytree(finished, folder, symlinks=True)
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as monkeypatch:
        for architecture in MODELS:
            name = architecture.__name__
            monkeypatch.setitem(ARCHITECTURES, name, architecture)
            change("params.yaml", f"train.architectures.{name}", {})
            change("params.yaml", "train.architecture", name)
            if architecture is misled:
                shuffle_classes()
            train.main()
            Path("models").rename(name)
        shutil.copy(finished / "params.yaml", "params.yaml")
        shutil.copy(finished / splits.file("train"), splits.file("train"))
        shutil.copytree("sound", "twin")
        model = onnx.load(f"twin/{MODEL}")
        model.doc_string = "the same model in other bytes"
        onnx.save(model, f"twin/{MODEL}")
    return folder


def shuffle_classes() -> None:
    """In the training rows."""
    found = schema.read(splits.SCHEMA)
    rows = splits.read("train", found)
    shuffled = np.random.default_rng(5).permutation(rows.target)
    splits.write("train", splits.Split(rows.columns, shuffled), found)


@pytest.fixture
def contenders(trained_contenders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: the project of `trained_contenders`, of the test's own."""
    shutil.copytree(trained_contenders, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(main: Callable[[], None], *arguments: object) -> None:
    """A module's `main` with these arguments."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(sys, "argv", ["module", *map(str, arguments)])
        main()


def rescored(bundle: str, scores: str = "scores.npz") -> dict[str, NDArray[Any]]:
    """What pipeline.rescore writes for the test rows."""
    run(rescore.main, bundle, splits.file("train"), splits.file("test"), scores)
    with np.load(scores) as found:
        return dict(found)


def judged(
    champion: str,
    challenger: str,
    max_drop: dict[str, float],
    capsys: pytest.CaptureFixture[str],
) -> Any:
    """What pipeline.compare prints, read as strict JSON."""
    rescored(champion)
    shutil.rmtree("deploy", ignore_errors=True)
    shutil.copytree(challenger, "deploy")
    change("environments/dev.yaml", "gate.max_drop", max_drop)
    capsys.readouterr()
    run(compare.main, "scores.npz")
    return strictly(capsys.readouterr().out)


def agreed(one: str, other: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """What pipeline.agreement prints, read as strict JSON."""
    capsys.readouterr()
    run(agreement.main, one, other)
    return strictly(capsys.readouterr().out)


def strictly(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def metrics_of(bundle: str) -> dict[str, float]:
    """The metrics of the test rows as `evaluate` measures them."""
    predictor = Predictor(Path(bundle))
    test = splits.read("test", predictor.schema)
    found = predictor.predict(test.columns)
    called = (found.labels == predictor.schema.positive).astype(np.int8)
    measured = measure(test.target, called, found.probabilities[:, 1])
    return {name: measured[name] or math.nan for name in PAIRED}
