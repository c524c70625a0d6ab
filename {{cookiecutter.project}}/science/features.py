"""Derived columns. To add one, write a function with `@number` or `@category` above it.

Its name is the name of the new column. Its arguments are names of columns of the table, each an array
with a value for each row: numbers, nan where one is missing, or text, "" where it is missing. A boolean is
1 or 0, and a date the number of days since 1970-01-01. It returns an array of the same length. Training and
every prediction call it, often for a single row, so compute each row from that row alone: no mean, no
minimum, no sorting.
"""

import numpy as np

from mlops.predict.derived import category, number


@number
def capital_net(capital_gain, capital_loss):
    """What capital brought in the year, in dollars."""
    return capital_gain - capital_loss


@number
def hours_per_year_of_education(hours_per_week, education_num):
    """Weekly hours for each year at school; a long week after a short schooling stands out."""
    return hours_per_week / np.maximum(education_num, 1)
