"""Measures each task on eight tables: the score beside that of a model that has learnt nothing and, for each
architecture, that of the same model by hand, the parity of ONNX for targets of any size, and how often
intervals hold.

    make install && .venv/bin/python benchmarks/tasks.py

writes benchmarks/tasks.md. It runs the stages in this process, without DVC. No time is measured.
"""

import contextlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from ruamel.yaml import YAML
from sklearn import datasets
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import page

PROJECT = Path(__file__).resolve().parents[1] / "{{cookiecutter.project}}"
sys.path.insert(0, str(PROJECT))

from mlops.architectures import ARCHITECTURES  # noqa: E402
from mlops.evaluate import evaluate  # noqa: E402
from mlops.evaluate.intervals import intervals  # noqa: E402
from mlops.metrics import METRICS, measure  # noqa: E402
from mlops.params import ColumnParams, load_configuration  # noqa: E402
from mlops.predict import derived  # noqa: E402
from mlops.predict.inputs import matrices_of  # noqa: E402
from mlops.predict.schema import Schema, read_schema  # noqa: E402
from mlops.predict.task import Predictions, Task  # noqa: E402
from mlops.prepare import prepare  # noqa: E402
from mlops.tables import splits  # noqa: E402
from mlops.train import export, train  # noqa: E402

ROWS = 5_000
DEFAULT = "gradient_boosting"
SHOWN: Mapping[Task, str] = {"binary": "accuracy", "multiclass": "accuracy", "regression": "r2"}
UNITS = {"1e-3": (0, 1e-3), "1": (0, 1), "1e9": (0, 1e9), "1e9 ± 1": (1e9, 1)}
"""What is added to a target of mean 0 and standard deviation 1, and what it is multiplied by before."""

DRAWN = 200
"""The number of samples of test rows for which it is counted whether an interval holds."""


def main() -> None:
    derived.DERIVED.clear()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        make_project()
        sections = [*map(scores, METRICS), parity(), coverage()]
    head = [
        "# Every task",
        page.paragraph(
            f"{page.machine()} The tables are scikit-learn's own and its made ones, and {ROWS:,} rows of the "
            "census. Models have the values of params.yaml, and are measured on the test rows; "
            f"`{DEFAULT}` is the architecture of a new project. By hand means the library's own class, with "
            "the same rows, values and seed, and with pandas' categories; a number to predict is "
            "standardized, since equally good splits of a tree are chosen otherwise in other units. Equal "
            "means a difference under 0.0005. This template fits to inputs of 32 bits, which the models in "
            "production are given, and the class by hand to 64 bits: given 32, it comes to the same "
            "figures where one differs."
        ),
        "    make install && .venv/bin/python benchmarks/tasks.py",
    ]
    Path(__file__).with_suffix(".md").write_text("\n\n".join([*head, *sections]) + "\n")


