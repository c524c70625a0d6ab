"""From a CSV file to a model and its metrics with pandas and scikit-learn, as most people write it.

python train_by_hand.py TABLE
"""

import sys

import joblib
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

table = pd.read_csv(sys.argv[1], na_values="?")
target = (table.pop("income") == ">50K").astype(int)
for name in table.select_dtypes(exclude="number"):
    table[name] = table[name].astype("category")
table["capital_net"] = table.capital_gain - table.capital_loss
table["hours_per_year_of_education"] = table.hours_per_week / table.education_num.clip(1)
x_train, x_rest, y_train, y_rest = train_test_split(table, target, test_size=0.4, random_state=1)
x_valid, x_test, y_valid, y_test = train_test_split(x_rest, y_rest, test_size=0.5, random_state=1)
model = HistGradientBoostingClassifier(
    max_iter=150,
    max_leaf_nodes=31,
    categorical_features="from_dtype",
    early_stopping=False,
    random_state=1,
).fit(x_train, y_train)
for x, y in ((x_valid, y_valid), (x_test, y_test)):
    probability = model.predict_proba(x)[:, 1]
    confusion_matrix(y, probability > 0.5)
    log_loss(y, probability)
    print(accuracy_score(y, probability > 0.5), roc_auc_score(y, probability))
joblib.dump(model, "model.joblib")
