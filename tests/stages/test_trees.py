"""Tests that the ONNX trees of each booster answer as the booster itself, whatever a row holds."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits
from xgboost import XGBClassifier, XGBRegressor

from mlops import stage
from mlops.architectures import Inputs, native_categories
from mlops.errors import DataError, ExportError
from mlops.predict.inputs import Matrices
from mlops.predict.predictor import model_session
from mlops.train import boosters, export, progress, trees

ROWS = 1500
TREES = 12
LIBRARIES = ("scikit-learn", "LightGBM", "XGBoost")
TASKS = ("binary", "three classes", "regression")
SIZES = (1, 2, 30, 254, 300)
"""The numbers of known values of the category columns; scikit-learn takes the first four."""


def matrices(columns: int, rows: int = ROWS, seed: int = 1) -> Matrices:
    """Returns two columns of decimal numbers, one of whole numbers and one with missing ones, and category
    columns, of which the second has missing values and the third and later ones have rare unknown ones."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(rows, 4))
    numbers[:, 1] = (1000 * numbers[:, 1]).round(1)
    numbers[:, 2] = (3 * numbers[:, 2]).round()
    numbers[random.random(rows) < 0.1, 3] = np.nan
    categories = np.empty((rows, columns), object)
    for column, size in enumerate(SIZES[:columns]):
        values = (size * random.random(rows) ** 2).astype(int).astype(str)
        categories[:, column] = values
        if size > 2:
            categories[random.random(rows) < 0.02, column] = "rare"
    categories[:, 1][categories[:, 1] == "0"] = ""
    return {"numbers": numbers.astype(np.float32), "categories": categories}


def known(columns: int) -> tuple[tuple[str, ...], ...]:
    names = [tuple(map(str, range(size))) for size in SIZES[:columns]]
    names[1] = ("", "1")
    return tuple(names)


def target(rows: Matrices, task: str) -> NDArray[Any]:
    """Returns a target to which each number and the parity of each category contribute."""
    parity = [
        (np.char.str_len(text.astype(str)) + text.astype("<U1").view(np.int32)) % 2
        for text in rows["categories"].T
    ]
    noise = np.random.default_rng(2).normal(size=len(rows["numbers"]))
    score = np.nan_to_num(rows["numbers"]) @ [1, 0.001, 0.3, 1] + np.sum(parity, axis=0) + noise
    if task == "regression":
        return np.asarray((score - score.mean()) / score.std())
    bounds = np.quantile(score, [0.5] if task == "binary" else [0.3, 0.6])
    return np.asarray(np.digitize(score, bounds))


def booster(library: str, task: str, inputs: Inputs, **options: Any) -> Any:
    categories, regression = inputs.category_positions, task == "regression"
    options["random_state"] = 1
    if library == "scikit-learn":
        kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
        return kind(
            max_iter=TREES, categorical_features=categories, early_stopping=False, **options
        )
    if library == "LightGBM":
        kind = LGBMRegressor if regression else LGBMClassifier
        options |= {"deterministic": True, "force_row_wise": True, "verbosity": -1}
        return kind(n_estimators=TREES, categorical_features=categories, **options)
    kind = XGBRegressor if regression else XGBClassifier
    types = ["q"] * inputs.numbers + ["c"] * len(inputs.categories)
    return kind(n_estimators=TREES, enable_categorical=True, feature_types=types, **options)


def fit(library: str, task: str, **options: Any) -> tuple[Any, Inputs]:
    columns = 4 if library == "scikit-learn" else 5
    inputs, rows = Inputs(4, known(columns)), matrices(columns)
    estimator = make_pipeline(native_categories(inputs), booster(library, task, inputs, **options))
    return estimator.fit(export.table_of(rows), target(rows, task)), inputs


def strange(rows: Matrices, thresholds: dict[int, list[float]]) -> Iterator[tuple[str, Matrices]]:
    """Yields, by name, the rows and changed copies of them."""
    yield "as they are", rows
    numbers, categories = rows["numbers"], rows["categories"]
    for value in (np.nan, 3.4e38, -3.4e38, 0, -0.0, 1e-40, 1e9, 2**24 + 2):
        for column in range(numbers.shape[1]):
            changed = numbers.copy()
            changed[:, column] = value
            yield f"number {column} is {value}", {**rows, "numbers": changed}
    for side in (-np.inf, np.inf):
        changed = numbers.copy()
        for column, values in thresholds.items():
            at = np.resize(np.asarray(values, np.float32), len(numbers))
            changed[:, column] = np.where(
                np.arange(len(at)) % 2, at, np.nextafter(at, np.float32(side))
            )
        yield f"numbers are thresholds, or one step to {side}", {**rows, "numbers": changed}
    for text in ("", "never seen", "rare", "1", "0 1", "1.0", " "):
        for column in range(categories.shape[1]):
            changed = categories.copy()
            changed[:, column] = text
            yield f"category {column} is {text!r}", {**rows, "categories": changed}
    yield (
        "all is unknown",
        {"numbers": numbers * np.nan, "categories": np.full_like(categories, "?")},
    )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_onnx_model_answers_as_the_booster(library: str, task: str) -> None:
    estimator, inputs = fit(library, task)
    thresholds: dict[int, list[float]] = {}
    kinds = set()
    for node in (node for tree in trees_of(estimator, inputs) for node in tree):
        kinds.add(type(node))
        if isinstance(node, trees.NumberSplit):
            thresholds.setdefault(node.column, []).append(node.threshold)
    assert kinds == {trees.Leaf, trees.NumberSplit, trees.CategorySplit}
    assert set(thresholds) == {0, 1, 2, 3}
    session = model_session(export.to_onnx(estimator, inputs))
    predict = estimator.predict if task == "regression" else estimator.predict_proba
    for name, rows in strange(matrices(len(inputs.categories), 150, seed=3), thresholds):
        (actual,) = session.run(None, rows)
        expected = predict(export.table_of(rows)).reshape(actual.shape)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6, err_msg=name)


