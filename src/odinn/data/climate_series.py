"""Series of weather in datasets and arrays, checked and cut into whole months."""

from __future__ import annotations

import dataclasses
import re
from typing import Final

import numpy as np
import xarray as xr

from odinn.climate import Climate
from odinn.constants import DEFAULT_LAPSE_RATE
from odinn.data import gate, products, quantities
from odinn.data.checks import check_plausible
from odinn.data.gate import at_times
from odinn.data.reading import decoded
from odinn.data.whole_months import Series, check_complete, daily, monthly, step_of, times_of
from odinn.errors import ClimateError, Fail, of_glacier, warn

# Heights of a series may stand in a variable, too; the second is CMIP's.
_HEIGHTS: Final = ("ref_hgt", "orog")


def climate_from_dataset(
    ds: xr.Dataset, wanted: str | xr.Dataset | None, rgi_id: str
) -> Climate | None:
    """The climate series of a decoded dataset: variables ``temp_daily_w5e5``,
    ``prcp_monthly_era5`` and the like, or a dataset in OGGM's form. Without a name the first
    product present is taken; None if there is none."""
    if isinstance(wanted, xr.Dataset):
        return climate_from_oggm_form(decoded(wanted, _failing(rgi_id)), rgi_id)
    present: dict[str, str] = {}  # product: its step
    for variable in ds.data_vars:
        if match := re.fullmatch(r"temp_(daily|monthly)_(\w+)", str(variable)):
            present.setdefault(match[2], match[1])
    if wanted is None:
        in_order = [p for p in (*products.CLIMATE, *present) if p in present]
        if not in_order:
            return climate_from_oggm_form(ds, rgi_id) if has_weather(ds) else None
        wanted = in_order[0]
    if not isinstance(wanted, str):
        message = f"climate: found {type(wanted).__name__}, expected a product's name or a series"
        raise ClimateError(of_glacier(rgi_id, message))
    product = products.climate_name(wanted)
    if product not in present:
        available = ", ".join(sorted(present)) or "none"
        message = f"no climate '{wanted}' in the file; available: {available}"
        raise ClimateError(of_glacier(rgi_id, message))
    suffix = f"_{present[product]}_{product}"
    source = str(ds[f"temp{suffix}"].attrs.get("source", ""))
    climate = _climate(ds, suffix, rgi_id, product, source)
    others = {p: ds[f"temp_{step}_{p}"] for p, step in present.items() if p != product}
    return dataclasses.replace(climate, others=tuple(map(_described, others, others.values())))


def climate_from_oggm_form(ds: xr.Dataset, rgi_id: str, name: str | None = None) -> Climate:
    """A series with variables time, temp (°C), prcp (kg m⁻² per step) and optionally gradient (K
    m⁻¹), and an attribute ref_hgt (m), as OGGM writes it; or tas and pr, as CMIP does. Other units
    are converted where the attribute ``units`` names one that is understood."""
    if not has_weather(ds):
        found = ", ".join(map(str, ds.data_vars))
        message = f"climate dataset: found {found}; expected temp, prcp[, gradient] or tas, pr"
        raise ClimateError(of_glacier(rgi_id, message))
    # OGGM writes "ERA5 ..." or the product's name alone
    source = str(ds.attrs.get("climate_source", ds.attrs.get("source", "")))
    product = products.climate_name(name or (source.split() or ["climate"])[0])
    return _climate(ds, "", rgi_id, product, source)


def _described(product: str, series: xr.DataArray) -> str:
    """A product and the span of its series, such as "histalp (1850-01 to 2003-12)"."""
    axis = series.coords.get(series.dims[0]) if series.ndim else None
    if axis is None or axis.size == 0:
        return product
    first, last = (str(t)[:7] for t in axis.values[[0, -1]])
    return f"{product} ({first} to {last})"


def has_weather(ds: xr.Dataset) -> bool:
    """Whether a dataset holds one series of temperature and precipitation."""
    return all(_variable(ds, kind, "") is not None for kind in ("temp", "prcp"))


def _climate(ds: xr.Dataset, suffix: str, rgi_id: str, product: str, source: str) -> Climate:
    """The climate whose variables end with a suffix."""
    fail = _failing(rgi_id)
    temperature, precipitation = _variable(ds, "temp", suffix), _variable(ds, "prcp", suffix)
    if temperature is None or precipitation is None:
        raise fail(f"no variable 'prcp{suffix}' beside its temperature")
    time = _times(ds, gate.one_dimensional(ds[temperature], fail), fail)
    days = times_of(time).days

    def values(kind: str, name: str) -> np.ndarray:
        return gate.column(ds, name, quantities.WEATHER[kind], fail, days)

    lapse_rate = _variable(ds, "gradient", suffix)
    return climate_from_series(
        time,
        values("temp", temperature),
        values("prcp", precipitation),
        None if lapse_rate is None else values("gradient", lapse_rate),
        _height(ds, ds[temperature], fail),
        name=product,
        rgi_id=rgi_id,
        source=source,
        clip_negative_precip=product in products.CLIP_NEGATIVE_PRECIP,
    )


