"""Tests how dates are read, and the numbers that a model is given for them."""

import numpy as np
import pandas as pd
import pytest

from mlops.predict.dates import date_parts, date_text
from mlops.predict.dialect import Dialect


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%Y-%m-%d", "2024-02-30"),
        ("%Y-%m-%d", "0000-01-01"),
        ("%Y-%m-%d", "24-02-01"),
        ("%Y-%m-%d", "2024-05-01T00:00:00"),
        ("%Y-%m-%d", "2024-05-01 00:00:00"),
        ("%Y-%m-%d", "20240501"),
        ("%Y-%m-%d", "\uff12024-05-01"),
        ("%d.%m.%Y", "2024-05-01"),
        ("%d.%m.%Y", "12.24.2024"),
        ("%d.%m.%Y", "24x12x2024"),
        ("%Y%m%d", "2024111"),
    ],
)
def test_a_text_in_another_form_is_no_date(form: str, text: str) -> None:
    assert np.isnan(Dialect(dates=form).days_of(text))


@pytest.mark.parametrize(
    ("form", "text", "day"),
    [
        ("%Y-%m-%d", "1970-01-01", "1970-01-01"),
        ("%Y-%m-%d", "0001-01-01", "0001-01-01"),
        ("%d.%m.%Y", "1.5.2024", "2024-05-01"),
        ("%m/%d/%Y", "05/06/2024", "2024-05-06"),
        ("%Y%m%d", "20240501", "2024-05-01"),
        ("%Y-%m-%d 00:00:00", "2024-05-01 00:00:00", "2024-05-01"),
    ],
)
def test_a_date_is_read_in_the_form_that_is_declared(form: str, text: str, day: str) -> None:
    assert date_text(Dialect(dates=form).days_of(text)) == day


def test_a_model_is_given_the_year_the_month_the_day_of_the_week_and_the_days() -> None:
    days = np.array([-719162, -1, 0, 59, 19844, 20000, 2932896, np.nan])
    year, month, weekday, same = date_parts(days)
    np.testing.assert_array_equal(same, days)
    dates = pd.Series(days[:-1].astype("datetime64[D]").astype("datetime64[s]"))
    for numbers, expected in ((year, dates.dt.year), (month, dates.dt.month)):
        np.testing.assert_array_equal(numbers, [*expected, np.nan])
    np.testing.assert_array_equal(weekday, [*(dates.dt.day_of_week + 1), np.nan])
