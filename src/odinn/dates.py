"""One calendar for runs, climate and observations.

Decimal year = year + (month − 1)/12 + (day − 1)/(12 · days in month): every month is 1/12 of a
year, and the month with index k = round(12 t) starts at t = k/12.
"""

from __future__ import annotations

import calendar
import datetime as dt
import math
import numbers

import numpy as np

from odinn.errors import InputError

Date = float | int | str | dt.date | np.datetime64  # a decimal year, or a date

MONTH = 1.0 / 12.0
_SNAP = 1e-7  # years; decimal years closer than this to a month's start are that start


def decimal_year(date: Date) -> float:
    """Decimal year of a date; numbers pass through.

    Accepts a number, ``datetime``, ``date``, ``numpy.datetime64``, ``pandas.Timestamp`` or an ISO
    string.

    Raises:
        InputError: something that is no date, or a number that is not finite.

    >>> decimal_year("2012-07-01")
    2012.5
    """
    if isinstance(date, numbers.Real) and not isinstance(date, bool):
        if not math.isfinite(date):
            raise _not_a_date(float(date))
        return snap(float(date))
    try:
        moment = _moment(date)
        days = calendar.monthrange(moment.year, moment.month)[1]
    except (AttributeError, TypeError, ValueError) as error:
        raise _not_a_date(date) from error
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond * 1e-6
    day = moment.day - 1 + seconds / 86400.0
    return moment.year + (moment.month - 1) / 12 + day / (12 * days)


def _moment(date: Date) -> dt.datetime:
    if isinstance(date, np.datetime64):
        date = date.astype("datetime64[us]").item()
    if isinstance(date, str):
        date = dt.datetime.fromisoformat(date)
    if isinstance(date, dt.datetime):
        return date
    return dt.datetime(date.year, date.month, date.day)


def _not_a_date(found: object) -> InputError:
    return InputError(
        f"time: found {found!r}, expected a decimal year or a date such as '2010-10-01'"
    )


def date_of(year: float) -> dt.datetime:
    """Date of a decimal year, to the nearest second; inverse of :func:`decimal_year`.

    >>> date_of(2012.5)
    datetime.datetime(2012, 7, 1, 0, 0)
    """
    k = month_index(year)
    fraction = snap(year) * 12 - k
    y, month = divmod(k, 12)
    # the start of a month may lie a round-off before it
    seconds = round(max(fraction, 0.0) * days_in_month(k) * 86400)
    return dt.datetime(y, month + 1, 1) + dt.timedelta(seconds=seconds)


def month_index(year: float) -> int:
    """Index k of the month that contains a decimal year: the month spans [k/12, (k+1)/12)."""
    # k/12 times 12 may be a round-off below k
    return int(np.floor(snap(year) * 12 + 1e-9))


def snap(year: float) -> float:
    """The decimal year, moved to the start of a month if it is within a few seconds of it."""
    k = round(year * 12)
    return k / 12 if abs(year - k / 12) < _SNAP else year


def days_in_month(k: int) -> int:
    """Number of days of the month with index k."""
    y, month = divmod(int(k), 12)
    return calendar.monthrange(y, month + 1)[1]


def month_name(k: int) -> str:
    """The month with index k as 'YYYY-MM'.

    >>> month_name(12 * 2012 + 6)
    '2012-07'
    """
    y, month = divmod(int(k), 12)
    return f"{y:04d}-{month + 1:02d}"


def hydrological_year(k: int, hydro_month: int) -> int:
    """Hydrological year of month k, labelled by the year in which it ends."""
    y, month = divmod(int(k), 12)
    is_in_next = hydro_month > 1 and month + 1 >= hydro_month
    return y + int(is_in_next)


def span_of_year(label: int, hydro_month: int) -> tuple[float, float]:
    """(start, end), decimal years, of the hydrological year with a label.

    >>> span_of_year(2010, 10), span_of_year(2010, 1)
    ((2009.75, 2010.75), (2010.0, 2011.0))
    """
    # the calendar year is the one that does not start in the year before its label
    start = label - int(hydro_month > 1) + (hydro_month - 1) / 12
    return start, start + 1.0
