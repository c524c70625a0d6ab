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
        ("%Y-%m-%d %H:%M", "2024-05-01"),
        ("%Y-%m-%d %H:%M", "2024-05-01 24:00"),
        ("%Y-%m-%d %H:%M:%S", "2024-05-01 12:30"),
        ("%Y-%m-%d %H:%M%z", "0001-01-01 00:00+02:00"),
        ("%d.%m.%Y %I:%M %p", "24.12.2024 13:05 PM"),
        ("%d.%m.%Y %I:%M %p", "24.12.2024 00:05 AM"),
        ("%d.%m.%y", "24.12.2024"),
        ("%d-%b-%Y", "24-Dez-2024"),
        ("%d-%b-%Y", "31-Feb-2024"),
        ("%d-%b-%Y", "24-12-2024"),
    ],
)
def test_a_text_in_another_form_is_no_date(form: str, text: str) -> None:
    assert np.isnan(Dialect(dates=form).days_of(text, "day"))


@pytest.mark.parametrize(
    ("form", "text", "day"),
    [
        ("%Y-%m-%d", "1970-01-01", "1970-01-01"),
        ("%Y-%m-%d", "0001-01-01", "0001-01-01"),
        ("%d.%m.%Y", "1.5.2024", "2024-05-01"),
        ("%m/%d/%y", "5/1/24", "2024-05-01"),
        ("%d.%m.%y", "1.5.68", "2068-05-01"),
        ("%d.%m.%y", "1.5.69", "1969-05-01"),
        ("%d-%b-%y", "01-may-24", "2024-05-01"),
        ("%b %d, %Y", "Sept. 9, 2024", "2024-09-09"),
        ("%d %b %Y %H:%M", "1 December 2024 13:45", "2024-12-01T13:45:00"),
        ("%m/%d/%Y", "05/06/2024", "2024-05-06"),
        ("%Y%m%d", "20240501", "2024-05-01"),
        ("%Y-%m-%d 00:00:00", "2024-05-01 00:00:00", "2024-05-01"),
        ("%Y-%m-%d %H:%M", "2024-05-01 00:00", "2024-05-01"),
        ("%Y-%m-%dT%H:%M:%S", "2024-05-01T13:45:09", "2024-05-01T13:45:09"),
        ("%Y-%m-%d %H:%M:%S", "1969-05-01 13:45:09.0079", "1969-05-01T13:45:09.007000"),
        ("%Y-%m-%d %H:%M:%S", "9999-12-31 23:59:59", "9999-12-31T23:59:59"),
        ("%Y-%m-%d %H:%M:%S%z", "2024-05-01 00:30:00+02:00", "2024-04-30T22:30:00"),
        ("%Y-%m-%dT%H:%M:%S%z", "2024-05-01T13:45:00Z", "2024-05-01T13:45:00"),
        ("%m/%d/%Y %I:%M:%S %p", "5/1/2024 12:45:00 am", "2024-05-01T00:45:00"),
        ("%d.%m.%Y, %H:%M", "1.5.2024, 7:05", "2024-05-01T07:05:00"),
    ],
)
def test_a_date_is_read_in_the_form_that_is_declared(form: str, text: str, day: str) -> None:
    assert date_text(Dialect(dates=form).days_of(text, "day")) == day


def test_a_model_is_given_the_year_the_month_the_day_of_the_week_the_days_and_the_hour() -> None:
    days = np.array([-719162, -1, 0, 59, 19844, 20000, 2932896, np.nan])
    year, month, weekday, same, hours = date_parts(days + 0.573)
    np.testing.assert_array_equal(same, days)
    np.testing.assert_allclose(hours, [*[13.752] * 7, np.nan])
    dates = pd.Series(days[:-1].astype("datetime64[D]").astype("datetime64[s]"))
    for numbers, expected in ((year, dates.dt.year), (month, dates.dt.month)):
        np.testing.assert_array_equal(numbers, [*expected, np.nan])
    np.testing.assert_array_equal(weekday, [*(dates.dt.day_of_week + 1), np.nan])