def trees_of(estimator: Any, inputs: Inputs) -> Any:
    return boosters.read_trees(estimator[-1], inputs.numbers, inputs.categories).trees


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_bytes_are_the_same_on_any_number_of_threads(library: str) -> None:
    models = set()
    for threads in (1, 2, 4):
        options = {} if library == "scikit-learn" else {"n_jobs": threads}
        with threadpool_limits(threads, user_api="openmp"):
            estimator, inputs = fit(library, "binary", **options)
        models.add(export.to_onnx(estimator, inputs))
    assert len(models) == 1


@pytest.mark.parametrize("part", ["numbers", "categories"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_table_may_have_numbers_alone_or_categories_alone(library: str, part: str) -> None:
    rows = {part: matrices(3)[part]}
    inputs = Inputs(4, ()) if part == "numbers" else Inputs(0, known(3))
    estimator = make_pipeline(native_categories(inputs), booster(library, "binary", inputs))
    estimator.fit(export.table_of(rows), target(matrices(3), "binary"))
    (actual,) = model_session(export.to_onnx(estimator, inputs)).run(None, rows)
    np.testing.assert_allclose(actual, estimator.predict_proba(export.table_of(rows)), atol=1e-6)


def test_more_categories_than_scikit_learn_takes_are_refused_by_column() -> None:
    inputs = Inputs(0, (("a",), tuple(map(str, range(256)))))
    estimators = [
        make_pipeline(native_categories(inputs), booster(library, "binary", inputs))
        for library in LIBRARIES
    ]
    with pytest.raises(DataError) as refused:
        boosters.refuse_many_categories(estimators[0], ["few", "many"])
    assert "column 'many' has 256 categories" in str(refused.value)
    assert "takes at most 255: choose lightgbm or xgboost" in str(refused.value)
    for estimator in estimators[1:]:
        boosters.refuse_many_categories(estimator, ["few", "many"])


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (
            HistGradientBoostingRegressor(loss="poisson"),
            "the objective 'poisson' cannot be exported",
        ),
        (LGBMRegressor(objective="poisson", verbosity=-1), "the objective 'poisson' cannot be"),
        (XGBRegressor(objective="count:poisson"), "the objective 'count:poisson' cannot be"),
    ],
)
def test_an_objective_with_another_link_is_refused(estimator: Any, message: str) -> None:
    inputs = Inputs(4, ())
    pipeline = make_pipeline(
        native_categories(inputs), estimator.set_params(**{trees_option(estimator): 1})
    )
    rows = {"numbers": matrices(2)["numbers"]}
    pipeline.fit(export.table_of(rows), np.arange(ROWS))
    with pytest.raises(ExportError, match=message):
        export.to_onnx(pipeline, inputs)


def trees_option(estimator: Any) -> str:
    return "max_iter" if hasattr(estimator, "max_iter") else "n_estimators"


@pytest.mark.parametrize(("categories", "deep"), [(1900, False), (2100, True)])
def test_a_tree_that_would_crash_onnx_runtime_is_refused(categories: int, deep: bool) -> None:
    split = trees.CategorySplit(0, range(1, categories + 1), yes=1, no=2)
    tree: trees.Tree = [split, trees.Leaf(1.0), trees.Leaf(-1.0)]
    ensemble = trees.Ensemble([tree, tree], [0, 0], [0.0], trees.SIGMOID)
    known = [tuple(map(str, range(categories)))]
    if deep:
        with pytest.raises(
            ExportError, match=r"over 2,000 nodes one after another, .*: choose light"
        ):
            trees.to_onnx(ensemble, 0, known)
    else:
        rows = {"categories": np.array([["0"], ["1899"], ["x"]], object)}
        (answers,) = model_session(trees.to_onnx(ensemble, 0, known)).run(None, rows)
        np.testing.assert_array_equal(answers[:, 1] > 0.5, [True, True, False])


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_long_training_says_how_far_it_is(
    library: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage, "SECONDS_BETWEEN_LINES", 0)
    inputs = Inputs(4, ())
    estimator = make_pipeline(native_categories(inputs), booster(library, "binary", inputs))
    rows = {"numbers": matrices(3)["numbers"]}
    before = estimator[-1].get_params()
    with progress.reported_iterations(estimator) as options:
        estimator.fit(export.table_of(rows), target(matrices(3), "binary"), **options)
    lines = capsys.readouterr().out.splitlines()
    assert f"train: iteration 7 of {TREES}" in lines
    assert all(line.startswith("train: iteration ") for line in lines)
    assert estimator[-1].get_params() == before
