"""The models of science/architectures.py: each that has a block in params.yaml learns from a small table."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mlops import params
from mlops.architectures import ARCHITECTURES, Inputs
from mlops.train.export import refuse_unexportable, table_of

PARAMS = params.load_configuration().params
TRAIN, TASK = PARAMS.train, PARAMS.prepare.task
INPUTS = Inputs(2, (("blue", "red", ""),), TASK)


@pytest.fixture
def rows():
    """200 rows with two numbers and a colour; some of each are missing."""
    random = np.random.default_rng(1)
    numbers = random.normal(size=(200, 2))
    colours = random.choice(["blue", "red", ""], size=(200, 1)).astype(object)
    numbers[:5, 1] = np.nan
    return {"numbers": numbers, "categories": colours}


@pytest.mark.parametrize("name", TRAIN.architectures)
def test_it_learns_and_answers(name, rows):
    estimator = ARCHITECTURES[name](INPUTS, TRAIN.seed, **TRAIN.architectures[name])
    refuse_unexportable(estimator, TASK)
    number = rows["numbers"][:, 0]
    target = {"binary": number > 0, "multiclass": np.digitize(number, [-0.5, 0.5])}.get(
        TASK, number
    )
    with threadpool_limits(limits=1):
        estimator.fit(table_of(rows), target.astype(float if TASK == "regression" else int))
        rows["categories"][:5] = "never seen"
        answers = estimator.predict(table_of(rows))
    assert answers.shape == (200,)
    assert answers[number > 1].mean() > answers[number < -1].mean()
