"""What notebooks and scripts ask of the project: the prepared rows, a try of a derived column, and the model
of a version.

It works from any directory of the project, and changes neither files nor Git: what is fetched goes into DVC's
cache, and what a version needs to answer into .dvc/tmp.
"""

import contextlib
import importlib
import inspect
import io
import json
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import parquet

import science.architectures
import science.features
from mlops.errors import MlopsError, UsageError, printable_text
from mlops.metrics import measure
from mlops.predict.derived import DERIVED
from mlops.predict.predictor import Predictor
from mlops.predict.schema import Schema, read_schema
from mlops.release.follow import deployment
from mlops.release.history.git import Git
from mlops.release.look import card
from mlops.release.look.card import Card
from mlops.site import pages
from mlops.tables import splits
from mlops.tables.answered import answer_split
from mlops.tables.splits import SplitName

SHOWN = 3
"""How many values that are unlike the training rows a warning names."""


class Markdown(str):
    """A text that a notebook shows as the Markdown that it is."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return str(self)


class Model:
    """The model of a version, which answers as the service does: with the code and libraries of its commit.

    `metrics` are those of the test rows, with their baseline and their interval of 95 %, and `card` is the
    card of the version in Markdown.
    """

    def __init__(self, git: Git, found: Card) -> None:
        self._git, self._commit, self.name = git, found.commit, found.name
        self.metrics, self.card = metrics_table(found), Markdown(pages.card_markdown(git, found))
        with deployment.open_deployment(git, self._commit, say=print) as deployed:
            content = json.loads((deployed.folder / "deploy/schema.json").read_bytes())
        self.columns: list[str] = [column["name"] for column in content["columns"]]
        self.target: str = content["target"]
        self.classes: list[str] = content["classes"]

    def __repr__(self) -> str:
        return f"<the model of {self.name}, which predicts {self.target}>"

    def predict(self, rows: pd.DataFrame) -> "pd.Series[Any]":
        """Returns the class, as text, or the number that is predicted for each row; columns that the model
        does not take are left out. Raises MlopsError, which names every value that the model refuses."""
        return pd.Series(self._ask(rows)["answers"], rows.index, name=self.target)

    def predict_proba(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Returns the probability of each class, of shape (rows, classes). Raises UsageError if the model
        predicts a number, and MlopsError as `predict` does."""
        if not self.classes:
            raise UsageError(
                f"{self.name} predicts a number, which has no probability: use predict"
            )
        found = self._ask(rows)["probabilities"]
        return pd.DataFrame(found, rows.index, pd.Index(self.classes))

    def _ask(self, rows: pd.DataFrame) -> dict[str, Any]:
        taken = rows[[name for name in self.columns if name in rows]].astype(object)
        content = taken.where(taken.notna(), None).to_dict("records")
        with deployment.open_deployment(self._git, self._commit, say=print) as deployed:
            done = subprocess.run(
                [str(deployed.python), "-m", "mlops.service.ask", str(deployed.folder), "-"],
                env=deployed.variables,
                input=json.dumps(content, default=text_of_value),
                capture_output=True,
                errors="replace",
                check=False,
            )
        if done.returncode:
            raise MlopsError(done.stderr.strip().removeprefix("mlops: "))
        answers: dict[str, Any] = json.loads(done.stdout)
        if unlike := answers["warnings"]:
            more = len(unlike) + answers["more"] - SHOWN
            others = f"; and {more:,} more" if more > 0 else ""
            said = f"unlike the training rows: {'; '.join(unlike[:SHOWN])}{others}"
            warnings.warn(printable_text(said), stacklevel=3)
        return answers


def schema() -> Schema:
    """Returns the input schema of the prepared rows: `target`, `task`, `classes`, `columns`, and
    `names(TYPE)`, which returns the names of the columns of a type. Raises MlopsError if there are no
    prepared rows."""
    return read_schema(prepared_file(splits.SCHEMA))


def split(name: SplitName) -> pd.DataFrame:
    """Returns the prepared rows of "train", "validation" or "test" with their target. A missing number is
    nan, and a missing text is "". Raises MlopsError if there are no prepared rows."""
    if name not in splits.NAMES:
        raise UsageError(f"{name!r} is no split: name one of {', '.join(splits.NAMES)}")
    table = parquet.read_table(prepared_file(splits.split_file(name)))
    rows: pd.DataFrame = table.to_pandas(date_as_object=False)
    return rows


def try_feature(feature: str | Callable[..., Any]) -> pd.DataFrame:
    """Returns each metric of the validation rows `now` and `with` a new derived column. Both models are
    trained as the stage train does it, with the parameters of params.yaml.

    `feature` is what would be added to science/features.py: as text, or as a function of the notebook.
    """
    from mlops.train import train  # with scikit-learn, in seconds

    text = feature if isinstance(feature, str) else inspect.getsource(feature)
    root = Git.of_current_directory().root
    for name in ("train", "validation"):
        prepared_file(splits.split_file(name))
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        for each in root.iterdir():
            if each != root / train.MODELS:
                Path(folder, each.name).symlink_to(each)
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        DERIVED.clear()
        for module in (science.features, science.architectures):
            importlib.reload(module)  # they may have been edited
        now, before = trained_metrics(), {**DERIVED}
        exec(text, {**vars(science.features)})  # noqa: S102 - as if it stood in the file
        if before == DERIVED:
            raise UsageError(
                "no derived column is new: write @number or @category above a function"
            )
        return pd.DataFrame({"now": now, "with": trained_metrics()})


def trained_metrics() -> dict[str, float | None]:
    """Trains in the current directory, and returns the metrics of the validation rows by name."""
    from mlops.train import train

    train.main()
    predictor = Predictor(train.MODELS)
    rows, predictions = answer_split("validation", predictor)
    return measure(predictor.schema, rows.target, predictions)


def model(name: str) -> Model:
    """Returns the model of a version (v1.2.0), environment, record, experiment or commit; data that are not
    here are fetched. Raises MlopsError if nothing has this name, or has deployed nothing."""
    git = Git.of_current_directory()
    found = card.card_of(git, name)
    deployment.bundle_of(git, found.commit, name)  # or it says that there is none
    return Model(git, found)


def prepared_file(path: Path) -> Path:
    """Returns where a file of the prepared rows is. Raises MlopsError if it is missing."""
    file = Git.of_current_directory().root / path
    if not file.exists():
        raise MlopsError(
            f"there is no {file}: make the prepared rows (`mlops repro prepare`), or fetch them (`dvc pull "
            "prepare`)"
        )
    return file


def metrics_table(found: Card) -> pd.DataFrame:
    table = pd.DataFrame({name: found.metrics.get(name, {}) for name in ("test", "baseline")})
    ends = pd.DataFrame(found.metrics.get("interval", {}), ["low", "high"]).T
    return table.join(ends)


def text_of_value(value: object) -> str:
    """Returns a date as a client writes it. The contract refuses a time that is not midnight, and the text of
    anything else that JSON does not have."""
    if isinstance(value, date):
        return value.isoformat().removesuffix("T00:00:00")
    return str(value)
