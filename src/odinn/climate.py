"""Climate series at a reference height, and the months that mass balance is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from odinn.constants import DEFAULT_LAPSE_RATE
from odinn.dates import days_in_month, month_index, month_name
from odinn.errors import ClimateError, where

DAYS = 31
PADDING_TEMPERATURE = -1e4  # °C; days that a month does not have: they neither melt nor, without precipitation, snow


class Climate(eqx.Module):
    """A daily or monthly series at one reference height, cut into whole months.

    Args:
        name: of the product, such as "w5e5".
        step: "daily" or "monthly".
        ref_height: height of the series, m.
        first_month: index of the first month (12 · year + month − 1).
        temp: °C; precip: kg m⁻² per step; gradient: K m⁻¹, as given. Each (months, 31) for daily series, with
            unused days at −10⁴ °C and without precipitation, or (months,) for monthly ones.
        source: where the series comes from, for the record.
    """

    name: str = eqx.field(static=True)
    step: Literal["daily", "monthly"] = eqx.field(static=True)
    ref_height: float = eqx.field(static=True)
    first_month: int = eqx.field(static=True)
    temp: Float[np.ndarray, "months ..."]
    precip: Float[np.ndarray, "months ..."]
    gradient: Float[np.ndarray, "months ..."]
    source: str = eqx.field(static=True, default="")

    @property
    def months(self) -> Int[np.ndarray, " months"]:
        """Indices of the months covered."""
        return self.first_month + np.arange(len(self.temp))

    @property
    def span(self) -> tuple[float, float]:
        """Decimal years (start, end) covered."""
        return self.first_month / 12, (self.first_month + len(self.temp)) / 12

    def rows(self, months: Sequence[int] | np.ndarray, rgi_id: str) -> Int[np.ndarray, " n"]:
        """Positions of months in the series; an error names the last one there is."""
        positions = np.asarray(months, int) - self.first_month
        outside = (positions < 0) | (positions >= len(self.temp))
        if outside.any():
            missing = int(np.asarray(months)[outside][0])
            last = self.first_month + len(self.temp) - 1
            raise ClimateError(
                where(
                    rgi_id,
                    f"climate '{self.name}' covers {month_name(self.first_month)} to {month_name(last)}, but "
                    f"{month_name(missing)} is needed: shorten the run or choose another climate product",
                )
            )
        return positions

    def complete_years(self, hydro_month: int = 10) -> list[int]:
        """Hydrological years that the series covers, labelled by the year in which they end."""
        first, last = self.first_month, self.first_month + len(self.temp)
        years = range(first // 12, last // 12 + 2)
        start = lambda y: 12 * (y - (hydro_month > 1)) + hydro_month - 1
        return [y for y in years if start(y) >= first and start(y) + 12 <= last]

    def __str__(self) -> str:
        last = self.first_month + len(self.temp) - 1
        return (
            f"{self.name} ({self.step}, {month_name(self.first_month)} to {month_name(last)}, {self.ref_height:.0f} m)"
        )


def climate_from_series(
    time: np.ndarray,
    temp: np.ndarray,
    precip: np.ndarray,
    gradient: np.ndarray | float | None,
    ref_height: float,
    *,
    name: str,
    rgi_id: str,
    source: str = "",
    clip_negative_precip: bool = False,
) -> Climate:
    """Check a series and cut it into whole months.

    Args:
        time: (n,) ``datetime64``, daily or monthly, ascending without gaps.
        temp: (n,) °C at ``ref_height`` (m). precip: (n,) kg m⁻² per step.
        gradient: (n,) K m⁻¹, or one number; None takes −0.0065 K m⁻¹.

    Raises:
        ClimateError: kelvin, missing months or days, NaN, negative precipitation, an unknown time step.
    """
    import warnings

    fail = lambda message: ClimateError(where(rgi_id, f"climate '{name}': {message}"))
    time = np.asarray(time, "datetime64[ns]")
    temp, precip = np.asarray(temp, float), np.asarray(precip, float)
    if gradient is None:
        gradient = DEFAULT_LAPSE_RATE
    gradient = np.broadcast_to(np.asarray(gradient, float), temp.shape)
    if not np.isfinite(ref_height):
        raise fail("no reference height: the temperature needs an attribute 'ref_hgt' (m)")
    if len(time) < 28:
        raise fail(f"only {len(time)} values; at least 28 days or months are needed")
    for label, values in (("temp", temp), ("prcp", precip), ("gradient", gradient)):
        if values.shape != time.shape:
            raise fail(f"{label} has {values.size} values for {time.size} times")
        if not np.isfinite(values).all():
            bad = str(time[~np.isfinite(values)][0])[:10]
            raise fail(f"{label} is missing (NaN) on {bad}: fill the gap or choose another product")
    if temp.mean() > 150:
        raise fail(f"temperatures average {temp.mean():.1f}: this looks like kelvin, expected °C (subtract 273.15)")
    if (precip < 0).any():
        bad = str(time[precip < 0][0])[:7]
        message = f"prcp is {precip[precip < 0][0]:.4g} kg m-2 on {bad}; precipitation cannot be negative"
        if not clip_negative_precip:
            raise fail(message + ": correct the series")
        warnings.warn(f"{rgi_id}: climate '{name}': {message}; set to 0 (a known value of this product)", stacklevel=3)
        precip = np.maximum(precip, 0.0)
    spacing = np.diff(time) / np.timedelta64(1, "D")
    if (spacing <= 0).any():
        raise fail(f"time does not increase at {str(time[1:][spacing <= 0][0])[:10]}")
    typical = float(np.median(spacing))
    if 0.9 < typical < 1.1:
        return _daily(time, temp, precip, gradient, ref_height, name, source, fail)
    if 27 < typical < 32:
        return _monthly(time, temp, precip, gradient, ref_height, name, source, fail)
    raise fail(f"the time step is {typical:g} days; expected daily or monthly values")


def _daily(time, temp, precip, gradient, ref_height, name, source, fail) -> Climate:  # type: ignore[no-untyped-def]
    days = time.astype("datetime64[D]")
    gaps = np.diff(days).astype(int) != 1
    if gaps.any():
        raise fail(f"days are missing after {days[:-1][gaps][0]}")
    months = days.astype("datetime64[M]").astype(int) + 1970 * 12
    first, last = months[0], months[-1]
    counts = np.bincount(months - first)
    first += int(counts[0] != days_in_month(first))
    last -= int(counts[-1] != days_in_month(last))
    if last < first:
        raise fail("the series holds no complete month")
    table = lambda fill: np.full((last - first + 1, DAYS), fill)
    out = {"temp": table(PADDING_TEMPERATURE), "precip": table(0.0), "gradient": table(0.0)}
    keep = (months >= first) & (months <= last)
    position = months[keep] - first, (days - days.astype("datetime64[M]")).astype(int)[keep]
    for key, values in (("temp", temp), ("precip", precip), ("gradient", gradient)):
        out[key][position] = values[keep]
    return Climate(name, "daily", float(ref_height), int(first), **out, source=source)


def _monthly(time, temp, precip, gradient, ref_height, name, source, fail) -> Climate:  # type: ignore[no-untyped-def]
    months = time.astype("datetime64[M]").astype(int) + 1970 * 12
    gaps = np.diff(months) != 1
    if gaps.any():
        raise fail(f"months are missing after {month_name(months[:-1][gaps][0])}")
    return Climate(name, "monthly", float(ref_height), int(months[0]), temp, precip, np.array(gradient), source=source)


def months_between(t0: float, t1: float) -> np.ndarray:
    """Indices of the months that the span [t0, t1] (decimal years) touches."""
    last = month_index(t1)
    if last / 12 >= t1 - 1e-9:
        last -= 1
    return np.arange(month_index(t0), last + 1)
