"""Inputs of laws. One of your own is a class with ``field`` (or ``at_state``), a label and a
unit.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import equinox as eqx
import numpy as np

from odinn.constants import LAPSE_RATE_LIMITS
from odinn.errors import InputError
from odinn.glacier import Glacier, climate_of
from odinn.grid import Array
from odinn.physics.balance.degree_days import degree_days
from odinn.physics.laws.input_base import (
    AbstractInput,
    FixedInput,
    MonthlyInput,
    Range,
    StateInput,
    as_range,
    whole_years,
)
from odinn.physics.laws.topography import (
    Eastness,
    Northness,
    TopographicAspect,
    TopographicRoughness,
    TopographicSlope,
)

__all__ = [
    "AbstractInput",
    "Altitude",
    "DegreeDays",
    "Eastness",
    "FixedInput",
    "IceThickness",
    "LongTermTemperature",
    "MonthlyInput",
    "MonthlyTemperature",
    "Northness",
    "RecentDegreeDays",
    "StateInput",
    "SurfaceSlope",
    "TopographicAspect",
    "TopographicRoughness",
    "TopographicSlope",
    "WithinOutline",
]


def _of_series(label: str, bias: float, clip: bool) -> str:
    """A label that says what has been done to the series: nothing, unless asked for."""
    done = [f"{bias:+g} K"] if bias else []
    done += ["lapse rate clipped"] if clip else []
    return f"{label}, {', '.join(done) or 'raw series'}"


def _lapse_rate(gradient: np.ndarray, clip: bool) -> np.ndarray:
    """K m⁻¹, as given, or within the limits of the balance."""
    return np.clip(gradient, *LAPSE_RATE_LIMITS) if clip else gradient


class LongTermTemperature(FixedInput):
    """Mean air temperature, °C: a stand-in for the temperature of the ice, which it is not.

    The series is taken as it is, without the ``temp_bias`` of a balance and with its own lapse
    rates, unless ``bias`` or ``clip`` ask for more; the label says which.

    Args:
        per: "glacier" (at the mean surface altitude inside the outline) or "cell" (at each cell's
            initial surface).
        period: (start, end), decimal years; None takes all whole calendar years of the supplied
            series, never the run's span.
        bias: K, added. clip: lapse rates within −9 … −3 K km⁻¹, as the balance takes them.

    The mean of the series plus the mean lapse rate times the height above the series' own.
    """

    per: Literal["glacier", "cell"] = eqx.field(static=True, default="glacier")
    period: tuple[float, float] | None = eqx.field(static=True, default=None)
    range: Range = eqx.field(default=None, converter=as_range)
    bias: float = eqx.field(static=True, default=0.0)
    clip: bool = eqx.field(static=True, default=False)

    unit: ClassVar[str] = "°C"

    @property
    def label(self) -> str:  # type: ignore[override]
        """See :class:`AbstractInput`."""
        return _of_series("long-term air temperature", self.bias, self.clip)

    def field(self, glacier: Glacier) -> np.ndarray:
        """See :class:`AbstractInput`."""
        climate, months = whole_years(glacier, self.period, self.label)
        rows = climate.rows(months, glacier.rgi_id)
        temp, gradient = climate.temp[rows], climate.gradient[rows]
        used = temp > -999  # days that a month does not have are far below
        mean = temp[used].mean()
        lapse = _lapse_rate(gradient[used], self.clip).mean()
        surface = np.asarray(glacier.surface)
        height = surface if self.per == "cell" else surface[glacier.mask].mean()
        return np.asarray(mean + self.bias + lapse * (height - climate.ref_height))


class DegreeDays(FixedInput):
    """Positive degree-days of a mean year on cells at the initial surface, K d yr⁻¹: how much
    warmth for melt a place gets.

    Args:
        period: (start, end), decimal years; None takes all whole calendar years of the supplied
            series. Of a shorter period, such as a season, it is the sum over the period times the
            number of such periods in a year.

    Daily series are summed day by day with their lapse rates; monthly ones by the expectation over
    normally distributed days (Calov & Greve 2005), as in :class:`odinn.TemperatureIndex`; lapse
    rates within −9 … −3 K km⁻¹ as there, but without its ``temp_bias``.
    """

    period: tuple[float, float] | None = eqx.field(static=True, default=None)
    range: Range = eqx.field(default=None, converter=as_range)

    label: ClassVar[str] = "degree-days"
    unit: ClassVar[str] = "K d yr⁻¹"

    def field(self, glacier: Glacier) -> np.ndarray:
        """See :class:`AbstractInput`."""
        _, months = whole_years(glacier, self.period, self.label)
        return degree_days(glacier, months, in_all=True) * 12.0 / len(months)


class MonthlyTemperature(MonthlyInput):
    """Mean air temperature of the month at hand, °C.

    Args:
        per: "glacier" (at the mean surface altitude inside the outline) or "cell" (at each cell's
            initial surface).
        bias, clip: as for :class:`LongTermTemperature`.
    """

    per: Literal["glacier", "cell"] = eqx.field(static=True, default="glacier")
    range: Range = eqx.field(default=None, converter=as_range)
    bias: float = eqx.field(static=True, default=0.0)
    clip: bool = eqx.field(static=True, default=False)

    unit: ClassVar[str] = "°C"

    @property
    def label(self) -> str:  # type: ignore[override]
        """See :class:`AbstractInput`."""
        return _of_series("monthly air temperature", self.bias, self.clip)

    def in_months(self, glacier: Glacier, months: np.ndarray) -> np.ndarray:
        """See :class:`AbstractInput`."""
        climate = climate_of(glacier, f"the {self.label} of a law")
        rows = climate.drawn(months, glacier.rgi_id)
        temp = climate.temperature(months, rows, glacier.rgi_id) + self.bias
        gradient = _lapse_rate(climate.gradient[rows], self.clip)
        if climate.step == "daily":
            temp = _mean_over_days(temp, climate.used[rows])
            gradient = _mean_over_days(gradient, climate.used[rows])
        if rows.ndim == 2:  # a constant climate: the same month of several years
            temp, gradient = temp.mean(axis=1), gradient.mean(axis=1)
        surface = np.asarray(glacier.surface)
        if self.per == "glacier":
            return temp + gradient * (surface[glacier.mask].mean() - climate.ref_height)
        # months lead
        temp, gradient = temp[:, None, None], gradient[:, None, None]
        return temp + gradient * (surface - climate.ref_height)


class RecentDegreeDays(MonthlyInput):
    """Positive degree-days of the months before the month at hand, K d, on cells at the initial
    surface: how much meltwater the bed may have got of late (ODINN's cumulative degree-days).

    Args:
        months: over how many months they are summed.

    Days are summed as in :class:`DegreeDays`. The climate has to begin so many months before the
    run.
    """

    months: int = eqx.field(static=True, default=1)
    range: Range = eqx.field(default=None, converter=as_range)

    label: ClassVar[str] = "recent degree-days"
    unit: ClassVar[str] = "K d"

    def __check_init__(self) -> None:
        if not isinstance(self.months, int) or self.months < 1:
            raise InputError(
                f"RecentDegreeDays(months={self.months!r}): expected a whole number of at least 1"
            )

    def in_months(self, glacier: Glacier, months: np.ndarray) -> np.ndarray:
        """See :class:`AbstractInput`."""
        first = int(months.min())
        before = np.arange(first - self.months, int(months.max()))
        each = degree_days(glacier, before)
        # a sum over months is a difference of sums since the first
        since_first = np.concatenate([np.zeros((1, *each.shape[1:])), np.cumsum(each, axis=0)])
        begin = months - first
        return since_first[begin + self.months] - since_first[begin]


class Altitude(FixedInput):
    """Initial surface altitude, m."""

    range: Range = eqx.field(default=None, converter=as_range)
    label: ClassVar[str] = "altitude"
    unit: ClassVar[str] = "m"

    def field(self, glacier: Glacier) -> np.ndarray:
        """See :class:`AbstractInput`."""
        return np.asarray(glacier.surface)


class WithinOutline(FixedInput):
    """1 inside the outline, 0 outside."""

    range: Range = eqx.field(default=(0.0, 1.0), converter=as_range)
    label: ClassVar[str] = "within the outline"
    unit: ClassVar[str] = "1"

    def field(self, glacier: Glacier) -> np.ndarray:
        """See :class:`AbstractInput`."""
        return np.asarray(glacier.mask, float)


class IceThickness(StateInput):
    """Ice thickness on corners, m. ``range`` has to be given, such as (0, 300)."""

    range: Range = eqx.field(default=None, converter=as_range)
    label: ClassVar[str] = "ice thickness"
    unit: ClassVar[str] = "m"

    def at_state(self, thickness: Array, slope: Array) -> Array:
        """See :class:`AbstractInput`."""
        return thickness


class SurfaceSlope(StateInput):
    """Magnitude of the surface gradient on corners, 1. ``range`` has to be given, such as (0,
    0.6).
    """

    range: Range = eqx.field(default=None, converter=as_range)
    label: ClassVar[str] = "surface slope"
    unit: ClassVar[str] = "1"

    def at_state(self, thickness: Array, slope: Array) -> Array:
        """See :class:`AbstractInput`."""
        return slope


def _mean_over_days(field: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Means over the days that a month has, of rows (months, days)."""
    return np.where(used, field, 0.0).sum(axis=-1) / used.sum(axis=-1)
