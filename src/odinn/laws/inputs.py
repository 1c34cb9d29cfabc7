"""Inputs of laws. One of your own is a class with ``field`` (or ``at_state``), a label and a unit."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.dates import decimal_year, month_index
from odinn.errors import ClimateError, where
from odinn.grid import Array
from odinn.laws.base import AbstractInput, Fixed, OfState, Range
from odinn.laws.topography import Eastness, Northness, TopographicAspect, TopographicRoughness, TopographicSlope

__all__ = [
    "AbstractInput",
    "Altitude",
    "DegreeDays",
    "Eastness",
    "Fixed",
    "LongTermTemperature",
    "Northness",
    "OfState",
    "SurfaceSlope",
    "Thickness",
    "TopographicAspect",
    "TopographicRoughness",
    "TopographicSlope",
]


class LongTermTemperature(Fixed):
    """Mean air temperature, °C: a stand-in for the temperature of the ice, which it is not.

    Args:
        per: "glacier" (at the mean surface altitude inside the outline) or "cell" (at each cell's initial surface).
        period: (start, end), decimal years; None takes all whole calendar years of the supplied series, never the run's span.

    The mean of the series plus the mean lapse rate times the height above the series' own.
    """

    per: Literal["glacier", "cell"] = eqx.field(static=True, default="glacier")
    period: tuple[float, float] | None = eqx.field(static=True, default=None)
    range: Range = eqx.field(static=True, default=None)

    label: ClassVar[str] = "long-term air temperature"
    unit: ClassVar[str] = "°C"

    def field(self, glacier: Any) -> np.ndarray:
        """See :class:`AbstractInput`."""
        climate, months = _whole_years(glacier, self.period, self.label)
        rows = climate.rows(months, glacier.rgi_id)
        temp, gradient = climate.temp[rows], climate.gradient[rows]
        used = temp > -999
        mean, lapse = temp[used].mean(), gradient[used].mean()
        surface = np.asarray(glacier.surface)
        height = surface if self.per == "cell" else surface[glacier.mask].mean()
        return np.asarray(mean + lapse * (height - climate.ref_height))


class DegreeDays(Fixed):
    """Positive degree-days of a mean year on cells at the initial surface, K d yr⁻¹: how much warmth for melt a place gets.

    Args:
        period: (start, end), decimal years; None takes all whole calendar years of the supplied series. Of a shorter period,
            such as a season, it is the sum over the period times the number of such periods in a year.

    Daily series are summed day by day with their lapse rates; monthly ones by the expectation over normally distributed days
    (Calov & Greve 2005), as in :class:`odinn.TemperatureIndex`.
    """

    period: tuple[float, float] | None = eqx.field(static=True, default=None)
    range: Range = eqx.field(static=True, default=None)

    label: ClassVar[str] = "degree-days"
    unit: ClassVar[str] = "K d yr⁻¹"

    def field(self, glacier: Any) -> np.ndarray:
        """See :class:`AbstractInput`."""
        from odinn.massbalance.temperature_index import TemperatureIndex

        _, months = _whole_years(glacier, self.period, self.label)
        balance = TemperatureIndex(melt_factor=1e-3)
        values, surface = balance.coefficients(glacier), np.asarray(glacier.surface, float)
        monthly = lambda row: balance.rates(values, row, surface, 0.0).melt
        total = jax.jit(lambda table: jnp.sum(jax.lax.map(monthly, table), axis=0))(balance.forcing(glacier, months))
        return np.asarray(total) * 1000.0 * 12.0 / len(months)


class Altitude(Fixed):
    """Initial surface altitude, m."""

    range: Range = eqx.field(static=True, default=None)
    label: ClassVar[str] = "altitude"
    unit: ClassVar[str] = "m"

    def field(self, glacier: Any) -> np.ndarray:
        """See :class:`AbstractInput`."""
        return np.asarray(glacier.surface)


class Thickness(OfState):
    """Ice thickness on corners, m. ``range`` has to be given, such as (0, 300)."""

    range: Range = eqx.field(static=True, default=None)
    label: ClassVar[str] = "ice thickness"
    unit: ClassVar[str] = "m"

    def at_state(self, thickness: Array, slope: Array) -> Array:
        """See :class:`AbstractInput`."""
        return thickness


class SurfaceSlope(OfState):
    """Magnitude of the surface gradient on corners, 1. ``range`` has to be given, such as (0, 0.6)."""

    range: Range = eqx.field(static=True, default=None)
    label: ClassVar[str] = "surface slope"
    unit: ClassVar[str] = "1"

    def at_state(self, thickness: Array, slope: Array) -> Array:
        """See :class:`AbstractInput`."""
        return slope


def _whole_years(glacier: Any, period: tuple[float, float] | None, label: str) -> tuple[Any, np.ndarray]:
    """(climate of a glacier, months of a period, or of all its whole calendar years)."""
    climate = glacier.climate
    if climate is None:
        raise ClimateError(
            where(glacier.rgi_id, f"the {label} of a law needs a climate: open the glacier with climate=...")
        )
    if period is None:
        first = -(-climate.first_month // 12) * 12
        last = (climate.first_month + len(climate.temp)) // 12 * 12
    else:
        first, last = (month_index(decimal_year(t)) for t in period)
    if last <= first:
        raise ClimateError(where(glacier.rgi_id, f"climate '{climate.name}' holds no whole year for the {label}"))
    return climate, np.arange(first, last)
