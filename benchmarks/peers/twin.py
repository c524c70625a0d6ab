"""The project's model as its peers have it: the same trees in a scikit-learn pipeline of names.

    python twin.py FOLDER        in a project that `mlops repro` has run in

writes into FOLDER model.joblib, and test.parquet: the test rows with the label and the probability
that the pipeline gives them.
"""

import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import yaml
from features import derived
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from mlops.predict import schema
from mlops.predict.schema import Schema


def table(split: str, read: Schema) -> pd.DataFrame:
    rows = pd.read_parquet(f"data/prepared/{split}.parquet")
    rows[read.names("category")] = rows[read.names("category")].replace("", np.nan)
    return rows.astype(dict.fromkeys(read.names("integer"), np.int64))


def pipeline(read: Schema) -> Pipeline:
    train = yaml.safe_load(Path("params.yaml").read_text())["train"]
    options = train["architectures"]["gradient_boosting"]
    known = [
        [*column.categories, *([np.nan] if column.missing else [])]
        for column in read.columns
        if column.type == "category"
    ]
    encoder = OneHotEncoder(categories=known, handle_unknown="ignore", sparse_output=False)
    numbers = [*read.names("integer", "number"), *read.derived]
    return make_pipeline(
        FunctionTransformer(derived),
        ColumnTransformer(
            [("numbers", "passthrough", numbers), ("categories", encoder, read.names("category"))]
        ),
        HistGradientBoostingClassifier(
            max_iter=options["iterations"],
            learning_rate=options["learning_rate"],
            max_leaf_nodes=options["leaves"],
            categorical_features=None,
            early_stopping=False,
            random_state=train["seed"],
        ),
    )


def main() -> None:
    folder = Path(sys.argv[1])
    read = schema.read_schema(Path("models/schema.json"))
    inputs = read.names("integer", "number", "category")
    training, test = table("train", read), table("test", read)
    model = pipeline(read).fit(training[inputs], training[read.target])
    joblib.dump(model, folder / "model.joblib")
    answers = {
        "prediction": model.predict(test[inputs]),
        "probability": model.predict_proba(test[inputs])[:, 1],
    }
    test[inputs].assign(**answers).to_parquet(folder / "test.parquet", index=False)


if __name__ == "__main__":
    main()