def tables(task: Task) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields the name of each table and its rows, of which the column `target` is to be predicted."""
    census = pd.read_csv(PROJECT / "data/raw/adult.csv", skipinitialspace=True, na_values="?")
    census = census.sample(ROWS, random_state=1)
    size = {"n_samples": 2000, "random_state": 1}
    if task == "binary":
        yield "breast cancer", loaded(datasets.load_breast_cancer)
        yield "wine, one of three", loaded(datasets.load_wine, lambda each: each == 1)
        yield "moons", made(datasets.make_moons(noise=0.3, **size))
        yield "circles", made(datasets.make_circles(noise=0.2, factor=0.6, **size))
        yield "Hastie", made(datasets.make_hastie_10_2(**size))
        yield "10 % positive", made(datasets.make_classification(weights=[0.9], **size))
        holes = made(datasets.make_classification(flip_y=0.1, **size))
        missing = np.random.default_rng(1).random(holes.shape) < 0.2
        yield "a fifth missing", holes.mask(missing & (holes.columns != "target"))
        yield "census: income", census.rename(columns={"income": "target"})
    elif task == "multiclass":
        yield "iris", loaded(datasets.load_iris)
        yield "wine", loaded(datasets.load_wine)
        yield "digits", loaded(datasets.load_digits)
        for classes in (3, 6):
            many = {"n_classes": classes, "n_informative": 8, **size}
            yield f"{classes} classes", made(datasets.make_classification(**many))
        yield "quantiles", made(datasets.make_gaussian_quantiles(n_features=4, n_classes=4, **size))
        yield "blobs", made(datasets.make_blobs(centers=5, cluster_std=4, **size))
        status = census.rename(columns={"marital_status": "target"})
        yield "census: marital status", status[status.target != "Married-AF-spouse"]
    else:
        yield "diabetes", loaded(datasets.load_diabetes)
        yield "Friedman 1", made(datasets.make_friedman1(noise=1, **size))
        yield "Friedman 2", made(datasets.make_friedman2(noise=50, **size))
        yield "Friedman 3", made(datasets.make_friedman3(noise=0.1, **size))
        yield "linear", made(datasets.make_regression(n_features=20, noise=20, **size))
        yield "sparse", made(datasets.make_sparse_uncorrelated(**size))
        yield "Swiss roll", made(datasets.make_swiss_roll(noise=1, **size))
        yield "census: hours per week", census.rename(columns={"hours_per_week": "target"})


def loaded(
    load: Callable[..., Any], change: Callable[[Any], Any] = lambda each: each
) -> pd.DataFrame:
    bunch = load(as_frame=True)
    return bunch.data.assign(target=change(bunch.target))


def made(rows: tuple[Any, Any]) -> pd.DataFrame:
    inputs, target = rows
    return pd.DataFrame(inputs).add_prefix("x").assign(target=target)


def make_project() -> None:
    """Makes a project in the current directory, which is on staging and bounds nothing."""
    for name in ("mlops", "science", "requirements"):
        Path(name).symlink_to(PROJECT / name)
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(PROJECT / name, name)
    shutil.copytree(PROJECT / "environments", "environments")
    Path("branch.yaml").write_text("environment: staging\n")
    for file in Path("environments").iterdir():
        with changed_yaml(file) as settings:
            for block in (settings["gate"], settings["gate"]["subgroups"]):
                block |= {"bounds": {}, "max_drop": {}}
    Path("data/raw").mkdir(parents=True)


@contextlib.contextmanager
def changed_yaml(file: Path) -> Iterator[Any]:
    content = YAML(typ="safe", pure=True).load(file)
    yield content
    YAML().dump(content, file)


def prepare_table(task: Task, rows: pd.DataFrame) -> Schema:
    """Prepares the rows for the task, and returns their schema."""
    rows.to_csv("data/raw/table.csv", index=False)
    inputs = rows.drop(columns="target")
    categories = [name for name in inputs if inputs[name].dtype.kind not in "if"]
    columns = {name: [] for name in ColumnParams.model_fields} | {
        "number": [name for name in inputs if name not in categories],
        "category": categories,
    }
    with changed_yaml(Path("params.yaml")) as params:
        positive = str(sorted(map(str, rows.target.unique()))[-1]) if task == "binary" else None
        params["prepare"] |= {"task": task, "target": "target", "positive": positive}
        params["prepare"]["columns"] = columns
        params["evaluate"]["subgroups"] = []
    with quiet():
        prepare.main()
    return read_schema(splits.SCHEMA)


def quiet() -> contextlib.AbstractContextManager[Any]:
    stack = contextlib.ExitStack()
    stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
    stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
    return stack


def scores(task: Task) -> str:
    name, lines, architectures = SHOWN[task], [], []
    for table, rows in tables(task):
        schema = prepare_table(task, rows)
        pairs = {}
        for architecture in ARCHITECTURES:
            with changed_yaml(Path("params.yaml")) as params:
                params["train"]["architecture"] = architecture
            with quiet():
                train.main()
                evaluate.main()
                by_hand = measure_by_hand(architecture, schema)[name]
            report = json.loads(Path("reports/metrics.json").read_text())
            pairs[architecture] = report["test"][name], by_hand
            if architecture == DEFAULT:
                interval = " to ".join(map("{:.3f}".format, report["interval"][name] or ())) or "-"
                baseline = f"{report['baseline'][name]:.4f}"
        ours, hand = pairs[DEFAULT]
        lines.append(
            [table, f"{len(rows):,}", baseline, f"{hand:.4f}", f"{ours:.4f}", interval, is_equal(ours, hand)]
        )  # fmt: skip
        cells = (f"{ours:.4f}, {hand:.4f}, {is_equal(ours, hand)}" for ours, hand in pairs.values())
        architectures.append([table, *cells])
        print(task, lines[-1], architectures[-1], flush=True)
    heads = ["table", "rows", "baseline", "by hand", "this template", "95 % interval", "equal"]
    return "\n\n".join(
        [
            f"## {task.capitalize()}: {name}",
            page.table(heads, lines).rstrip(),
            f"### {task.capitalize()}, by architecture: this template, by hand, equal",
            page.table(["table", *(f"`{each}`" for each in ARCHITECTURES)], architectures).rstrip(),
        ]
    )


def is_equal(ours: float, hand: float) -> str:
    return "yes" if abs(ours - hand) < 5e-4 else "**no**"


def measure_by_hand(architecture: str, schema: Schema) -> dict[str, float | None]:
    """Returns the metrics of the test rows for the library's own class, fitted to the same training rows."""
    numbers = [column.name for column in schema.columns if not column.categories]
    known = {
        column.name: [*column.categories, *([""] if column.missing else [])]
        for column in schema.columns
        if column.categories
    }
    training, test = (pd.read_parquet(splits.split_file(name)) for name in ("train", "test"))
    for rows in (training, test):
        for name, values in known.items():
            texts = rows[name].fillna("")
            rows[name] = pd.Categorical(texts.where(texts.isin(values)), values)
    options = load_configuration().params.train
    chosen = options.architectures[architecture]
    leaf = max(2, min(20, len(training) // 20))  # as the architectures have it
    model = estimator_by_hand(
        architecture,
        {**chosen, "leaf": leaf, "seed": options.seed},
        make_one_hot(numbers, known),
        is_number=not schema.classes,
    )
    codes = {name: code for code, name in enumerate(schema.classes)}
    mean, deviation = (0, 1) if codes else (training.target.mean(), training.target.std(ddof=0))
    answers = training.target.map(codes) if codes else (training.target - mean) / deviation
    model.fit(training[[*numbers, *known]], answers)
    target = splits.target_of(test.target.to_numpy(object if schema.classes else float), schema)
    rows = test[[*numbers, *known]]
    if not schema.classes:
        predicted = mean + deviation * np.asarray(model.predict(rows), float)
        nothing = np.empty((len(target), 0), np.float32)
        return measure(schema, target, Predictions(predicted, nothing))
    probabilities = model.predict_proba(rows).astype(np.float32)
    predicted = np.array(schema.classes, object)[probabilities.argmax(axis=1)]
    return measure(schema, target, Predictions(predicted, probabilities))


def make_one_hot(numbers: list[str], known: Mapping[str, list[str]]) -> Callable[..., Any]:
    """Returns a function that returns a transformer of a DataFrame: numbers are filled and go through the
    given transformers, and categories become columns of 0 and 1."""

    def transformer(*more: Any) -> Any:
        filled = make_pipeline(SimpleImputer(strategy="median"), *more)
        encoder = OneHotEncoder(
            categories=[*known.values()],
            handle_unknown="ignore",
            sparse_output=False,
        )
        parts = [(filled, numbers), (encoder, [*known])]
        return make_column_transformer(*(part for part in parts if part[1]))

    return transformer


def estimator_by_hand(
    architecture: str,
    values: Mapping[str, Any],
    one_hot: Callable[..., Any],
    *,
    is_number: bool,
) -> Any:
    """Returns the estimator that a script would use for a DataFrame, with the values of params.yaml."""
    seed = values["seed"]
    if architecture == "linear":
        penalty = values["inverse_penalty"]
        model = (
            Ridge(alpha=1 / penalty)
            if is_number
            else LogisticRegression(C=penalty, max_iter=values["iterations"], random_state=seed)
        )
        return make_pipeline(one_hot(StandardScaler()), model)
    if architecture == "random_forest":
        forest = RandomForestRegressor if is_number else RandomForestClassifier
        model = forest(
            n_estimators=values["trees"],
            max_leaf_nodes=values["leaves"],
            random_state=seed,
            n_jobs=-1,
        )
        return make_pipeline(one_hot(), model)
    steps = {"learning_rate": values["learning_rate"], "random_state": seed}
    if architecture == "lightgbm":
        return (lightgbm.LGBMRegressor if is_number else lightgbm.LGBMClassifier)(
            n_estimators=values["iterations"],
            num_leaves=values["leaves"],
            min_child_samples=values["leaf"],
            verbosity=-1,
            **steps,
        )
    if architecture == "xgboost":
        return (xgboost.XGBRegressor if is_number else xgboost.XGBClassifier)(
            n_estimators=values["iterations"],
            max_leaves=values["leaves"],
            max_depth=0,
            grow_policy="lossguide",
            enable_categorical=True,
            **steps,
        )
    return (HistGradientBoostingRegressor if is_number else HistGradientBoostingClassifier)(
        max_iter=values["iterations"],
        max_leaf_nodes=values["leaves"],
        min_samples_leaf=values["leaf"],
        early_stopping=False,
        **steps,
    )


def parity() -> str:
    """Returns the largest difference of each architecture from its ONNX model, over all tables."""
    worst = {name: dict.fromkeys(UNITS, 0.0) for name in ARCHITECTURES}
    for table, rows in tables("regression"):
        scaled = (rows.target - rows.target.mean()) / rows.target.std()
        for unit, (offset, factor) in UNITS.items():
            schema = prepare_table("regression", rows.assign(target=offset + factor * scaled))
            for name, found in worst.items():
                found[unit] = max(found[unit], difference(name, schema))
        print("parity", table, worst, flush=True)
    lines = [
        [f"`{name}`", *(f"{each:.1e}" for each in found.values())] for name, found in worst.items()
    ]
    most = max(each for found in worst.values() for each in found.values())
    said = page.paragraph(
        "The largest difference between an estimator and its ONNX model, restored with 64 bits, on the test "
        "rows of all eight tables of numbers and on a copy of them with missing and unknown values: relative "
        "to the distance of the prediction from the mean of the target or, if that is more, to the standard "
        f"deviation of the target. Allowed is {export.TOLERANCE:.0e}; the largest one is {most:.1e}."
    )
    return f"## Parity of numbers\n\n{said}\n\n{page.table(['target', *UNITS], lines)}".rstrip()


def difference(name: str, schema: Schema) -> float:
    params = load_configuration().params.train.model_copy(update={"architecture": name})
    table, target, inputs = train.read_training_rows(schema)
    scale = train.scale_of(target, schema.task)
    assert scale
    estimator = train.fit_estimator(
        params, table, (target - scale.offset) / scale.factor, inputs, schema
    )
    rows = export.with_missing_and_unseen(
        matrices_of(splits.read_split("test", schema).columns, schema)
    )
    model = export.to_onnx(estimator, inputs)
    answers = export.run_model(model, rows, schema.task)[:, 0].astype(float)
    restored = scale.offset + scale.factor * answers
    expected = scale.offset + scale.factor * estimator.predict(export.table_of(rows)).astype(float)
    unit = np.maximum(np.abs(expected - scale.offset), scale.factor)
    return float((np.abs(restored - expected) / unit).max())


def coverage() -> str:
    """Returns how often the intervals of samples of test rows hold the metric of all rows."""
    sizes = (100, 500, 2000)
    lines = []
    for task, (schema, target, predictions) in populations().items():
        truth = measure(schema, target, predictions)
        held = {name: dict.fromkeys(sizes, 0) for name in METRICS[task]}
        random = np.random.default_rng(1)
        for size in sizes:
            for _ in range(DRAWN):
                chosen = random.integers(0, len(target), size)
                drawn = target[chosen], predictions.take(chosen)
                found = intervals(schema, measure(schema, *drawn), *drawn)
                for name, ends in found.items():
                    held[name][size] += bool(ends and ends[0] <= truth[name] <= ends[1])
        lines += [
            [f"{task}: `{name}`", *(f"{held[name][size] / DRAWN:.1%}" for size in sizes)]
            for name in METRICS[task]
        ]
        print("coverage", task, flush=True)
    said = page.paragraph(
        f"How many of {DRAWN} samples of test rows, drawn from 100,000 made rows with their predictions, "
        "have an interval that holds the metric of all rows. It should be 95 %."
    )
    heads = ["metric", *(f"{size:,} rows" for size in sizes)]
    return f"## Intervals\n\n{said}\n\n{page.table(heads, lines)}".rstrip()


def populations() -> dict[Task, tuple[Schema, Any, Predictions]]:
    """Returns made rows of each task with predictions: their schema, their target, and the predictions."""
    random, rows = np.random.default_rng(2), 100_000
    found: dict[Task, tuple[Schema, Any, Predictions]] = {}
    classes = {"binary": ("a", "b"), "multiclass": ("a", "b", "c")}
    for task, names in classes.items():
        logits = random.normal(0, 2, (rows, len(names))) - np.arange(len(names))
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        target = (
            (shares.cumsum(axis=1) < random.random((rows, 1))).sum(axis=1).clip(0, len(names) - 1)
        )
        answers = np.array(names, object)[shares.argmax(axis=1)]
        schema = Schema("made", "target", names, (), task)
        found[task] = schema, target, Predictions(answers, shares.astype(np.float32))
    actual = random.gamma(4, 10, rows) + 1
    predicted = actual + random.standard_t(5, rows) * 5
    schema = Schema("made", "target", (), (), "regression")
    found["regression"] = schema, actual, Predictions(predicted, np.empty((rows, 0), np.float32))
    return found


if __name__ == "__main__":
    main()
