"""ODINN's published monthly scheme, reproduced so that its users can compare. Not for other use.

The daily series is first shifted to the mean height of the whole rectangle while its reference
height stays, then lapse-corrected again (the double correction), and the lapse rate acts on the
month's degree-days as a whole, so that height alone can make melt. Sleipnir.jl <= 0.14, Muninn.jl
<= 0.12.
"""

from __future__ import annotations

import calendar
import datetime as dt

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from odinn.climate import Climate
from odinn.constants import LAPSE_RATE_LIMITS
from odinn.errors import ClimateError, where
from odinn.glacier import Glacier
from odinn.grid import Array, Cell


class OdinnMonth(eqx.Module):
    """Sums over one window of calendar days, both ends included."""

    degree_days: Array
    gradient_sum: Array
    mean_temp: Array
    mean_gradient: Array
    precip: Array
    ref_height: Array

    def degree_days_snow_and_rain(self, surface: Cell) -> tuple[Cell, Cell, Cell]:
        """Degree-days (K d), snow and rain (kg m⁻²): all of the precipitation is one or the
        other.
        """
        height = surface - self.ref_height
        degree_days = jnp.maximum(self.degree_days + self.gradient_sum * height, 0.0)
        temp = self.mean_temp + self.mean_gradient * height
        return (
            degree_days,
            jnp.where(temp <= 0, self.precip, 0.0),
            jnp.where(temp >= 0, self.precip, 0.0),
        )


def odinn_months(glacier: Glacier, climate: Climate, months: np.ndarray) -> OdinnMonth:
    """The windows that end with these months."""
    if climate.step != "daily":
        raise ClimateError(
            where(
                glacier.rgi_id, f"scheme='odinn' needs a daily series; '{climate.name}' is monthly"
            )
        )
    if climate.scenario is not None:
        raise ClimateError(
            where(
                glacier.rgi_id, f"scheme='odinn' follows the days of a real series, not {climate}"
            )
        )
    series = {
        _day(climate.first_month, row) + dt.timedelta(days=int(d)): (row, d)
        for row in range(len(climate.temp))
        for d in range(calendar.monthrange(*_year_month(climate.first_month + row))[1])
    }
    lift = float(np.mean(glacier.surface)) - climate.ref_height
    out = []
    for k in months:
        first, last = _odinn_date(k / 12), _odinn_date((k + 1) / 12)
        days = [first + dt.timedelta(days=i) for i in range((last - first).days + 1)]
        days = [d for d in days if d in series]
        if (
            not days
            or days[0] != first
            or (days[-1] != last and last != max(series) + dt.timedelta(days=1))
        ):
            climate.rows([k], glacier.rgi_id)
            raise ClimateError(
                where(glacier.rgi_id, f"climate '{climate.name}' ends before {last}")
            )
        at = tuple(np.array([series[d] for d in days]).T)
        gradient, precip = climate.gradient[at], climate.precip[at]
        temp = climate.temp[at] + gradient * lift
        out.append(
            (
                np.maximum(temp, 0.0).sum(),
                np.clip(gradient, *LAPSE_RATE_LIMITS).sum(),
                temp.mean(),
                gradient.mean(),
                precip.sum(),
                climate.ref_height,
            )
        )
    columns = np.round(np.array(out), 8).T
    return OdinnMonth(*columns)


def _odinn_date(t: float) -> dt.date:
    """1 January plus the fraction of the year in whole days, halves to even."""
    year = int(np.floor(t + 1e-9))
    days = 366 if calendar.isleap(year) else 365
    return dt.date(year, 1, 1) + dt.timedelta(days=int(np.round((t - year) * days)))


def _day(first_month: int, row: int) -> dt.date:
    return dt.date(*_year_month(first_month + row), 1)


def _year_month(k: int) -> tuple[int, int]:
    year, month = divmod(int(k), 12)
    return year, month + 1
