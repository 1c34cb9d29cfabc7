"""Which span of a series is used: whole months; a part of a month at either end is left out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from odinn.climate import DAYS, PADDING_TEMPERATURE, Step
from odinn.data.checks import Fail
from odinn.dates import days_in_month, month_name


class Series(NamedTuple):
    """Weather at times of a day or a month: (n,) each, in the units of :class:`Climate`."""

    time: np.ndarray
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
        if values.shape != time.shape:
            raise fail(f"{label} has {values.size} values for {time.size} times")
        missing = ~np.isfinite(values)
        if missing.any():
            day = str(time[missing][0])[:10]
            raise fail(f"{label} is missing (NaN) on {day}: fill the gap or choose another product")


def step_of(time: np.ndarray, fail: Fail) -> Step:
    spacing = np.diff(time) / np.timedelta64(1, "D")
    if (spacing <= 0).any():
        raise fail(f"time does not increase at {str(time[1:][spacing <= 0][0])[:10]}")
    # gaps are looked for later, so one may not hide the step
    typical = float(np.median(spacing))
    if 0.9 < typical < 1.1:
        return "daily"
    if 27 < typical < 32:
        return "monthly"
    raise fail(f"the time step is {typical:g} days; expected daily or monthly values")


def daily(series: Series, fail: Fail) -> tuple[int, Series]:
    """First month, and (months, 31) tables of the whole months of a daily series."""
    days = series.time.astype("datetime64[D]")
    gaps = np.diff(days).astype(int) != 1
    if gaps.any():
        raise fail(f"days are missing after {days[:-1][gaps][0]}")
    months = _months_of(days)
    first, last = int(months[0]), int(months[-1])
    counts = np.bincount(months - first)
    # a month of which days are missing at an end of the series has no balance
    if counts[0] != days_in_month(first):
        first += 1
    if counts[-1] != days_in_month(last):
        last -= 1
    if last < first:
        raise fail("the series holds no complete month")
    kept = (months >= first) & (months <= last)
    row = months[kept] - first
    day = (days - days.astype("datetime64[M]")).astype(int)[kept]

    def table(values: np.ndarray, unused: float) -> np.ndarray:
        out = np.full((last - first + 1, DAYS), unused)
        out[row, day] = values[kept]
        return out

    return first, Series(
        time=series.time,
        temp=table(series.temp, PADDING_TEMPERATURE),
        precip=table(series.precip, 0.0),
        gradient=table(series.gradient, 0.0),
    )


def monthly(series: Series, fail: Fail) -> tuple[int, Series]:
    """First month, and the series as it is."""
    months = _months_of(series.time)
    gaps = np.diff(months) != 1
    if gaps.any():
        raise fail(f"months are missing after {month_name(months[:-1][gaps][0])}")
    return int(months[0]), series


def _months_of(time: np.ndarray) -> Int[np.ndarray, " n"]:
    """Indices 12 · year + month − 1; NumPy counts months from 1970."""
    return time.astype("datetime64[M]").astype(int) + 12 * 1970
