"""One short life: the five stages on a sample of the table in data/raw, then an answer."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from threadpoolctl import threadpool_limits

from mlops import params
from mlops.contract.contract import Contract
from mlops.deploy import deploy
from mlops.evaluate import evaluate
from mlops.gate import gate
from mlops.predict.predictor import Predictor
from mlops.prepare import prepare
from mlops.train import train

PROJECT = Path(__file__).parents[1]
ROWS = 1000


def sample():
    """Rows of data/raw as text, the same at each run."""
    files = sorted((PROJECT / "data/raw").glob("*.csv"))
    if not files:
        pytest.skip("there is no table in data/raw: `dvc pull data/raw` brings it")
    as_text = {"dtype": str, "keep_default_na": False, "skipinitialspace": True}
    table = pd.concat([pd.read_csv(file, **as_text) for file in files])
    options = params.load_configuration(PROJECT).params.prepare
    shuffled = table.sample(frac=1, random_state=1)
    if options.task == "regression":
        return shuffled.head(ROWS)
    classes = shuffled[options.target]
    return shuffled.groupby(classes).head(ROWS // classes.nunique())


@pytest.fixture
def project(tmp_path):
    """A copy of this project with the sample as its table, on the environment of this branch."""
    for name in ("mlops", "science", "requirements"):
        (tmp_path / name).symlink_to(PROJECT / name)
    for name in ("params.yaml", "branch.yaml", "dvc.yaml", ".dvcignore"):
        shutil.copy(PROJECT / name, tmp_path)
    shutil.copytree(PROJECT / "environments", tmp_path / "environments")
    (tmp_path / "data/raw").mkdir(parents=True)
    sample().to_csv(tmp_path / "data/raw/sample.csv", index=False)
    for file in (tmp_path / "environments").glob("*.yaml"):
        judge_nothing(file)
    with contextlib.chdir(tmp_path), threadpool_limits(limits=1):
        yield tmp_path


def judge_nothing(environment):
    """All of the sample is used, and a gate that it fails stops nothing: it is too small to be judged."""
    settings = YAML(typ="safe").load(environment)
    settings["data"]["fraction"] = 1
    settings["gate"]["on_failure"] = "report"
    YAML().dump(settings, environment)


def test_a_model_is_trained_and_answers(project):
    for stage in (prepare, train, evaluate, gate, deploy):
        stage.main()
    predictor = Predictor(project / "deploy")
    row = predictor.schema.example()
    answer = predictor.predict(Contract(predictor.schema).columns([row]))
    assert np.isfinite(answer.numbers).all()
    if classes := predictor.schema.classes:
        assert answer.answers[0] in classes
        assert answer.probabilities.sum() == pytest.approx(1)
