"""Reads the trees of a fitted booster: scikit-learn's histogram gradient boosting, LightGBM or XGBoost.

A booster gets the table from `native_categories`: codes from 1 for categories, and NaN for an unknown one. A
split by category is read as the codes of the side that NaN does not take, so that an unknown category goes
where the booster itself sends it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mlops.architectures import category_codes
from mlops.errors import DataError, ExportError
from mlops.train.trees import (
    IDENTITY,
    SIGMOID,
    SOFTMAX,
    CategorySplit,
    Ensemble,
    Leaf,
    Link,
    NumberSplit,
    Tree,
)

NEAR_ZERO = float(np.float32(1e-35))
"""LightGBM takes a number for 0 that is at most this far from it."""


def read_hist_gradient_boosting(booster: Any, categories: Mapping[int, int]) -> Ensemble:
    try:
        base = booster._baseline_prediction.ravel().tolist()
        inside = range(booster.n_features_in_)
        codes: list[list[int]] = []
        if booster._preprocessor is not None:  # which moves the category columns to the front
            inside = np.argsort(~booster.is_categorical_, kind="stable").tolist()
            encoder = booster._preprocessor.named_transformers_["encoder"]
            codes = [
                [int(code) for code in known if not np.isnan(code)] for known in encoder.categories_
            ]
        predictors = [each for iteration in booster._predictors for each in iteration]
        trees = [hist_gradient_boosting_tree(each, inside, codes) for each in predictors]
    except (AttributeError, TypeError, ValueError, IndexError, KeyError) as error:
        raise ExportError(
            "this version of scikit-learn stores the trees of its histogram gradient boosting elsewhere: "
            "install the locked version, `make install`"
        ) from error
    losses = ("squared_error", "absolute_error", "quantile")
    links = dict.fromkeys(losses, IDENTITY) | {"log_loss": SIGMOID if len(base) == 1 else SOFTMAX}
    outputs = [number % len(base) for number in range(len(trees))]
    return Ensemble(trees, outputs, base, link_of(links, booster.loss))


def hist_gradient_boosting_tree(
    predictor: Any, inside: Sequence[int], codes: Sequence[Sequence[int]]
) -> Tree:
    """Returns a tree of scikit-learn. `inside` gives the column of the table for each column inside the
    booster. `codes` gives the codes of each category column, which are 0, 1, 2 and so on inside."""
    tree: list[Leaf | NumberSplit | CategorySplit] = []
    names = predictor.nodes.dtype.names
    for values in predictor.nodes.tolist():
        node = dict(zip(names, values, strict=True))
        column, left, right = node["feature_idx"], node["left"], node["right"]
        missing, other = (left, right) if node["missing_go_to_left"] else (right, left)
        if node["is_leaf"]:
            tree.append(Leaf(node["value"]))
        elif node["is_categorical"]:
            bits = predictor.raw_left_cat_bitsets[node["bitset_idx"]]
            goes = [
                left if bits[n // 32] >> (n % 32) & 1 else right for n in range(len(codes[column]))
            ]
            listed = [code for code, side in zip(codes[column], goes, strict=True) if side == other]
            tree.append(CategorySplit(inside[column], listed, yes=other, no=missing))
        else:
            threshold = node["num_threshold"]
            tree.append(NumberSplit(inside[column], threshold, False, missing, left, right))
    return tree


def read_lightgbm(booster: Any, categories: Mapping[int, int]) -> Ensemble:
    dump = booster.booster_.dump_model()
    width = dump["num_tree_per_iteration"]
    objectives = ("regression", "regression_l1", "huber", "fair", "quantile")
    links = dict.fromkeys(objectives, IDENTITY)
    links |= {"binary sigmoid:1": SIGMOID, f"multiclass num_class:{width}": SOFTMAX}
    trees = [lightgbm_tree(each["tree_structure"]) for each in dump["tree_info"]]
    outputs = [number % width for number in range(len(trees))]
    return Ensemble(trees, outputs, [0.0] * width, link_of(links, dump["objective"]))


def lightgbm_tree(structure: Mapping[str, Any]) -> Tree:
    """Returns a tree of LightGBM, which sends a missing or unknown category to the right."""
    tree: list[Leaf | NumberSplit | CategorySplit] = []
    nodes = [structure]
    for node in nodes:  # which grows meanwhile
        if "leaf_value" in node:
            tree.append(Leaf(node["leaf_value"]))
            continue
        column, threshold = node["split_feature"], node["threshold"]
        left, right = len(nodes), len(nodes) + 1
        nodes += [node["left_child"], node["right_child"]]
        if node["decision_type"] == "==":
            codes = [int(code) for code in threshold.split("||")]
            tree.append(CategorySplit(column, codes, yes=left, no=right))
        else:
            # Where training saw no missing number, LightGBM takes one for 0.
            goes_left = node["default_left"] if node["missing_type"] == "NaN" else threshold >= 0
            missing = left if goes_left else right
            if threshold == -NEAR_ZERO:
                threshold = np.nextafter(threshold, -np.inf)
            tree.append(NumberSplit(column, threshold, False, missing, left, right))
    return tree


def read_xgboost(booster: Any, categories: Mapping[int, int]) -> Ensemble:
    learner = json.loads(booster.get_booster().save_raw("json"))["learner"]
    objectives = ("reg:squarederror", "reg:absoluteerror", "reg:quantileerror")
    links = dict.fromkeys(objectives, IDENTITY)
    links |= {"binary:logistic": SIGMOID, "multi:softprob": SOFTMAX}
    link = link_of(links, learner["objective"]["name"])
    base = np.ravel(json.loads(learner["learner_model_param"]["base_score"]))
    if link == SIGMOID:
        base = np.log(base / (1 - base))
    model = learner["gradient_booster"]["model"]
    trees = [xgboost_tree(each, categories) for each in model["trees"]]
    return Ensemble(trees, model["tree_info"], base.tolist(), link)


def xgboost_tree(arrays: Mapping[str, Sequence[int]], categories: Mapping[int, int]) -> Tree:
    """Returns a tree of XGBoost, which sends the categories of a node to the right. `categories` gives the
    number of known categories of each category column."""
    bounds = zip(arrays["categories_segments"], arrays["categories_sizes"], strict=True)
    sets = {
        number: arrays["categories"][first : first + length]
        for number, (first, length) in zip(arrays["categories_nodes"], bounds, strict=True)
    }
    columns = (
        "split_indices",
        "split_conditions",
        "left_children",
        "right_children",
        "default_left",
    )
    tree: list[Leaf | NumberSplit | CategorySplit] = []
    for number, node in enumerate(zip(*(arrays[name] for name in columns), strict=True)):
        column, value, left, right, missing_left = node
        if left == -1:
            tree.append(Leaf(value))
        elif number not in sets:
            missing = left if missing_left else right
            tree.append(NumberSplit(column, value, True, missing, left, right))
        else:
            known, goes_right = {*range(1, categories[column] + 1)}, {*sets[number]}
            if missing_left:
                tree.append(CategorySplit(column, sorted(known & goes_right), yes=right, no=left))
            else:
                tree.append(CategorySplit(column, sorted(known - goes_right), yes=left, no=right))
    return tree


def link_of(links: Mapping[str, Link], objective: str) -> Link:
    if objective not in links:
        raise ExportError(
            f"the objective {objective!r} cannot be exported: choose one of {', '.join(links)}"
        )
    return links[objective]


Reader = Callable[[Any, Mapping[int, int]], Ensemble]

READERS: dict[str, Reader] = {
    "HistGradientBoostingClassifier": read_hist_gradient_boosting,
    "HistGradientBoostingRegressor": read_hist_gradient_boosting,
    "LGBMClassifier": read_lightgbm,
    "LGBMRegressor": read_lightgbm,
    "XGBClassifier": read_xgboost,
    "XGBRegressor": read_xgboost,
}
"""The readers, by the name of the estimator's class. Each takes a fitted booster and the number of known
categories of each category column, by the column's position."""


