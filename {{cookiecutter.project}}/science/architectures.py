"""Kinds of models. To add one, write a function with `@architecture` above it, then its block in params.yaml.

`train.architecture` in params.yaml chooses one by its name. `inputs` says how many columns there are, and
`inputs.task` what is predicted: a class (binary, multiclass) or a number (regression). `seed` is for whatever
is random. The other arguments are the hyperparameters: each needs its value under `train.architectures` in
params.yaml, and with a type (`trees: int`) a wrong value is found before anything runs. The function returns
an estimator of scikit-learn, not fitted, for a table with the numbers first (nan for missing), then the
categories ("" for missing); `one_hot` prepares these columns. A number to predict is scaled: its mean is 0,
and its standard deviation is 1.

`@architecture(trees=between(50, 200))` says what `mlops search` may try. A hyperparameter without a range
keeps its value of params.yaml.

Import scikit-learn inside the function: it takes seconds, and most commands need none of it.
"""

from mlops.architectures import architecture, between, native_categories, one_hot


@architecture(inverse_penalty=between(0.001, 100.0, log=True))
def linear(inputs, seed, *, inverse_penalty: float, iterations: int):
    """Logistic regression for classes, and ridge regression for a number."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if inputs.task == "regression":
        model = Ridge(alpha=1 / inverse_penalty, max_iter=iterations, random_state=seed)
    else:
        model = LogisticRegression(C=inverse_penalty, max_iter=iterations, random_state=seed)
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_pipeline(one_hot(inputs, numbers), model)


@architecture(trees=between(50, 200), leaves=between(10, 1000, log=True))
def random_forest(inputs, seed, *, trees: int, leaves: int):
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    forest = inputs.choose(RandomForestClassifier, RandomForestRegressor)
    model = forest(n_estimators=trees, max_leaf_nodes=leaves, random_state=seed, n_jobs=-1)
    return make_pipeline(one_hot(inputs, SimpleImputer(strategy="median")), model)


BOOSTING = {
    "iterations": between(30, 500, log=True),
    "learning_rate": between(0.01, 0.3, log=True),
    "leaves": between(4, 128, log=True),
}


@architecture(**BOOSTING)
def gradient_boosting(inputs, seed, *, iterations: int, learning_rate: float, leaves: int):
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline

    model = inputs.choose(HistGradientBoostingClassifier, HistGradientBoostingRegressor)(
        max_iter=iterations,
        learning_rate=learning_rate,
        max_leaf_nodes=leaves,
        min_samples_leaf=inputs.rows_in_a_leaf,
        categorical_features=inputs.category_positions,
        early_stopping=False,
        random_state=seed,
    )
    return make_pipeline(native_categories(inputs), model)


@architecture(**BOOSTING)
def lightgbm(inputs, seed, *, iterations: int, learning_rate: float, leaves: int):
    from lightgbm import LGBMClassifier, LGBMRegressor
    from sklearn.pipeline import make_pipeline

    model = inputs.choose(LGBMClassifier, LGBMRegressor)(
        n_estimators=iterations,
        learning_rate=learning_rate,
        num_leaves=leaves,
        min_child_samples=inputs.rows_in_a_leaf,
        categorical_features=inputs.category_positions,
        deterministic=True,  # the same trees on any number of threads
        force_row_wise=True,
        n_jobs=0,  # as many threads as OpenMP allows
        random_state=seed,
        verbosity=-1,
    )
    return make_pipeline(native_categories(inputs), model)


@architecture(**BOOSTING)
def xgboost(inputs, seed, *, iterations: int, learning_rate: float, leaves: int):
    from sklearn.pipeline import make_pipeline
    from xgboost import XGBClassifier, XGBRegressor

    model = inputs.choose(XGBClassifier, XGBRegressor)(
        n_estimators=iterations,
        learning_rate=learning_rate,
        max_leaves=leaves,
        max_depth=0,  # bounded by the leaves alone
        grow_policy="lossguide",
        tree_method="hist",
        enable_categorical=True,
        feature_types=["q"] * inputs.numbers + ["c"] * len(inputs.categories),
        random_state=seed,
    )
    return make_pipeline(native_categories(inputs), model)
