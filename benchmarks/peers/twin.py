"""Trains the project's model as its peers need it: the same trees in a scikit-learn pipeline.

    python twin.py FOLDER        in a project in which `mlops repro` has run

writes to FOLDER model.joblib, and test.parquet: the test rows with the class and the probability that the
pipeline predicts.
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
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from mlops.predict import schema
from mlops.predict.schema import Schema


def table(split: str, input_schema: Schema) -> pd.DataFrame:
    rows = pd.read_parquet(f"data/prepared/{split}.parquet")
    rows[input_schema.names("category")] = rows[input_schema.names("category")].replace("", np.nan)
    return rows.astype(dict.fromkeys(input_schema.names("integer"), np.int64))


def pipeline(input_schema: Schema) -> Pipeline:
    train = yaml.safe_load(Path("params.yaml").read_text())["train"]
    options = train["architectures"]["gradient_boosting"]
    known = [
        [*column.categories, *([""] if column.missing else [])]
        for column in input_schema.columns
        if column.type == "category"
    ]
    codes = OrdinalEncoder(
        categories=known, handle_unknown="use_encoded_value", unknown_value=np.nan
    )
    encoder = make_pipeline(SimpleImputer(strategy="constant", fill_value=""), codes)
    numbers = [*input_schema.names("integer", "number"), *input_schema.derived]
    return make_pipeline(
        FunctionTransformer(derived),
        ColumnTransformer(
            [
                ("numbers", "passthrough", numbers),
                ("categories", encoder, input_schema.names("category")),
            ]
        ),
        HistGradientBoostingClassifier(
            max_iter=options["iterations"],
            learning_rate=options["learning_rate"],
            max_leaf_nodes=options["leaves"],
            categorical_features=range(len(numbers), len(numbers) + len(known)),
            early_stopping=False,
            random_state=train["seed"],
        ),
    )


def main() -> None:
    folder = Path(sys.argv[1])
    input_schema = schema.read_schema(Path("models/schema.json"))
    inputs = input_schema.names("integer", "number", "category")
    training, test = table("train", input_schema), table("test", input_schema)
    model = pipeline(input_schema).fit(training[inputs], training[input_schema.target])
    joblib.dump(model, folder / "model.joblib")
    answers = {
        "prediction": model.predict(test[inputs]),
        "probability": model.predict_proba(test[inputs])[:, 1],
    }
    test[inputs].assign(**answers).to_parquet(folder / "test.parquet", index=False)


if __name__ == "__main__":
    main()