def native_booster(estimator: Any) -> Any:
    """Returns the booster of a pipeline of `native_categories` and a booster, and None for any other
    estimator."""
    steps = [step for _, step in getattr(estimator, "steps", ())]
    if len(steps) == 2 and getattr(steps[0], "func", None) is category_codes:
        return steps[1] if type(steps[1]).__name__ in READERS else None
    return None


def known_categories(estimator: Any) -> Sequence[Sequence[str]]:
    """Returns the known values of each category column, from a pipeline with `native_categories`."""
    known: Sequence[Sequence[str]] = estimator[0].kw_args["known"]
    return known


def read_trees(booster: Any, numbers: int, categories: Sequence[Sequence[str]]) -> Ensemble:
    """Returns the trees of a fitted booster, of a table with this many number columns and, behind them, the
    category columns with these known values. Raises ExportError if it has no trees, or if they cannot be
    read."""
    sizes = {column: len(values) for column, values in enumerate(categories, numbers)}
    ensemble = READERS[type(booster).__name__](booster, sizes)
    if not ensemble.trees:
        raise ExportError(f"{type(booster).__name__} has no trees: raise its number of iterations")
    return ensemble


def refuse_many_categories(estimator: Any, names: Sequence[str]) -> None:
    """Raises DataError for a category column with more values than scikit-learn's gradient boosting takes.
    `names` are the names of the category columns."""
    most = getattr(native_booster(estimator), "max_bins", None)
    if not isinstance(most, int):  # LightGBM and XGBoost take any number
        return
    for name, values in zip(names, known_categories(estimator), strict=True):
        if len(values) > most:
            raise DataError(
                f"column {name!r} has {len(values)} categories in the training rows, and scikit-learn's "
                f"gradient boosting takes at most {most}: choose lightgbm or xgboost as train.architecture "
                "in params.yaml, or move the column to prepare.columns.ignored"
            )
