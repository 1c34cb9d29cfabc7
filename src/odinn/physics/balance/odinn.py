"""ODINN's published monthly scheme, reproduced so that its users can compare. Not for other use.

The daily series is first shifted to the mean height of the whole rectangle while its reference
height stays, then lapse-corrected again (the double correction), and the lapse rate acts on the
month's degree-days as a whole, so that height alone can make melt. Sleipnir.jl <= 0.14, Muninn.jl
<= 0.12.
"""

from __future__ import annotations

import calendar
import datetime as dt
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from odinn.climate import Climate
from odinn.constants import ACCUMULATION_THRESHOLD, LAPSE_RATE_LIMITS
from odinn.errors import ClimateError, of_glacier
from odinn.glacier import Glacier, climate_of
from odinn.grid import Array, Cell, Scalar
from odinn.numbers.slot import Number, slot
from odinn.physics.balance.base import AbstractMassBalance, Coupling, Frequency, Rates


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


class OdinnBalance(AbstractMassBalance):
    """ODINN's monthly temperature index with its double lapse-rate correction and without
    conversion to ice, for comparison with it.

    b = precip_factor · snow − melt_factor · degree-days, added as metres of ice at the ends of
    months but the last one: needs daily data and ``coupling="jump"``.

    Args:
        melt_factor: m w.e. K⁻¹ d⁻¹. precip_factor: 1. Numbers, cell fields (ny, nx) or ``{rgi_id:
            number or field}``.

    >>> OdinnBalance(melt_factor=6e-3, precip_factor=1.2).couplings
    ('jump',)
    """

    melt_factor: Number = slot(
        7e-3, unit="m w.e. K⁻¹ d⁻¹", place="cell", label="melt factor", smallest=0.0
    )
    precip_factor: Number = slot(
        1.0, unit="1", place="cell", label="precipitation factor", smallest=0.0
    )

    frequency: ClassVar[Frequency] = "monthly"
    couplings: ClassVar[tuple[Coupling, ...]] = ("jump",)
    acts_at_final_time: ClassVar[bool] = False
    is_local: ClassVar[bool] = True

    @property
    def accumulation_threshold(self) -> float:  # type: ignore[override]
        """See :class:`AbstractMassBalance`: part of the scheme, and inside the outline, too."""
        return ACCUMULATION_THRESHOLD

    def forcing(self, glacier: Glacier, months: np.ndarray) -> OdinnMonth:
        """Sums over the days of months, rounded as ODINN rounds them."""
        return odinn_months(glacier, climate_of(glacier, "the mass balance"), months)

    def rates(self, forcing: OdinnMonth, surface: Cell, time: float | Scalar) -> Rates:
        """m w.e. per month."""
        degree_days, snow, rain = forcing.degree_days_snow_and_rain(surface)
        water = self.precip_factor * 1e-3  # kg m⁻² to m w.e.
        return Rates(water * snow, self.melt_factor * degree_days, water * rain)


def odinn_months(glacier: Glacier, climate: Climate, months: np.ndarray) -> OdinnMonth:
    """The windows that end with these months."""
    if climate.step != "daily":
        message = f"OdinnBalance needs a daily series; '{climate.name}' is monthly"
        raise ClimateError(of_glacier(glacier.rgi_id, message))
    if climate.scenario is not None:
        message = f"OdinnBalance follows the days of a real series, not {climate}"
        raise ClimateError(of_glacier(glacier.rgi_id, message))
    days_of_series = _places_of_days(climate)
    lift = float(np.mean(glacier.surface)) - climate.ref_height
    sums = []
    for k in months:
        first, last = _odinn_date(k / 12), _odinn_date((k + 1) / 12)
        window = [first + dt.timedelta(days=i) for i in range((last - first).days + 1)]
        days = [day for day in window if day in days_of_series]
        # a series may end with the day before the last: ODINN's windows hold both ends
        is_whole = days and (days[-1] == last or last == max(days_of_series) + dt.timedelta(days=1))
        if not is_whole or days[0] != first:
            climate.rows([k], glacier.rgi_id)
            message = f"climate '{climate.name}' ends before {last}"
            raise ClimateError(of_glacier(glacier.rgi_id, message))
        at = tuple(np.array([days_of_series[day] for day in days]).T)
        sums.append(_sums(climate, at, lift))
    return OdinnMonth(*np.round(np.array(sums), 8).T)


def _sums(climate: Climate, at: tuple[np.ndarray, ...], lift: float) -> tuple[float, ...]:
    """The fields of :class:`OdinnMonth` over days of the series, in order."""
    gradient = climate.gradient[at]
    temp = climate.temp[at] + gradient * lift
    return (
        np.maximum(temp, 0.0).sum(),
        np.clip(gradient, *LAPSE_RATE_LIMITS).sum(),
        temp.mean(),
        gradient.mean(),
        climate.precip[at].sum(),
        climate.ref_height,
    )


def _places_of_days(climate: Climate) -> dict[dt.date, tuple[int, int]]:
    """(row, day of the month from 0) of each day of a daily series."""
    places = {}
    for row in range(len(climate.temp)):
        year, month = _year_month(climate.first_month + row)
        for d in range(calendar.monthrange(year, month)[1]):
            places[dt.date(year, month, d + 1)] = row, d
    return places


def _odinn_date(t: float) -> dt.date:
    """1 January plus the fraction of the year in whole days, halves to even."""
    year = int(np.floor(t + 1e-9))
    days = 366 if calendar.isleap(year) else 365
    return dt.date(year, 1, 1) + dt.timedelta(days=int(np.round((t - year) * days)))


def _year_month(k: int) -> tuple[int, int]:
    year, month = divmod(int(k), 12)
    return year, month + 1
