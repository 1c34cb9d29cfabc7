"""Which span of a series is used: whole months; a part of a month at either end is left out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Int

from odinn.climate import DAYS, PADDING_TEMPERATURE, Step
from odinn.dates import month_name
from odinn.errors import Fail


class Times(NamedTuple):
    """Times of a series by its own calendar, each (n,): index of the month (12 · year + month − 1),
    day of the month from 1 on, days that the month has, and days since the first time.
    """

    month: Int[np.ndarray, " n"]
    day: Int[np.ndarray, " n"]
    days_in_month: Int[np.ndarray, " n"]
    elapsed: np.ndarray

    def __len__(self) -> int:
        return len(self.month)

    def name(self, k: int) -> str:
        """The date of a time, such as 2001-05-31."""
        return f"{month_name(int(self.month[k]))}-{int(self.day[k]):02d}"

    @property
    def step(self) -> float:
        """Days between times, the median: a gap may not hide it."""
        return float(np.median(np.diff(self.elapsed))) if len(self) > 1 else 0.0

    @property
    def days(self) -> np.ndarray:
        """Days that each value of a daily or monthly series lasts."""
        return np.ones(len(self)) if self.step < 1.5 else self.days_in_month.astype(float)


def times_of(time: np.ndarray) -> Times:
    """Dates, datetime64 or of cftime, (n,)."""
    if np.asarray(time).dtype.kind == "M":
        # months and days of NumPy have no common unit, and its nanoseconds end in 2262
        time = time.astype("datetime64[s]")
    dates = xr.DataArray(time, dims="time").dt
    month = 12 * dates.year.values.astype(int) + dates.month.values.astype(int) - 1
    if np.asarray(time).dtype.kind == "M":
        elapsed = (time - time[0]) / np.timedelta64(1, "D")
    else:
        elapsed = np.array([moment.total_seconds() / 86400 for moment in time - time[0]])
    return Times(
        month, dates.day.values.astype(int), dates.days_in_month.values.astype(int), elapsed
    )


class Series(NamedTuple):
    """Weather at times of a day or a month: (n,) each, in the units of :class:`Climate`."""

    time: Times
    temp: np.ndarray
    precip: np.ndarray
    gradient: np.ndarray


def check_complete(series: Series, fail: Fail) -> None:
    """Raise for too few values, or missing ones."""
    time = series.time
    if len(time) < 28:
        raise fail(f"only {len(time)} values; at least 28 days or months are needed")
    named = (("temp", series.temp), ("prcp", series.precip), ("gradient", series.gradient))
    for label, values in named:
        if values.shape != (len(time),):
            raise fail(f"{label} has {values.size} values for {len(time)} times")
        missing = np.isnan(values)
        if missing.any():
            day = time.name(int(np.argmax(missing)))
            raise fail(f"{label} is missing (NaN) on {day}: fill the gap or choose another product")


def step_of(time: Times, fail: Fail) -> Step:
    back = np.diff(time.elapsed) <= 0
    if back.any():
        raise fail(f"time does not increase at {time.name(int(np.argmax(back)) + 1)}")
    if 0.9 < time.step < 1.1:
        return "daily"
    if 27 < time.step < 32:
        return "monthly"
    raise fail(f"the time step is {time.step:g} days; expected daily or monthly values")


def daily(series: Series, fail: Fail) -> tuple[int, Series]:
    """First month, and (months, 31) tables of the whole months of a daily series.

    A month has the days of the series' calendar: 28 in a February without leap days, 30 with 360
    days a year.
    """
    time = series.time
    ends_month = time.day == time.days_in_month
    next_day = np.where(ends_month, 1, time.day + 1)[:-1]
    next_month = (time.month + ends_month)[:-1]
    gaps = (time.day[1:] != next_day) | (time.month[1:] != next_month)
    if gaps.any():
        raise fail(f"days are missing after {time.name(int(np.argmax(gaps)))}")
    first, last = int(time.month[0]), int(time.month[-1])
    # a month of which days are missing at an end of the series has no balance
    if time.day[0] != 1:
        first += 1
    if not ends_month[-1]:
        last -= 1
    if last < first:
        raise fail("the series holds no complete month")
    kept = (time.month >= first) & (time.month <= last)
    row, column = time.month[kept] - first, time.day[kept] - 1

    def table(values: np.ndarray, unused: float) -> np.ndarray:
        out = np.full((last - first + 1, DAYS), unused)
        out[row, column] = values[kept]
        return out

    return first, Series(
        time=time,
        temp=table(series.temp, PADDING_TEMPERATURE),
        precip=table(series.precip, 0.0),
        gradient=table(series.gradient, 0.0),
    )


def monthly(series: Series, fail: Fail) -> tuple[int, Series]:
    """First month, and the series as it is."""
    gaps = np.diff(series.time.month) != 1
    if gaps.any():
        raise fail(f"months are missing after {series.time.name(int(np.argmax(gaps)))[:7]}")
    return int(series.time.month[0]), series
