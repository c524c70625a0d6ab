"""One short life: the five stages on a sample of the table in data/raw, then an answer."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from ruamel.yaml import YAML
from threadpoolctl import threadpool_limits

from mlops import params
from mlops.contract.contract import Contract
from mlops.deploy import deploy
from mlops.evaluate import evaluate
from mlops.gate import gate
from mlops.predict.predictor import Predictor
from mlops.prepare import prepare, raw
from mlops.train import train

PROJECT = Path(__file__).parents[1]
ROWS = 1000


def sample():
    """Rows of data/raw as prepare reads them, the same at each run."""
    folder = PROJECT / "data/raw"
    if not any(folder.glob("*")):
        pytest.skip("there is no table in data/raw: `dvc pull data/raw` brings it")
    options = params.load_configuration(PROJECT).params.prepare
    pieces = [rows.columns for rows in raw.read_rows(options, folder)]
    table = pa.concat_tables(
        pa.table({name: column.to_arrow() for name, column in piece.items()}) for piece in pieces
    )
    shuffled = table[options.target].to_pandas().sample(frac=1, random_state=1)
    if options.task == "regression":
        chosen = shuffled.head(ROWS)
    else:
        chosen = shuffled.groupby(shuffled).head(ROWS // shuffled.nunique())
    table = table.take(chosen.index.to_numpy())
    for name in options.columns.ignored:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), pa.string()))
    return table


@pytest.fixture
def project(tmp_path):
    """A copy of this project with the sample as its table, on the environment of this branch."""
    for name in ("mlops", "science", "requirements"):
        (tmp_path / name).symlink_to(PROJECT / name)
    for name in ("params.yaml", "branch.yaml", "dvc.yaml", ".dvcignore"):
        shutil.copy(PROJECT / name, tmp_path)
    shutil.copytree(PROJECT / "environments", tmp_path / "environments")
    (tmp_path / "data/raw").mkdir(parents=True)
    parquet.write_table(sample(), tmp_path / "data/raw/sample.parquet")
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
