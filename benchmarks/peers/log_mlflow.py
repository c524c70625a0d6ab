"""Saves the twin as an MLflow model: `python log_mlflow.py FOLDER` writes FOLDER/mlflow."""

import sys
from pathlib import Path

import joblib
import mlflow.sklearn
import pandas as pd
from mlflow.models import infer_signature

folder = Path(sys.argv[1])
rows = pd.read_parquet(folder / "test.parquet").dropna()
inputs = rows.drop(columns=["prediction", "probability"])
mlflow.sklearn.save_model(
    joblib.load(folder / "model.joblib"),
    folder / "mlflow",
    signature=infer_signature(inputs, rows["prediction"]),
    code_paths=[str(Path(__file__).with_name("features.py"))],
    serialization_format="cloudpickle",
)
