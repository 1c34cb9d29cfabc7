"""The calendar: decimal years, months, hydrological years."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odinn.dates import (
    date_of,
    decimal_year,
    hydrological_year,
    month_index,
    month_name,
    span_of_year,
)
from odinn.errors import InputError

moments = st.datetimes(min_value=dt.datetime(1600, 1, 1), max_value=dt.datetime(2300, 1, 1))


@given(moments)
def test_a_date_survives_the_way_to_a_decimal_year_and_back(moment):
    # decimal years near 2000 resolve 2.3e-13 yr = 7e-6 s; date_of rounds to the second, months are
    # snapped within 4 s
    assert abs((date_of(decimal_year(moment)) - moment).total_seconds()) <= 4.0


@given(moments, moments)
def test_decimal_years_order_dates_as_the_calendar_does(a, b):
    if abs((a - b).total_seconds()) > 10:
        assert (decimal_year(a) < decimal_year(b)) == (a < b)


def test_first_days_of_months_are_twelfths_of_a_year():
    assert decimal_year("2012-07-01") == 2012.5
    assert decimal_year(dt.date(2009, 10, 1)) == 2009.75
    assert decimal_year(np.datetime64("2010-01-01")) == 2010.0
    assert date_of(2012.5) == dt.datetime(2012, 7, 1)


def test_months_and_hydrological_years_are_labelled_as_in_the_field():
    assert month_index(2009.75) == 2009 * 12 + 9
    assert month_name(2009 * 12 + 9) == "2009-10"
    assert hydrological_year(2009 * 12 + 9, 10) == 2010
    assert hydrological_year(2009 * 12 + 8, 10) == 2009
    assert hydrological_year(2010 * 12 + 3, hydro_month=4) == 2011


@pytest.mark.parametrize("month", [1, 4, 10, 12])
def test_the_span_of_a_year_holds_the_months_that_bear_its_label(month):
    start, end = span_of_year(2010, month)
    labels = [hydrological_year(k, month) for k in range(12 * 2008, 12 * 2012)]
    first = 12 * 2008 + labels.index(2010)
    assert (month_index(start), month_index(end)) == (first, first + 12)


@pytest.mark.parametrize("wrong", ["last spring", None, [2010], "2010-13-01", True])
def test_something_that_is_no_date_is_an_error_that_shows_it(wrong):
    with pytest.raises(InputError, match="expected a decimal year or a date"):
        decimal_year(wrong)


@pytest.mark.parametrize("date", [float("nan"), float("inf"), np.float64("nan")])
def test_a_time_that_is_not_a_number_is_refused(date):
    with pytest.raises(InputError, match="found (nan|inf), expected a decimal year or a date"):
        decimal_year(date)
