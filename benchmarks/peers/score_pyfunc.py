"""Scores a batch with an MLflow model: `python score_pyfunc.py MODEL TABLE DATABASE`."""

import sys

import mlflow.pyfunc
import pandas as pd
from sqlalchemy import create_engine

model_folder, table, database = sys.argv[1:]
model = mlflow.pyfunc.load_model(model_folder)
rows = pd.read_parquet(table) if table.endswith(".parquet") else pd.read_csv(table)
answers = pd.DataFrame({"id": rows["id"], "prediction": model.predict(rows)})
engine = create_engine(database)
answers.to_sql("predictions", engine, if_exists="append", index=False, chunksize=10_000)
