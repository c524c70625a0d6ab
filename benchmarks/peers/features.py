"""Computes the two derived columns of the project's science/features.py with pandas."""

import pandas as pd


def derived(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(
        capital_net=rows["capital_gain"] - rows["capital_loss"],
        hours_per_year_of_education=rows["hours_per_week"] / rows["education_num"].clip(lower=1),
    )
