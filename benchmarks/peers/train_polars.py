"""From a CSV file to a model and its metrics with Polars and LightGBM.

python train_polars.py TABLE
"""

import sys

import lightgbm
import numpy as np
import polars as pl
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, roc_auc_score

table = pl.read_csv(sys.argv[1], null_values="?")
target = (table["income"] == ">50K").to_numpy()
table = table.drop("income").with_columns(
    capital_net=pl.col("capital_gain") - pl.col("capital_loss"),
    hours_per_year_of_education=pl.col("hours_per_week") / pl.col("education_num").clip(1),
)
categories = [name for name, kind in table.schema.items() if kind == pl.String]
table = table.with_columns(pl.col(categories).cast(pl.Categorical).to_physical().cast(pl.Float32))
rows = table.cast(pl.Float32).to_numpy()
split = np.random.default_rng(1).random(len(rows))
train, valid, test = split < 0.6, (split >= 0.6) & (split < 0.8), split >= 0.8
model = lightgbm.LGBMClassifier(n_estimators=150, num_leaves=31, random_state=1, verbosity=-1)
columns = [table.columns.index(name) for name in categories]
model.fit(rows[train], target[train], categorical_feature=columns)
for part in (valid, test):
    probability = model.predict_proba(rows[part])[:, 1]
    confusion_matrix(target[part], probability > 0.5)
    log_loss(target[part], probability)
    print(accuracy_score(target[part], probability > 0.5), roc_auc_score(target[part], probability))
model.booster_.save_model("model.txt")
