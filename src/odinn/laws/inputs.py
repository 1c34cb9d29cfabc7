"""Inputs of laws. One of your own is a class with ``field`` (or ``at_state``), a label and a unit."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import equinox as eqx
import numpy as np

from odinn.dates import decimal_year, month_index
from odinn.errors import ClimateError, where
from odinn.grid import Array
from odinn.laws.base import AbstractInput, Fixed, OfState, Range
from odinn.laws.topography import Eastness, Northness, TopographicAspect, TopographicRoughness, TopographicSlope

__all__ = [
    "AbstractInput",
    "Altitude",
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
        climate = glacier.climate
        if climate is None:
            raise ClimateError(where(glacier.rgi_id, "the long-term temperature needs a climate"))
        if self.period is None:
            first = -(-climate.first_month // 12) * 12
            last = (climate.first_month + len(climate.temp)) // 12 * 12
        else:
            first, last = (month_index(decimal_year(t)) for t in self.period)
        if last <= first:
            raise ClimateError(
                where(glacier.rgi_id, f"climate '{climate.name}' holds no whole year for a long-term mean")
            )
        rows = climate.rows(np.arange(first, last), glacier.rgi_id)
        temp, gradient = climate.temp[rows], climate.gradient[rows]
        used = temp > -999
        mean, lapse = temp[used].mean(), gradient[used].mean()
        surface = np.asarray(glacier.surface)
        height = surface if self.per == "cell" else surface[glacier.mask].mean()
        return np.asarray(mean + lapse * (height - climate.ref_height))


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
