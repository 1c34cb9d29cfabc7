"""Series of weather in datasets and arrays, checked and cut into whole months."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Int

from odinn.climate import DAYS, PADDING_TEMPERATURE, Climate, Step
from odinn.constants import DEFAULT_LAPSE_RATE
from odinn.data import products
from odinn.data.units import converted
from odinn.dates import days_in_month, month_name
from odinn.errors import ClimateError, where

PLAUSIBLE_TEMPERATURE: Final = (-100.0, 70.0)  # °C


def climate_from_dataset(
    ds: xr.Dataset, wanted: str | xr.Dataset | None, rgi_id: str
) -> Climate | None:
    """The climate series of a file: variables ``temp_daily_w5e5``, ``prcp_monthly_era5`` and the
    like, or a dataset in OGGM's form. Without a name the first product present is taken; None if
    there is none."""
    if isinstance(wanted, xr.Dataset):
        return climate_from_oggm_form(wanted, rgi_id)
    present: dict[str, str] = {}  # product: its step
    for variable in ds.data_vars:
        if match := re.fullmatch(r"temp_(daily|monthly)_(\w+)", str(variable)):
            present.setdefault(match[2], match[1])
    if wanted is None:
        in_order = [p for p in (*products.CLIMATE, *present) if p in present]
        if not in_order:
            has_series = {"temp", "prcp", "time"} <= set(ds.variables)
            return climate_from_oggm_form(ds, rgi_id) if has_series else None
        wanted = in_order[0]
    product = products.climate_name(wanted)
    if product not in present:
        available = ", ".join(sorted(present)) or "none"
        message = f"no climate '{wanted}' in the file; available: {available}"
        raise ClimateError(where(rgi_id, message))
    suffix = f"_{present[product]}_{product}"
    attributes = ds[f"temp{suffix}"].attrs
    return _climate(
        ds, suffix, rgi_id, attributes.get("ref_hgt"), product, str(attributes.get("source", ""))
    )


def climate_from_oggm_form(ds: xr.Dataset, rgi_id: str, name: str | None = None) -> Climate:
    """A series with variables time, temp (°C), prcp (kg m⁻² per step) and optionally gradient (K
    m⁻¹), and an attribute ref_hgt (m), as OGGM writes it. Other units are converted where the
    attribute ``units`` names one that is understood."""
    if "temp" not in ds or "prcp" not in ds:
        found = ", ".join(map(str, ds.data_vars))
        message = f"climate dataset: found {found}; expected temp, prcp[, gradient]"
        raise ClimateError(where(rgi_id, message))
    # OGGM writes "ERA5 ..." or the product's name alone
    source = str(ds.attrs.get("climate_source", ds.attrs.get("source", "")))
    product = products.climate_name(name or (source.split()[0] if source else "climate"))
    height = ds.attrs.get("ref_hgt", ds["temp"].attrs.get("ref_hgt"))
    return _climate(ds, "", rgi_id, height, product, source)


def _climate(
    ds: xr.Dataset, suffix: str, rgi_id: str, height: float | None, product: str, source: str
) -> Climate:
    """The climate whose variables end with a suffix."""
    if f"prcp{suffix}" not in ds:
        raise ClimateError(where(rgi_id, f"no variable 'prcp{suffix}' beside its temperature"))
    times = _times(ds[f"temp{suffix}"], rgi_id)

    def values(kind: str) -> np.ndarray:
        return _values(ds[f"{kind}{suffix}"], kind, times, rgi_id)

    return climate_from_series(
        times,
        values("temp"),
        values("prcp"),
        values("gradient") if f"gradient{suffix}" in ds else None,
        np.nan if height is None else float(height),
        name=product,
        rgi_id=rgi_id,
        source=source,
        clip_negative_precip=product in products.CLIP_NEGATIVE_PRECIP,
    )


def _times(series: xr.DataArray, rgi_id: str) -> np.ndarray:
    if series.ndim != 1:
        raise _no_series(series, rgi_id)
    times = series[series.dims[0]].values
    if np.issubdtype(times.dtype, np.datetime64):
        return times
    try:
        return series.indexes[series.dims[0]].to_datetimeindex().values
    except (AttributeError, ValueError) as error:
        message = (
            f"{series.name}: its time is {times.dtype}, expected dates of the standard calendar"
        )
        raise ClimateError(where(rgi_id, message)) from error


def _values(series: xr.DataArray, kind: str, times: np.ndarray, rgi_id: str) -> np.ndarray:
    """In °C, kg m⁻² per step or K m⁻¹."""
    if series.ndim != 1:
        raise _no_series(series, rgi_id)
    if series.size != times.size:
        message = f"{series.name} has {series.size} values for {times.size} times"
        raise ClimateError(where(rgi_id, message))
    unit = series.attrs.get("units")
    return converted(series.values, kind, unit, times, rgi_id, str(series.name))


def _no_series(array: xr.DataArray, rgi_id: str) -> ClimateError:
    message = f"{array.name} has dimensions {array.dims}, expected one, time"
    return ClimateError(where(rgi_id, message))


class _Series(NamedTuple):
    """Weather at times of a day or a month: (n,) each, in the units of :class:`Climate`."""

    time: np.ndarray
    temp: np.ndarray
    precip: np.ndarray
    gradient: np.ndarray


Fail = Callable[[str], ClimateError]


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
        ClimateError: kelvin, missing months or days, NaN, negative precipitation, an unknown time
            step.
    """

    def fail(message: str) -> ClimateError:
        return ClimateError(where(rgi_id, f"climate '{name}': {message}"))

    if not np.isfinite(ref_height):
        raise fail("no reference height: the temperature needs an attribute 'ref_hgt' (m)")
    temp = np.asarray(temp, float)
    # one number may stand for all times
    lapse = DEFAULT_LAPSE_RATE if gradient is None else gradient
    series = _Series(
        time=np.asarray(time, "datetime64[ns]"),
        temp=temp,
        precip=np.asarray(precip, float),
        gradient=np.array(np.broadcast_to(np.asarray(lapse, float), temp.shape)),
    )
    _check_complete(series, fail)
    _check_plausible(series, fail)
    series = _without_negative_precip(series, fail, clip=clip_negative_precip)
    step = _step_of(series.time, fail)
    first_month, cut = (_daily if step == "daily" else _monthly)(series, fail)
    return Climate(
        name=name,
        step=step,
        ref_height=float(ref_height),
        first_month=first_month,
        temp=cut.temp,
        precip=cut.precip,
        gradient=cut.gradient,
        source=source,
    )


