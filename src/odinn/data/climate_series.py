"""Series of weather in datasets and arrays, checked and cut into whole months."""

from __future__ import annotations

import re
import warnings

import numpy as np
import xarray as xr

from odinn.climate import Climate
from odinn.constants import DEFAULT_LAPSE_RATE
from odinn.data import products
from odinn.data.checks import Fail, check_plausible
from odinn.data.units import converted
from odinn.data.whole_months import Series, check_complete, daily, monthly, step_of
from odinn.errors import ClimateError, of_glacier


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
        raise ClimateError(of_glacier(rgi_id, message))
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
        raise ClimateError(of_glacier(rgi_id, message))
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
        raise ClimateError(of_glacier(rgi_id, f"no variable 'prcp{suffix}' beside its temperature"))
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
        raise ClimateError(of_glacier(rgi_id, message)) from error


def _values(series: xr.DataArray, kind: str, times: np.ndarray, rgi_id: str) -> np.ndarray:
    """In °C, kg m⁻² per step or K m⁻¹."""
    if series.ndim != 1:
        raise _no_series(series, rgi_id)
    if series.size != times.size:
        message = f"{series.name} has {series.size} values for {times.size} times"
        raise ClimateError(of_glacier(rgi_id, message))
    unit = series.attrs.get("units")
    return converted(series.values, kind, unit, times, rgi_id, str(series.name))


def _no_series(array: xr.DataArray, rgi_id: str) -> ClimateError:
    message = f"{array.name} has dimensions {array.dims}, expected one, time"
    return ClimateError(of_glacier(rgi_id, message))


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
        return ClimateError(of_glacier(rgi_id, f"climate '{name}': {message}"))

    if not np.isfinite(ref_height):
        raise fail("no reference height: the temperature needs an attribute 'ref_hgt' (m)")
    temp = np.asarray(temp, float)
    # one number may stand for all times
    lapse = DEFAULT_LAPSE_RATE if gradient is None else gradient
    series = Series(
        time=np.asarray(time, "datetime64[ns]"),
        temp=temp,
        precip=np.asarray(precip, float),
        gradient=np.array(np.broadcast_to(np.asarray(lapse, float), temp.shape)),
    )
    check_complete(series, fail)
    check_plausible(series.temp, series.gradient, series.time, fail)
    series = _without_negative_precip(series, fail, clip=clip_negative_precip)
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


def _without_negative_precip(series: Series, fail: Fail, *, clip: bool) -> Series:
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
