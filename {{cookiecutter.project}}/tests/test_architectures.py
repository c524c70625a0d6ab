"""The models of science/architectures.py: each that has a block in params.yaml learns from a small table."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mlops import params
from mlops.architectures import ARCHITECTURES, Inputs
from mlops.train.export import refuse_unexportable, table_of

TRAIN = params.load_configuration().params.train
INPUTS = Inputs(numbers=2, categories=(("blue", "red", ""),))


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
    refuse_unexportable(estimator, "binary")
    positive = rows["numbers"][:, 0] > 0
    with threadpool_limits(limits=1):
        estimator.fit(table_of(rows), positive.astype(int))
        rows["categories"][:5] = "never seen"
        answers = estimator.predict_proba(table_of(rows))
    assert answers.shape == (200, 2)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    assert answers[positive, 1].mean() > answers[~positive, 1].mean()
