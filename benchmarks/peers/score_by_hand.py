"""Scores a batch as most people write it: `python score_by_hand.py MODEL TABLE DATABASE`."""

import sys

import joblib
import pandas as pd
from sqlalchemy import create_engine

model_file, table, database = sys.argv[1:]
model = joblib.load(model_file)
rows = pd.read_parquet(table) if table.endswith(".parquet") else pd.read_csv(table)
probabilities = model.predict_proba(rows)
answers = pd.DataFrame(
    {
        "id": rows["id"],
        "prediction": model.classes_[probabilities.argmax(axis=1)],
        "probability": probabilities[:, 1],
    }
)
engine = create_engine(database)
answers.to_sql("predictions", engine, if_exists="append", index=False, chunksize=10_000)
