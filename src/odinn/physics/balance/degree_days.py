"""The weather of a month, as a balance by degree-days needs it."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from odinn.climate import DAYS
from odinn.constants import LAPSE_RATE_LIMITS
from odinn.dates import days_in_month
from odinn.glacier import Glacier, climate_of
from odinn.grid import Array, Cell

TEMPERATURE_STD = 3.0  # K, spread of daily temperatures about a monthly mean
_UNROLLED = 4  # days in one pass over the cells, on a processor


class DailyMonth(eqx.Module):
    """One month of daily weather at ``ref_height``: °C, kg m⁻² and K m⁻¹, (31,) with unused days
    far below freezing.
    """

    temp: Array
    precip: Array
    gradient: Array
    ref_height: Array

    def degree_days_and_snow(
        self,
        surface: Cell,
        bias: Cell,
        melt_temperature: float,
        snow_temperature: tuple[float, float],
        spread: Any,
    ) -> tuple[Cell, Cell]:
        """Degree-days (K d) and solid precipitation (kg m⁻²) at a surface (m).

        T_d(z) = T_d + bias + Γ_d (z − z_ref) for each day, so both sums are exact, also where the
        lapse rate varies within the month. Precipitation is solid below the first snow temperature,
        liquid above the second, and a linear mixture between (Maussion et al. 2019, §2.3).
        """
        days = jnp.stack(
            [jnp.asarray(self.temp), jnp.asarray(self.precip), jnp.asarray(self.gradient)], axis=1
        )
        thresholds = melt_temperature, *snow_temperature
        return _sums_over_days(
            thresholds, days, surface - self.ref_height, jnp.broadcast_to(bias, surface.shape)
        )

    @property
    def total_precip(self) -> Array:
        """Precipitation of the month, kg m⁻²."""
        return jnp.sum(self.precip)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _sums_over_days(
    thresholds: tuple[float, float, float], days: Array, height: Cell, bias: Cell
) -> tuple[Cell, Cell]:
    """(degree-days, snow) of days (temperature, precipitation, lapse rate) at a height above their
    own.
    """

    def add(i: Array, sums: tuple[Cell, Cell]) -> tuple[Cell, Cell]:
        _, degrees, snow = _day(thresholds, days[i], height, bias)
        return sums[0] + degrees, sums[1] + snow

    zero = jnp.zeros_like(height)
    return lax.fori_loop(0, DAYS, add, (zero, zero), unroll=_days_at_once())


@_sums_over_days.defjvp
def _sums_over_days_jvp(thresholds: tuple, at: tuple, along: tuple) -> tuple[tuple, tuple]:
    """A cell depends on itself alone, so four more sums hold the whole derivative. The weather is
    not differentiated.
    """
    (days, height, bias), (_, rise, warming) = at, along
    melt, solid, liquid = thresholds

    def add(i: Array, sums: tuple[Cell, ...]) -> tuple[Cell, ...]:
        temp, degrees, snow = _day(thresholds, days[i], height, bias)
        _, precip, gradient = days[i]
        melts = jnp.where(temp > melt, 1.0, 0.0)
        turns = jnp.where((temp > solid) & (temp < liquid), precip / (solid - liquid), 0.0)
        more = degrees, snow, gradient * melts, melts, gradient * turns, turns
        return tuple(a + b for a, b in zip(sums, more, strict=True))

    degrees, snow, *slopes = lax.fori_loop(
        0, DAYS, add, (jnp.zeros_like(height),) * 6, unroll=_days_at_once()
    )
    return (degrees, snow), (
        slopes[0] * rise + slopes[1] * warming,
        slopes[2] * rise + slopes[3] * warming,
    )


def _days_at_once() -> int:
    """On a GPU each pass is a launch, and sums that stay in registers cost no memory: all days."""
    return _UNROLLED if jax.default_backend() == "cpu" else DAYS


def _day(
    thresholds: tuple[float, float, float], day: Array, height: Cell, bias: Cell
) -> tuple[Cell, Cell, Cell]:
    """(temperature, degrees above melting, snow) of one day."""
    melt, solid, liquid = thresholds
    temp = day[0] + bias + day[2] * height
    return (
        temp,
        jnp.maximum(temp - melt, 0.0),
        day[1] * jnp.clip((liquid - temp) / (liquid - solid), 0.0, 1.0),
    )


class MeanMonth(eqx.Module):
    """One month of monthly data at ``ref_height``: mean °C, kg m⁻² per month, K m⁻¹, and its number
    of days.
    """

    temp: Array
    precip: Array
    gradient: Array
    days: Array
    month: Array
    ref_height: Array

    def degree_days_and_snow(
        self,
        surface: Cell,
        bias: Cell,
        melt_temperature: float,
        snow_temperature: tuple[float, float],
        spread: Any,
    ) -> tuple[Cell, Cell]:
        """Degree-days (K d) and solid precipitation (kg m⁻²): expectations over normally
        distributed daily temperatures.

        E[max(T, 0)] = σ φ(μ/σ) + μ Φ(μ/σ) (Calov & Greve 2005, eq. 6); the solid fraction is the
        expectation of the ramp between the snow temperatures. ``spread`` is σ (K): a number, a cell
        field or 12 values.
        """
        if jnp.ndim(spread) == 1:
            spread = spread[self.month]
        mean = self.temp + bias + self.gradient * (surface - self.ref_height)
        excess = lambda m: _expected_excess(m, spread)
        solid, liquid = snow_temperature
        fraction = (excess(liquid - mean) - excess(solid - mean)) / (liquid - solid)
        return self.days * excess(mean - melt_temperature), self.precip * fraction

    @property
    def total_precip(self) -> Array:
        """Precipitation of the month, kg m⁻²."""
        return self.precip


class MeanOfMonths(eqx.Module):
    """The same month of several years, (years,) leading: its sums are the means of theirs, so that
    balances are averaged and not the weather."""

    each: DailyMonth | MeanMonth

    def degree_days_and_snow(
        self,
        surface: Cell,
        bias: Cell,
        melt_temperature: float,
        snow_temperature: tuple[float, float],
        spread: Any,
    ) -> tuple[Cell, Cell]:
        """Degree-days (K d) and solid precipitation (kg m⁻²): means over the years."""

        @jax.checkpoint  # going back, the days of one year at a time are kept
        def add(
            sums: tuple[Array, Array], month: DailyMonth | MeanMonth
        ) -> tuple[tuple[Array, Array], None]:
            degree_days, snow = month.degree_days_and_snow(
                surface, bias, melt_temperature, snow_temperature, spread
            )
            return (sums[0] + degree_days, sums[1] + snow), None

        zero = jnp.zeros_like(surface)
        years = len(self.each.ref_height)
        (degree_days, snow), _ = lax.scan(add, (zero, zero), jax.tree.map(jnp.asarray, self.each))
        return degree_days / years, snow / years

    @property
    def total_precip(self) -> Array:
        """Precipitation of the month, kg m⁻²: the mean over the years."""
        return jnp.sum(self.each.precip) / len(self.each.ref_height)


def _expected_excess(mean: Array, spread: Array) -> Array:
    """E[max(X, 0)] for X normal with this mean and standard deviation."""
    z = mean / spread
    density = jnp.exp(-0.5 * z * z) * (1.0 / math.sqrt(2.0 * math.pi))
    return spread * density + mean * 0.5 * lax.erfc(-z * math.sqrt(0.5))


Month = DailyMonth | MeanMonth | MeanOfMonths


def weather(glacier: Glacier, months: np.ndarray, lapse_rate: float | str = "data") -> Month:
    """Months of a glacier's climate, with leading axis (months,).

    Args:
        months: their indices. lapse_rate: "data" (that of the series within −9 … −3 K km⁻¹) or a
            number, K m⁻¹.
    """
    climate = climate_of(glacier, "the mass balance")
    rows = climate.drawn(months, glacier.rgi_id)
    temp, gradient = climate.temperature(months, rows, glacier.rgi_id), climate.gradient[rows]
    if lapse_rate == "data":
        gradient = np.where(climate.used[rows], np.clip(gradient, *LAPSE_RATE_LIMITS), 0.0)
    else:
        gradient = np.full_like(gradient, float(lapse_rate))
    reference = np.full(rows.shape, climate.ref_height)
    month: DailyMonth | MeanMonth
    if climate.step == "daily":
        month = DailyMonth(temp, climate.precip[rows], gradient, reference)
    else:
        drawn = climate.first_month + rows
        days = np.vectorize(days_in_month, otypes=[float])(drawn)
        month = MeanMonth(temp, climate.precip[rows], gradient, days, drawn % 12, reference)
    # a constant climate has several rows for a month
    return month if rows.ndim == 1 else MeanOfMonths(month)


def degree_days(glacier: Glacier, months: np.ndarray, *, in_all: bool = False) -> np.ndarray:
    """Positive degree-days at the glacier's surface, K d: of each month (months, ny, nx), or of all
    together (ny, nx).
    """
    surface = jnp.asarray(glacier.surface, float)
    return np.asarray(_degree_days(weather(glacier, months), surface, in_all))


@eqx.filter_jit
def _degree_days(months: Month, surface: Cell, in_all: bool) -> Array:
    def one(month: Month) -> Cell:
        unshifted = jnp.zeros_like(surface)
        return month.degree_days_and_snow(surface, unshifted, 0.0, (0.0, 2.0), TEMPERATURE_STD)[0]

    each = lax.map(one, months)
    return jnp.sum(each, axis=0) if in_all else each
