"""Series are cut into whole months."""

import calendar

import numpy as np
import pytest

from odinn.climate import PADDING_TEMPERATURE
from odinn.data.climate_series import climate_from_series
from odinn.errors import ClimateError


def daily(start, end):
    """A daily series whose temperature is the day of the month."""
    time = np.arange(start, end, dtype="datetime64[D]")
    day = (time - time.astype("datetime64[M]")).astype(int) + 1.0
    precip = np.ones(time.size)
    return climate_from_series(time, day, precip, None, 2500.0, name="made", rgi_id="CLIM-1")


@pytest.mark.parametrize(
    ("start", "end", "first", "count"),
    [
        ("2001-01-01", "2001-04-01", "2001-01", 3),
        ("2001-01-02", "2001-04-01", "2001-02", 2),  # a day is missing of the first month
        ("2001-01-31", "2001-04-01", "2001-02", 2),
        ("2001-01-01", "2001-03-31", "2001-01", 2),  # a day is missing of the last month
        ("2001-01-15", "2001-03-15", "2001-02", 1),
        ("2000-02-02", "2000-04-01", "2000-03", 1),  # of a leap year
        ("2000-02-01", "2000-04-01", "2000-02", 2),
    ],
)
def test_a_first_and_a_last_month_with_missing_days_are_dropped(start, end, first, count):
    climate = daily(start, end)
    month = np.datetime64(first, "M")
    assert climate.first_month == month.astype(int) + 1970 * 12
    assert len(climate.temp) == len(climate.precip) == len(climate.gradient) == count
    for row, total in zip(climate.temp, climate.precip.sum(axis=1), strict=True):
        date = month.item()
        _, days = calendar.monthrange(date.year, date.month)
        np.testing.assert_array_equal(row[:days], 1.0 + np.arange(days))
        assert (row[days:] == PADDING_TEMPERATURE).all()  # days that the month does not have
        assert total == days
        month += 1


def test_a_series_without_a_whole_month_is_an_error():
    with pytest.raises(ClimateError, match="CLIM-1: climate 'made': .* no complete month"):
        daily("2001-01-02", "2001-02-28")