def _failing(rgi_id: str) -> Fail:
    return lambda message: ClimateError(of_glacier(rgi_id, message))


def _variable(ds: xr.Dataset, kind: str, suffix: str) -> str | None:
    """What a kind of weather is called in a dataset."""
    names = quantities.WEATHER[kind].names
    return gate.find(ds, [f"{name}{suffix}" for name in names])


def _height(ds: xr.Dataset, temperature: xr.DataArray, fail: Fail) -> float:
    """Of the series, m; NaN where it is not said."""
    for name in _HEIGHTS:
        stated = temperature.attrs.get(name, ds.attrs.get(name))
        if stated is None and name in ds.variables:
            stated = ds[name].values
        if stated is not None:
            return gate.number(stated, quantities.REFERENCE_HEIGHT, name, fail)
    return np.nan


def _times(ds: xr.Dataset, series: xr.DataArray, fail: Fail) -> np.ndarray:
    """When the steps of a series start, by its bounds where it has such; datetime64 or cftime."""
    axis = series.dims[0]
    if axis not in ds.coords:
        raise fail(f"{series.name} has no dates along {axis}: add a coordinate {axis}")
    time = ds[axis]
    bounds = ds.get(str(time.attrs.get("bounds", time.encoding.get("bounds"))))
    times = time.values if bounds is None or bounds.ndim != 2 else bounds.values.min(axis=1)
    if times.size == 0:
        raise fail(f"{series.name} is empty: no times along {axis}")
    is_date = times.dtype.kind == "M" or (times.dtype == object and hasattr(times[0], "calendar"))
    if not is_date or (times.dtype.kind == "M" and np.isnat(times).any()):
        raise fail(
            f"{series.name}: its time is {times.dtype}, expected dates: give {axis} units such as "
            "'days since 1850-01-01' and a calendar"
        )
    return times


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
        time: (n,) ``datetime64`` or dates of cftime, daily or monthly, ascending without gaps in
            their calendar.
        temp: (n,) °C at ``ref_height`` (m). precip: (n,) kg m⁻² per step.
        gradient: (n,) K m⁻¹, or one number; None takes −0.0065 K m⁻¹.

    Raises:
        ClimateError: kelvin, missing months or days, NaN, negative precipitation, an unknown time
            step.
    """

    def fail(message: str) -> ClimateError:
        return ClimateError(of_glacier(rgi_id, f"climate '{name}': {message}"))

    if not np.isfinite(ref_height):
        raise fail("no reference height: the temperature needs an attribute 'ref_hgt' (m)")
    temp = np.asarray(temp, float)
    # one number may stand for all times
    lapse = DEFAULT_LAPSE_RATE if gradient is None else gradient
    series = Series(
        time=times_of(np.asarray(time)),
        temp=temp,
        precip=np.asarray(precip, float),
        gradient=np.array(np.broadcast_to(np.asarray(lapse, float), temp.shape)),
    )
    check_complete(series, fail)
    if clip_negative_precip:
        series = _without_negative_precip(series, fail)
    _check_ranges(series, fail)
    step = step_of(series.time, fail)
    first_month, cut = (daily if step == "daily" else monthly)(series, fail)
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


def _check_ranges(series: Series, fail: Fail) -> None:
    where = at_times(series.time.name)
    check_plausible(series.temp, series.gradient, fail)
    for kind, values in (
        ("temp", series.temp),
        ("prcp", series.precip),
        ("gradient", series.gradient),
    ):
        gate.allowed(values, quantities.WEATHER[kind], kind, fail, where)


def _without_negative_precip(series: Series, fail: Fail) -> Series:
    """The series of a product whose negative values are known, with 0 for them."""
    negative = series.precip < 0
    if not negative.any():
        return series
    k = int(np.argmax(negative))
    found = f"prcp is {series.precip[k]:.4g} kg m-2 on {series.time.name(k)[:7]}"
    known = "precipitation cannot be negative; set to 0 (a known value of this product)"
    warn(fail(f"{found}; {known}"))
    return series._replace(precip=np.maximum(series.precip, 0.0))