def _check_complete(series: _Series, fail: Fail) -> None:
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


def _check_plausible(series: _Series, fail: Fail) -> None:
    """Raise for temperatures or lapse rates of another unit or sign."""
    time, temp, mean_gradient = series.time, series.temp, series.gradient.mean()
    if temp.mean() > 150:
        raise fail(
            f"temperatures average {temp.mean():.1f}: this looks like kelvin, expected °C "
            "(subtract 273.15)"
        )
    low, high = PLAUSIBLE_TEMPERATURE
    wild = (temp < low) | (temp > high)
    if wild.any():
        raise fail(
            f"temp is {temp[wild][0]:g} on {str(time[wild][0])[:10]}, not an air temperature in "
            "°C: mark missing values as NaN and fill them, or correct the unit"
        )
    # inversions are real on single days, not in the mean
    if mean_gradient > 1e-3:
        raise fail(
            f"gradient averages {mean_gradient:+.4g} K m-1; temperature falls with height: "
            "expected about -0.0065"
        )


def _without_negative_precip(series: _Series, fail: Fail, *, clip: bool) -> _Series:
    """The series, or an error; where negative values of a product are known, with 0 for them."""
    negative = series.precip < 0
    if not negative.any():
        return series
    value, month = series.precip[negative][0], str(series.time[negative][0])[:7]
    found = fail(f"prcp is {value:.4g} kg m-2 on {month}; precipitation cannot be negative")
    if not clip:
        raise type(found)(f"{found}: correct the series")
    warnings.warn(f"{found}; set to 0 (a known value of this product)", stacklevel=4)
    return series._replace(precip=np.maximum(series.precip, 0.0))


def _step_of(time: np.ndarray, fail: Fail) -> Step:
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


def _daily(series: _Series, fail: Fail) -> tuple[int, _Series]:
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

    return first, _Series(
        time=series.time,
        temp=table(series.temp, PADDING_TEMPERATURE),
        precip=table(series.precip, 0.0),
        gradient=table(series.gradient, 0.0),
    )


def _monthly(series: _Series, fail: Fail) -> tuple[int, _Series]:
    """First month, and the series as it is."""
    months = _months_of(series.time)
    gaps = np.diff(months) != 1
    if gaps.any():
        raise fail(f"months are missing after {month_name(months[:-1][gaps][0])}")
    return int(months[0]), series


def _months_of(time: np.ndarray) -> Int[np.ndarray, " n"]:
    """Indices 12 · year + month − 1; NumPy counts months from 1970."""
    return time.astype("datetime64[M]").astype(int) + 12 * 1970
