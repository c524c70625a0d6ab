"""The derived columns of science/features.py: each must treat every row by itself."""

import numpy as np

from mlops import params
from science import features


def test_every_derived_column_treats_each_row_by_itself() -> None:
    declared, random = params.load().params.prepare.columns, np.random.default_rng(1)
    columns = {
        **{name: random.normal(50, 20, 100) for name in (*declared.integer, *declared.number)},
        **{name: random.choice(list("abc"), 100).astype(object) for name in declared.category},
    }
    backwards = features.derive({name: values[::-1] for name, values in columns.items()})
    for name, values in features.derive(columns).items():
        np.testing.assert_array_equal(values, backwards[name][::-1])
